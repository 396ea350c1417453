"""What files hold, cheaply: their sizes, their times, and of some of them a checksum of a few places."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash
from numpy.typing import NDArray

from data.base.atomic import whole

LOOKED_AT, LOOKED_INTO = 250_000, 16_384
"""Of more files than these, as many are taken, evenly spread: a second and a fifth of one on a local disk."""
_PLACE_BYTES, _THREADS = 4096, 8
_MISSING = -1


@dataclass(frozen=True)
class Contents:
    """Of each file its path, size in bytes, time of change in ns, and checksum; 0 where none was made."""

    paths: Sequence[str]
    sizes: NDArray[np.int64] = field(repr=False)
    times: NDArray[np.int64] = field(repr=False)
    checksums: NDArray[np.uint64] = field(repr=False)

    @cached_property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits of all sizes and checksums; files may be moved."""
        return xxhash.xxh3_64_hexdigest(self.sizes.tobytes() + self.checksums.tobytes())

    def write(self, path: Path) -> None:
        """Write a Parquet file, whole or not at all."""
        columns = {"path": pa.array(self.paths, pa.string()), "size": self.sizes, "time": self.times}
        with whole(path) as part:
            pq.write_table(pa.table(columns | {"checksum": self.checksums}), part, compression="zstd")

    @classmethod
    def read(cls, path: Path) -> "Contents":
        """Read back what `write` wrote."""
        table = pq.read_table(path)
        numbers = [table.column(name).to_numpy() for name in ("size", "time", "checksum")]
        return cls(table.column("path").to_pylist(), *numbers)

    def changed(self, now: "Contents") -> list[str]:
        """Those of the files, as they are called now, that are others than they were.

        A file of the same size that was moved or touched is the same where its checksum is; without one, it
        is another where its time is another at the same place.
        """
        if len(self.paths) != len(now.paths):
            return sorted(set(self.paths) ^ set(now.paths))
        moved = np.array([one != other for one, other in zip(self.paths, now.paths, strict=True)], bool)
        known = (self.checksums != 0) & (now.checksums != 0)
        other = np.where(known, self.checksums != now.checksums, ~moved & (self.times != now.times))
        return [now.paths[int(place)] for place in np.flatnonzero((self.sizes != now.sizes) | other)]


def look_at(paths: Sequence[str]) -> Contents:
    """What files hold, of `LOOKED_AT` of them at most; a missing one has a negative size."""
    chosen = [paths[int(place)] for place in _spread(len(paths), LOOKED_AT)]
    stats = np.fromiter(chain.from_iterable(map(_size_and_time, chosen)), np.int64).reshape(-1, 2)
    checksums = np.zeros(len(chosen), np.uint64)
    into = _spread(len(chosen), LOOKED_INTO)
    with ThreadPoolExecutor(_THREADS) as pool:  # many at once, where the disk is far away
        checksums[into] = list(pool.map(lambda place: _checksum(chosen[place]), into))
    return Contents(chosen, stats[:, 0].copy(), stats[:, 1].copy(), checksums)


def _spread(count: int, most: int) -> NDArray[np.int64]:
    """Places of at most `most` out of `count`, always the same."""
    return np.arange(count) if count <= most else np.arange(most) * count // most


def _size_and_time(path: str) -> tuple[int, int]:
    try:
        found = os.stat(path)  # noqa: PTH116 (a million times)
    except OSError:
        return _MISSING, 0
    return found.st_size, found.st_mtime_ns


def _checksum(path: str) -> int:
    """Of the beginning, the middle and the end, where formats have their headers, pixels and checksums."""
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123
            size = os.fstat(file.fileno()).st_size
            digest = xxhash.xxh3_64()
            for place in (0, (size - _PLACE_BYTES) // 2, size - _PLACE_BYTES):
                file.seek(max(0, place))
                digest.update(file.read(_PLACE_BYTES))
            return max(1, digest.intdigest())
    except OSError:
        return 0
