"""Prepared data in a local folder or at an address in object storage."""

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from data.base.atomic import whole
from data.base.errors import DataError, first_line
from data.prepared.store import INFO, StoreInfo, shard_name


def is_remote(place: str) -> bool:
    """Whether a place is an address, such as `s3://bucket/folder`, and no local folder."""
    return "://" in place


def read_info(place: str) -> StoreInfo:
    """What a prepared data set consists of.

    Raises:
        DataError: there is none, or it is not finished.
    """
    if is_remote(place):
        with _opened(f"{place}/{INFO}", "read") as file:
            text = file.read().decode()
        return StoreInfo.from_json(text, f"{place}/{INFO}")
    folder = Path(place)
    if not folder.is_dir():
        raise DataError(f"--data.prepared {folder} is no folder; make one with data.prepare")
    if not (folder / INFO).is_file():
        raise DataError(f"--data.prepared {folder} is not finished: it has no {INFO}; run data.prepare again")
    return StoreInfo.from_json((folder / INFO).read_text(), str(folder / INFO))


def shard_addresses(place: str, info: StoreInfo, split: str) -> list[str]:
    """Where the shards of a split are."""
    count = len(info.shards[split])
    return [f"{place}/{split}/{shard_name(number, count)}" for number in range(count)]


def fetch(place: str, info: StoreInfo, split: str, cache_dir: Path) -> Path:
    """Local folder with the shards of a split; those at an address are copied to the cache once.

    Raises:
        DataError: they cannot be copied.
    """
    if not is_remote(place):
        return Path(place)
    digest = hashlib.sha256(f"{place}{info.to_json()}".encode()).hexdigest()[:16]
    folder = cache_dir / f"prepared-{digest}"
    for address in shard_addresses(place, info, split):
        shard = folder / split / address.rpartition("/")[2]
        if not shard.is_file():  # other processes of this run may copy the same one
            with (
                whole(shard) as part,
                _opened(address, "copied") as source,
                part.open("wb") as file,
            ):
                shutil.copyfileobj(source, file, length=16 << 20)
    return folder


@contextmanager
def _opened(address: str, done: str) -> Iterator[IO[bytes]]:
    """An object in storage, of which the block is to have `done` something."""
    import fsspec

    try:
        with fsspec.open(address, "rb") as file:
            yield file
    except Exception as error:  # every kind of storage has errors of its own
        raise DataError(f"--data.prepared: {address} cannot be {done} ({first_line(error)})") from error
