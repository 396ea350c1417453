"""Prepared data, memory-mapped: what is read lies in the page cache and not in the process."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from torch.utils.data import Dataset

from data.base.errors import DataError
from data.batch import ImageSample, PairSample
from data.config import DataConfig
from data.manifests.records import codes_of
from data.prepared.remote import fetch, is_remote, read_info
from data.prepared.rows import image_of, pair_of
from data.prepared.store import INFO, PICTURES, StoreInfo, roles_of, shard_name
from data.prepared.streaming import StreamedImages, StreamedPairs


class Shards:
    """The rows of one split, memory-mapped.

    The shards are what `datasets.Dataset.from_file` maps, but `datasets` is not imported for it: it loads the
    DICOM and NIfTI libraries, which training on prepared data has no use for.

    Args:
        folder: a prepared data set.
        info: its description.
        split: which split.

    Raises:
        DataError: a shard is missing or damaged.
    """

    def __init__(self, folder: Path, info: StoreInfo, split: str) -> None:
        self._place = (folder, info, split)
        counts = info.shards[split]
        self._batches: list[pa.RecordBatch] = []
        for number, rows in enumerate(counts):
            batches = _map(folder / split / shard_name(number, len(counts)))
            if sum(map(len, batches)) != rows:
                raise DataError(f"{folder / split} does not hold what {INFO} says; prepare the data again")
            self._batches += batches
        self._ends = np.cumsum([len(batch) for batch in self._batches])

    def __reduce__(self) -> tuple[type[Shards], tuple[Path, StoreInfo, str]]:
        """A loader process maps the files again; nothing of them is copied."""
        return Shards, self._place

    def __len__(self) -> int:
        return int(self._ends[-1])

    def row(self, index: int, pictures: Sequence[str]) -> dict[str, Any]:
        """One row as Python values, with the pixels of the pictures asked for as buffers, not copies."""
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        index %= len(self)
        number = int(np.searchsorted(self._ends, index, side="right"))
        batch = self._batches[number]
        place = index - int(self._ends[number]) + len(batch)
        row: dict[str, Any] = {}
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            cell = column[place]
            if not isinstance(cell, pa.StructScalar):
                row[name] = cell.as_py()
            elif name in pictures:
                row[name] = _picture(cell) if cell.is_valid else None
        return row

    def column(self, name: str) -> pa.ChunkedArray:
        """A column of all rows."""
        return pa.chunked_array([batch.column(name) for batch in self._batches])


def _map(path: Path) -> list[pa.RecordBatch]:
    if not path.is_file():
        raise DataError(f"{path} is missing; copy the prepared data again, or prepare it again")
    try:
        return list(pa.ipc.open_stream(pa.memory_map(str(path))))
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path} is damaged; prepare the data again") from error


def _picture(cell: pa.StructScalar) -> dict[str, Any]:
    return {name: value.as_buffer() if name == "pixels" else value.as_py() for name, value in cell.items()}


class _Prepared:
    """What pairs and images of a prepared data set share.

    Args:
        shards: the rows of a split.
        info: how they were stored.
        image_size: side of the squares in pixels.
    """

    def __init__(self, shards: Shards, info: StoreInfo, image_size: int) -> None:
        self.shards = shards
        self.info = info
        self.image_size = image_size

    @property
    def patients(self) -> list[str]:
        """Names of the patients, sorted."""
        return sorted(pc.unique(self.shards.column("patient_id")).to_pylist())

    @property
    def identity(self) -> str:
        """By which the same samples with the same pixels are recognised, wherever they lie."""
        return self.info.digest


class PreparedPairs(_Prepared, Dataset[PairSample]):
    """Pairs of a prepared data set.

    Args:
        shards: the rows of a split.
        info: how they were stored.
        image_size: side of the squares in pixels.
    """

    def __len__(self) -> int:
        return len(self.shards)

    def __getitem__(self, index: int) -> PairSample:
        """One pair."""
        return pair_of(self.shards.row(index, PICTURES["pairs"]), self.info, self.image_size)


class PreparedImages(_Prepared, Dataset[ImageSample]):
    """Images of a prepared data set; of one of pairs, both of each, every file once.

    The arguments are those of `PreparedPairs`.
    """

    def __init__(self, shards: Shards, info: StoreInfo, image_size: int) -> None:
        super().__init__(shards, info, image_size)
        self._roles = roles_of(info.kind)
        sources = [pc.struct_field(shards.column(role), "source").combine_chunks() for role in self._roles]
        interleaved = np.stack(np.split(codes_of(pa.concat_arrays(sources)), len(sources)), axis=1).ravel()
        self._places = np.sort(np.unique(interleaved, return_index=True)[1])

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> ImageSample:
        """One image."""
        row, number = divmod(int(self._places[index]), len(self._roles))
        role = self._roles[number]
        return image_of(self.shards.row(row, [role]), role, self.info, self.image_size)


def open_pairs(config: DataConfig, split: str) -> Dataset[PairSample]:
    """The pairs of one split; the training split of an address in object storage is streamed.

    Raises:
        DataError: it is no finished prepared data set, or was prepared for something else.
    """
    info = require_fit(config)
    if info.kind != "pairs":
        raise DataError(f"{config.prepared} holds single images; gan.adversarial needs pairs")
    if config.change != info.change:
        raise DataError(
            f"{config.prepared} was prepared with --change {info.change}, not {config.change}; "
            f"use --data.change {info.change}, or prepare it again"
        )
    _require_split(info, config, split)
    if is_remote(config) and split == "train":
        return StreamedPairs(config, info, split)
    shards = Shards(fetch(config, info, split), info, split)
    target = shards.column("target")
    if target.null_count:
        without = shards.row(int(np.flatnonzero(pc.is_null(target).to_numpy())[0]), [])
        raise DataError(
            f"{config.prepared}: pair {without['id']!r} has no target; prepare pairs that have one"
        )
    return PreparedPairs(shards, info, config.image_size)


def open_images(config: DataConfig, split: str) -> Dataset[ImageSample]:
    """The images of one split; see `open_pairs`."""
    info = require_fit(config)
    _require_split(info, config, split)
    if is_remote(config) and split == "train":
        return StreamedImages(config, info, split)
    return PreparedImages(Shards(fetch(config, info, split), info, split), info, config.image_size)


def _require_split(info: StoreInfo, config: DataConfig, split: str) -> None:
    if not info.count(split):
        found = ", ".join(f"{name} {info.count(name)}" for name in sorted(info.shards))
        raise DataError(f"{config.prepared} has nothing in the split {split} (found {found})")


def require_fit(config: DataConfig) -> StoreInfo:
    """What a prepared data set consists of, unless it was prepared for something else than is asked for.

    Raises:
        DataError: there is none, or it does not fit.
    """
    info = read_info(config)
    if config.path is not None:
        raise DataError(f"--data.path {config.path} and --data.prepared {config.prepared} exclude each other")
    if info.size is not None and config.image_size > info.size:
        raise DataError(
            f"{config.prepared} was prepared at {info.size} px, less than --data.image-size "
            f"{config.image_size}; prepare it with --size {config.image_size}, or train at {info.size} px"
        )
    defaults = DataConfig()
    for name in ("intensity", "framing"):
        asked, stored = getattr(config, name), getattr(info, name)
        if asked not in (stored, getattr(defaults, name)):
            raise DataError(
                f"{config.prepared} was prepared with --{name} {stored}, not {asked}; drop --data.{name}, or "
                "prepare it again"
            )
    return info
