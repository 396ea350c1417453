"""The source of a user's own files: pairs and images that are read when they are asked for."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch.utils.data import Dataset

from data.alignment import Aligner
from data.base.errors import DataError
from data.base.seeds import fold_seed
from data.batch import ImageSample, PairSample, Square, uncounted
from data.config import Change, DataConfig, Framing, Intensity, SplitConfig
from data.files.images import Radiograph
from data.geometry import fit_to_square
from data.manifests import holds_pairs
from data.manifests.folders import images_in_folder, pairs_in_folder
from data.manifests.labels import NO_LABELS, Labels
from data.manifests.loading import load_record
from data.manifests.manifest import images_in_manifest, pairs_in_manifest
from data.manifests.records import ImageRecord, PairRecord, RecordT, RecordTable, images_of_pairs
from data.manifests.splits import split_by_patient

SampleT = TypeVar("SampleT", PairSample, ImageSample)
_DatasetT = TypeVar("_DatasetT", bound="_FromFiles")


class Files:
    """A manifest or a folder, read and checked once for all splits."""

    def __init__(self, config: DataConfig) -> None:
        assert config.path is not None
        self.config = config
        self.path = config.path

    @staticmethod
    def is_meant(config: DataConfig) -> bool:
        """Whether a path is given."""
        return config.path is not None

    def pairs(
        self, splits: Iterable[str], *, with_targets: bool = True
    ) -> "dict[str, ManifestPairs | SkipUnreadable]":
        """The pairs of some splits; a pair without a target is refused, unless `with_targets` is off."""
        records = self._load(load_pairs)
        parts = {split: _of_split(records, split, self.path) for split in splits}
        for part in parts.values() if with_targets else ():
            without = part.select("target", None) if part.has("target") else part
            if len(without):
                reason = f"pair {without[0].id!r} has no target; add one or remove the pair"
                raise DataError(f"{self.path}: {reason}")
        return {split: self._open(ManifestPairs, part, split) for split, part in parts.items()}

    def images(self, splits: Iterable[str]) -> "dict[str, ManifestImages | SkipUnreadable]":
        """The images of some splits, both of every pair included."""
        labels = Labels(place=str(self.path), names=self.config.labels, uncertain=self.config.uncertain)
        of_pairs = self.path.is_file() and holds_pairs(self.path)
        found: RecordTable = self._load(load_pairs if of_pairs else load_images)
        labels.require_names(found.further, of_pairs=of_pairs)
        records = images_of_pairs(found) if of_pairs else found
        parts = {split: _of_split(records, split, self.path) for split in splits}
        for split, part in parts.items():
            labels.require_values(part.columns, learnt=split == "train")
        return {split: self._open(ManifestImages, part, split, labels) for split, part in parts.items()}

    def _load(self, load: Callable[..., RecordTable[RecordT]]) -> RecordTable[RecordT]:
        # A run that leaves unreadable files out leaves missing ones out, too.
        return load(self.path, self.config, check_files=self.config.on_error == "raise")

    def _open(
        self, kind: type[_DatasetT], records: RecordTable, split: str, labels: Labels = NO_LABELS
    ) -> "_DatasetT | SkipUnreadable":
        config = self.config
        dataset = kind(
            records=records,
            image_size=config.image_size,
            intensity=config.intensity,
            framing=config.framing,
            change=config.change,
            align=config.align,
            learnt=labels,
        )
        if config.on_error == "raise":
            return dataset
        return SkipUnreadable(dataset, stand_ins_count=split == "train")


def load_pairs(path: Path, splits: SplitConfig, *, check_files: bool = True) -> RecordTable[PairRecord]:
    """Every pair of a manifest or a folder with its split, drawn by patient where the data names none.

    Args:
        path: the manifest or the folder.
        splits: how they are drawn.
        check_files: refuse a manifest that names a file which is not there.

    Raises:
        DataError: the data is missing or contradicts itself.
    """
    records = pairs_in_folder(path) if path.is_dir() else pairs_in_manifest(path, check_files=check_files)
    return split_by_patient(records, splits, place=str(path))


def load_images(path: Path, splits: SplitConfig, *, check_files: bool = True) -> RecordTable[ImageRecord]:
    """Every image of a manifest or a folder, both of every pair included; see `load_pairs`."""
    records = images_in_folder(path) if path.is_dir() else images_in_manifest(path, check_files=check_files)
    return split_by_patient(records, splits, place=str(path))


@dataclass(kw_only=True, eq=False)
class _FromFiles(Generic[RecordT]):
    """What pairs and images of a split share; how they are read is said by the options of the same names."""

    records: RecordTable[RecordT]
    image_size: int
    intensity: Intensity = "dicom"
    framing: Framing = "pad"
    change: Change = "magnitude"
    align: bool = False
    learnt: Labels = NO_LABELS

    def __post_init__(self) -> None:
        self.labels = self.learnt.names
        self.identity = self.records.digest(self.labels)
        self._aligned = Aligner(enabled=self.align)

    @property
    def files(self) -> list[str]:
        """Paths of what samples are read from."""
        return self.records.files

    @property
    def patients(self) -> list[str]:
        """Names of the patients, sorted."""
        return self.records.patients

    def __len__(self) -> int:
        return len(self.records)

    def _read(self, record: PairRecord | ImageRecord) -> dict[str, Square]:
        pictures = load_record(record, intensity=self.intensity, change=self.change)
        return {role: self._square(picture) for role, picture in pictures.items()}

    def _square(self, picture: Radiograph) -> Square:
        geometry = picture.geometry(self.framing)
        image, valid = fit_to_square(torch.from_numpy(picture.pixels)[None], self.image_size, geometry)
        return image, valid, geometry


class ManifestPairs(_FromFiles[PairRecord], Dataset[PairSample]):
    """Pairs read from files when they are asked for, square; both radiographs are where `valid` is 1."""

    def __getitem__(self, index: int) -> PairSample:
        """Read one pair.

        Raises:
            DataError: a file is unreadable or out of range, or a target has not its radiograph's size.
        """
        record = self.records[index]
        sample = PairSample.of_squares(
            self._read(record),
            id=record.id,
            patient_id=record.patient_id,
            findings=record.findings,
            columns=record.columns,
        )
        return self._aligned(sample)


class ManifestImages(_FromFiles[ImageRecord], Dataset[ImageSample]):
    """Images read from files when they are asked for, square, with `valid` marking real pixels."""

    def __getitem__(self, index: int) -> ImageSample:
        """Read one image; see `ManifestPairs`."""
        record = self.records[index]
        return ImageSample.of_square(
            self._read(record)["image"],
            id=record.id,
            patient_id=record.patient_id,
            labels=self.learnt.of(record.columns, record.id),
            columns=record.columns,
        )


class SkipUnreadable(Dataset[SampleT], Generic[SampleT]):
    """Leaves unreadable samples out: a readable one stands in for each, and says so in `skipped`.

    The number of samples and the place of every other one stay what they are, so that an epoch has the same
    steps on every machine and a run can be continued. Which one stands in is a function of the place.

    Args:
        dataset: what to read from.
        stand_ins_count: whether a stand-in counts; where every sample is to count once, as in evaluation,
            it does not: its `valid` is 0 everywhere, and its labels are unknown.
    """

    def __init__(self, dataset: Any, *, stand_ins_count: bool) -> None:
        self.dataset = dataset
        self.labels, self.patients, self.identity = dataset.labels, dataset.patients, dataset.identity
        self.stand_ins_count = stand_ins_count
        self._unreadable: dict[int, str] = {}

    @property
    def files(self) -> list[str]:
        """Paths of what samples are read from."""
        files: list[str] = self.dataset.files
        return files

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> SampleT:
        """Read one sample, or another one that can be read; that none can is a DataError."""
        sample = self._read(index)
        if sample is not None:
            return sample
        reason = self._unreadable[index]
        order = torch.Generator().manual_seed(fold_seed("stand-in", index))
        for other in torch.randperm(len(self), generator=order).tolist():
            sample = self._read(other)
            if sample is not None:
                return replace(sample if self.stand_ins_count else uncounted(sample), skipped=(reason,))
        raise DataError(f"none of the {len(self)} samples can be read; one of them: {reason}")

    def _read(self, index: int) -> SampleT | None:
        if index in self._unreadable:
            return None
        try:
            sample: SampleT = self.dataset[index]
        except DataError as error:
            self._unreadable[index] = str(error)
            return None
        return sample


def _of_split(records: RecordTable[RecordT], split: str, path: Path) -> RecordTable[RecordT]:
    chosen = records.select("split", split)
    if not len(chosen):
        found = ", ".join(f"{name} {count}" for name, count in sorted(records.counts("split").items()))
        raise DataError(f"{path} has nothing in the split {split} (found {found}); add some patients to it")
    return chosen
