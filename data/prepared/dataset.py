"""The source of prepared data, memory-mapped: what is read lies in the page cache and not in the process."""

import hashlib
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from torch.utils.data import Dataset

from data.alignment import Aligner
from data.base.errors import DataError
from data.base.processes import available_cores
from data.batch import ImageSample, PairSample
from data.config import DataConfig
from data.manifests.labels import Labels
from data.manifests.records import codes_of
from data.prepared.remote import fetch, is_remote, read_info
from data.prepared.rows import Reader
from data.prepared.store import INFO, PICTURES, StoreInfo, roles_of, shard_name
from data.prepared.streaming import StreamedImages, StreamedPairs


class Prepared:
    """What data.prepare wrote; the training split of an address in object storage is streamed."""

    def __init__(self, config: DataConfig) -> None:
        self.place = str(config.prepared).rstrip("/")
        self.info = read_info(self.place)
        _require_fit(self.info, config)
        self.config = replace(config, intensity=self.info.intensity, framing=self.info.framing)

    @staticmethod
    def is_meant(config: DataConfig) -> bool:
        """Whether a folder or an address of prepared data is given."""
        return config.prepared is not None

    def pairs(
        self, splits: Iterable[str], *, with_targets: bool = True
    ) -> "dict[str, PreparedPairs | StreamedPairs]":
        """The pairs of some splits; other ones than asked for are refused.

        So is one without a target, unless `with_targets` is off.
        """
        info, change = self.info, self.config.change
        if info.kind != "pairs":
            raise DataError(f"{self.place} holds single images, no pairs; prepare a manifest of pairs")
        if change != info.change:
            raise DataError(
                f"{self.place} was prepared with --change {info.change}, not {change}; "
                f"use --data.change {info.change}, or prepare it again"
            )
        aligned = Aligner(enabled=self.config.align)
        reader = Reader(info=info, image_size=self.config.image_size, aligned=aligned)
        return {split: self._pairs(split, reader, with_targets=with_targets) for split in splits}

    def images(self, splits: Iterable[str]) -> "dict[str, PreparedImages | StreamedImages]":
        """The images of some splits, both of every pair included."""
        labels = Labels(place=self.place, names=self.config.labels, uncertain=self.config.uncertain)
        labels.require_names(self.info.columns, of_pairs=self.info.kind == "pairs")
        reader = Reader(info=self.info, image_size=self.config.image_size, labels=labels)
        return {split: self._images(split, reader) for split in splits}

    def _pairs(self, split: str, reader: Reader, *, with_targets: bool) -> "PreparedPairs | StreamedPairs":
        if self._is_streamed(split):
            return StreamedPairs(self.place, reader, split, self.config.batch_size)
        shards = self._shards(split)
        target = shards.column("target")
        if with_targets and target.null_count:
            without = shards.row(int(np.flatnonzero(pc.is_null(target).to_numpy())[0]), [])
            raise DataError(
                f"{self.place}: pair {without['id']!r} has no target; prepare pairs that have one"
            )
        return PreparedPairs(shards, reader)

    def _images(self, split: str, reader: Reader) -> "PreparedImages | StreamedImages":
        if self._is_streamed(split):
            return StreamedImages(self.place, reader, split, self.config.batch_size)
        shards = self._shards(split)
        sides = [{"id": "id"} | reader.columns_of(role) for role in roles_of(self.info.kind)]
        cells = [{x: shards.column(side[x]) for x in ("id", *reader.labels.names)} for side in sides]
        reader.labels.require_values(pa.concat_tables(map(pa.table, cells)), learnt=split == "train")
        return PreparedImages(shards, reader)

    def _is_streamed(self, split: str) -> bool:
        if not self.info.count(split):
            found = ", ".join(f"{name} {self.info.count(name)}" for name in sorted(self.info.shards))
            raise DataError(f"{self.place} has nothing in the split {split} (found {found})")
        return is_remote(self.place) and split == "train"

    def _shards(self, split: str) -> "Shards":
        folder = fetch(self.place, self.info, split, self.config.cache_dir)
        if self.config.verify:
            verify(folder, self.info, split)
        return Shards(folder, self.info, split)


def _require_fit(info: StoreInfo, config: DataConfig) -> None:
    """Refuse data that was prepared for something else than is asked for."""
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


def verify(folder: Path, info: StoreInfo, split: str) -> None:
    """Refuse shards that are not what was written.

    Raises:
        DataError: naming the first; or the store is from before there were checksums.
    """
    written, shards = info.sums.get(split), _paths(folder, info, split)
    if written is None:
        raise DataError(f"--data.verify: {folder} has no checksums; prepare it again, or drop --data.verify")
    with ThreadPoolExecutor(available_cores()) as pool:
        for shard, found, expected in zip(shards, pool.map(_sha256, shards), written, strict=True):
            if found != expected:
                raise DataError(f"{shard} is damaged; copy the prepared data again, or prepare it again")


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); copy the prepared data again") from error


def _paths(folder: Path, info: StoreInfo, split: str) -> list[Path]:
    count = len(info.shards[split])
    return [folder / split / shard_name(number, count) for number in range(count)]


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
        self.files = [str(path) for path in _paths(folder, info, split)]
        for path, rows in zip(self.files, counts, strict=True):
            batches = _map(Path(path))
            if sum(map(len, batches)) != rows:
                raise DataError(f"{folder / split} does not hold what {INFO} says; prepare the data again")
            self._batches += batches
        self._ends = np.cumsum([len(batch) for batch in self._batches])

    def __reduce__(self) -> "tuple[type[Shards], tuple[Path, StoreInfo, str]]":
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
                parts = cell.items() if cell.is_valid else ()
                row[name] = {x: y.as_buffer() if x == "pixels" else y.as_py() for x, y in parts} or None
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


class _FromShards:
    """What pairs and images of a split share.

    Args:
        shards: the rows of the split.
        reader: what makes samples of them.
    """

    def __init__(self, shards: Shards, reader: Reader) -> None:
        self.shards = shards
        self.reader = reader
        self.labels = reader.labels.names
        self.identity = reader.info.digest
        self.files = shards.files

    @property
    def patients(self) -> list[str]:
        """Names of the patients, sorted."""
        return sorted(pc.unique(self.shards.column("patient_id")).to_pylist())


class PreparedPairs(_FromShards, Dataset[PairSample]):
    """Pairs of a prepared data set."""

    def __len__(self) -> int:
        return len(self.shards)

    def __getitem__(self, index: int) -> PairSample:
        """One pair."""
        return self.reader.pair(self.shards.row(index, PICTURES["pairs"]))


class PreparedImages(_FromShards, Dataset[ImageSample]):
    """Images of a prepared data set; of one of pairs, both of each, every file once."""

    def __init__(self, shards: Shards, reader: Reader) -> None:
        super().__init__(shards, reader)
        self._roles = roles_of(reader.info.kind)
        sources = [pc.struct_field(shards.column(role), "source").combine_chunks() for role in self._roles]
        interleaved = np.stack(np.split(codes_of(pa.concat_arrays(sources)), len(sources)), axis=1).ravel()
        self._places = np.sort(np.unique(interleaved, return_index=True)[1])

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> ImageSample:
        """One image."""
        row, number = divmod(int(self._places[index]), len(self._roles))
        role = self._roles[number]
        return self.reader.image(self.shards.row(row, [role]), role)
