"""The source of pairs and images that are rows of arrays."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic

import numpy as np
import torch
from torch.utils.data import Dataset

from data.alignment import Aligner
from data.arrays.records import images_in, pairs_in
from data.arrays.store import Arrays
from data.base.errors import DataError
from data.batch import ImageSample, PairSample, Square
from data.config import DataConfig
from data.files.intensity import change_of, grey_of
from data.files.plane import StoredPlane, grey_of_channels, largest_of_type, require_size
from data.geometry import Geometry, fit_to_square
from data.manifests.dataset import SkipUnreadable
from data.manifests.labels import NO_LABELS, Labels
from data.manifests.records import RecordT, RecordTable, images_of_pairs
from data.manifests.splits import split_by_patient

_TARGETS = ("target", "target_baseline")


class ArrayFile:
    """An NPZ file, or a folder of NPY files, whose rows are pairs or images."""

    def __init__(self, config: DataConfig) -> None:
        assert config.path is not None
        self.config = config
        self.arrays = Arrays(config.path)

    @staticmethod
    def is_meant(config: DataConfig) -> bool:
        """Whether the path is an NPZ file, or a folder with an array of images."""
        path = config.path
        if path is None:
            return False
        named = ("image.npy", "train_images.npy", "baseline.npy")
        return path.suffix.lower() == ".npz" or any((path / name).is_file() for name in named)

    def pairs(self, splits: Iterable[str], *, with_targets: bool = True) -> dict[str, Any]:
        """The pairs of some splits; data without targets is refused, unless `with_targets` is off."""
        records = pairs_in(self.arrays)
        if with_targets and not records.has("target"):
            raise DataError(f"{self.arrays.path} has no array target; add what changed in every pair")
        return self._open(ArrayPairs, records, splits, NO_LABELS)

    def images(self, splits: Iterable[str]) -> dict[str, Any]:
        """The images of some splits, both of every pair included."""
        config, of_pairs = self.config, "baseline" in self.arrays.named
        found: RecordTable = pairs_in(self.arrays) if of_pairs else images_in(self.arrays)
        labels = Labels(place=str(config.path), names=config.labels, uncertain=config.uncertain)
        labels.require_names(found.further, of_pairs=of_pairs)
        return self._open(ArrayImages, images_of_pairs(found) if of_pairs else found, splits, labels)

    def _open(self, kind: Any, records: RecordTable, splits: Iterable[str], labels: Labels) -> dict[str, Any]:
        place = str(self.arrays.path)
        divided = split_by_patient(records, self.config, place=place)
        opened = {}
        for split in splits:
            part = divided.select("split", split)
            if not len(part):
                found = ", ".join(sorted(map(str, divided.counts("split"))))
                raise DataError(f"{place} has nothing in the split {split} (found {found})")
            labels.require_values(part.columns, learnt=split == "train")
            rows = kind(self.arrays, part, self.config, labels)
            skips = self.config.on_error == "skip"
            opened[split] = SkipUnreadable(rows, stand_ins_count=split == "train") if skips else rows
        return opened


@dataclass(eq=False)
class _Rows(Generic[RecordT]):
    """What pairs and images of a split share."""

    arrays: Arrays
    records: RecordTable[RecordT]
    config: DataConfig
    learnt: Labels

    def __post_init__(self) -> None:
        self.labels = self.learnt.names
        self.identity = self.records.digest(self.labels)
        self.files = self.arrays.files
        self._aligned = Aligner(enabled=self.config.align)

    @property
    def patients(self) -> list[str]:
        """Names of the patients, sorted."""
        return self.records.patients

    def __len__(self) -> int:
        return len(self.records)

    def _square(self, role: str, place: Path) -> Square:
        """The row of an array that a record names as `FILE/array/row`."""
        stored = np.asarray(self.arrays.named[place.parent.name][int(place.name)])
        if stored.ndim == 3:
            stored = grey_of_channels(stored[0][..., None] if len(stored) == 1 else stored, place)
        if stored.ndim != 2:
            raise DataError(f"{place} is {stored.shape}, no image of rows and columns; store [N, H, W]")
        height, width = stored.shape
        require_size(place, height, width, stored.dtype.itemsize)
        plane = StoredPlane(pixels=stored, largest=largest_of_type(stored))
        if role in _TARGETS:
            pixels = change_of(plane, place, self.config.change)
        else:
            pixels = grey_of(plane, place, self.config.intensity)
        geometry = Geometry(height=height, width=width, framing=self.config.framing)
        image, valid = fit_to_square(torch.from_numpy(pixels)[None], self.config.image_size, geometry)
        return image, valid, geometry


class ArrayPairs(_Rows, Dataset[PairSample]):
    """Pairs whose images and targets are rows of arrays."""

    def __getitem__(self, index: int) -> PairSample:
        """Read one pair.

        Raises:
            DataError: values are out of range, or a target has not its radiograph's size.
        """
        record = self.records[index]
        places = {role: getattr(record, role) for role in ("baseline", "followup", *_TARGETS)}
        squares = {role: self._square(role, place) for role, place in places.items() if place}
        for target, radiograph in zip(_TARGETS, ("followup", "baseline"), strict=True):
            if target in squares and squares[target][2] != squares[radiograph][2]:
                raise DataError(f"{places[target]} has another size than the {radiograph}; resample it")
        sample = PairSample.of_squares(
            squares,
            id=record.id,
            patient_id=record.patient_id,
            findings=record.findings,
            columns=record.columns,
        )
        return self._aligned(sample)


class ArrayImages(_Rows, Dataset[ImageSample]):
    """Images that are rows of arrays."""

    def __getitem__(self, index: int) -> ImageSample:
        """Read one image; see `ArrayPairs`."""
        record = self.records[index]
        return ImageSample.of_square(
            self._square("image", record.image),
            id=record.id,
            patient_id=record.patient_id,
            labels=self.learnt.of(record.columns, record.id),
            columns=record.columns,
        )
