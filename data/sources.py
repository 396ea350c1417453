"""Data sets of pairs and of images: embedded, prepared, or the user's own files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor
from torch.utils.data import Dataset

from data.base.errors import DataError
from data.base.seeds import fold_seed
from data.batch import ImageSample, PairSample
from data.config import SPLITS, DataConfig
from data.files.images import Radiograph
from data.geometry import Geometry, fit_to_square
from data.manifests.folders import images_in_folder, pairs_in_folder
from data.manifests.loading import load_record
from data.manifests.manifest import images_in_manifest, pairs_in_manifest
from data.manifests.records import ImageRecord, PairRecord, RecordT, RecordTable
from data.manifests.splits import split_by_patient

SampleT = TypeVar("SampleT", PairSample, ImageSample)


def render_embedded(config: DataConfig, *, progress: bool = True) -> None:
    """Render whatever of the embedded data set is missing, all splits at once; nothing for other data.

    `build_pairs` and `build_images` do it for their own split where it was not done before.

    Raises:
        DataError: the CT is asked for and not installed.
    """
    if config.path is None and config.prepared is None:
        from data.simulation.embedded.render import render_splits

        render_splits(config.synthesis, config.image_size, config.cache_dir, progress=progress)


def settled(config: DataConfig) -> DataConfig:
    """The options as they hold: what prepared data has decided already stands in place of the defaults.

    Raises:
        DataError: there is no prepared data, or it was prepared for something else than what is asked for.
    """
    if config.prepared is None:
        return config
    from data.prepared.dataset import require_fit

    info = require_fit(config)
    return replace(config, intensity=info.intensity, framing=info.framing)


def build_pairs(config: DataConfig, split: str, *, progress: bool = True) -> Dataset[PairSample]:
    """The pairs of one split, embedded, prepared or from files.

    Args:
        config: what to load.
        split: `train`, `val` or `test`.
        progress: show a bar while the embedded data set is rendered.

    Raises:
        DataError: the data is missing or contradicts itself, or a pair of this split has no target.
    """
    _require_split(split)
    if config.prepared is not None:
        from data.prepared.dataset import open_pairs

        return open_pairs(config, split)
    if config.path is None:
        from data.simulation.embedded.dataset import SyntheticPairs

        return SyntheticPairs(
            config.synthesis,
            image_size=config.image_size,
            cache_dir=config.cache_dir,
            split=split,
            change=config.change,
            progress=progress,
        )
    records = _of_split(load_pairs(config), split, config.path)
    if not records.has("target") or records.columns.column("target").null_count:
        first = records if not records.has("target") else records.select("target", None)
        raise DataError(f"{config.path}: pair {first[0].id!r} has no target; add one or remove the pair")
    return _maybe_skipping(ManifestPairs(records, config), config, split)


def build_images(config: DataConfig, split: str, *, progress: bool = True) -> Dataset[ImageSample]:
    """The single images of one split, both images of every pair included.

    Args:
        config: what to load.
        split: `train`, `val` or `test`.
        progress: show a bar while the embedded data set is rendered.

    Raises:
        DataError: the data is missing or contradicts itself.
    """
    _require_split(split)
    if config.prepared is not None:
        from data.prepared.dataset import open_images

        return open_images(config, split)
    if config.path is None:
        from data.simulation.embedded.dataset import SyntheticImages

        return SyntheticImages(
            config.synthesis,
            image_size=config.image_size,
            cache_dir=config.cache_dir,
            split=split,
            progress=progress,
        )
    records = _of_split(load_images(config), split, config.path)
    return _maybe_skipping(ManifestImages(records, config), config, split)


def load_pairs(config: DataConfig) -> RecordTable[PairRecord]:
    """Every pair of the user's data with its split, drawn by patient where the data names none."""
    assert config.path is not None
    if config.path.is_dir():
        return _with_splits(pairs_in_folder(config.path), config)
    # A run that leaves unreadable files out leaves missing ones out, too.
    return _with_splits(pairs_in_manifest(config.path, check_files=config.on_error == "raise"), config)


def load_images(config: DataConfig) -> RecordTable[ImageRecord]:
    """Every image of the user's data with its split, drawn by patient where the data names none."""
    assert config.path is not None
    if config.path.is_dir():
        return _with_splits(images_in_folder(config.path), config)
    return _with_splits(images_in_manifest(config.path, check_files=config.on_error == "raise"), config)


class _FromFiles(Generic[RecordT]):
    """What pairs and images read from files share.

    Args:
        records: the rows of a split.
        config: how to read them.
    """

    def __init__(self, records: RecordTable[RecordT], config: DataConfig) -> None:
        self.records: RecordTable[RecordT] = records
        self.config = config

    @property
    def patients(self) -> list[str]:
        """Names of the patients, sorted."""
        return self.records.patients

    @property
    def identity(self) -> str:
        """By which the same samples are recognised, wherever they lie."""
        return self.records.digest()

    def __len__(self) -> int:
        return len(self.records)


class ManifestPairs(_FromFiles[PairRecord], Dataset[PairSample]):
    """Pairs read from files when they are asked for, square.

    `valid` marks the pixels at which both radiographs are.

    Args:
        records: the pairs.
        config: how to read them.
    """

    def __getitem__(self, index: int) -> PairSample:
        """Read one pair.

        Raises:
            DataError: a file is unreadable or out of range, or a target has not its radiograph's size.
        """
        record, config = self.records[index], self.config
        pictures = load_record(record, intensity=config.intensity, change=config.change)
        fitted = {
            role: fit_to_square(
                torch.from_numpy(picture.pixels)[None], config.image_size, geometry_of(picture, config)
            )
            for role, picture in pictures.items()
        }
        return PairSample(
            id=record.id,
            patient_id=record.patient_id,
            valid=fitted["baseline"][1] * fitted["followup"][1],
            findings=record.findings,
            geometry=geometry_of(pictures["followup"], config),
            baseline=fitted["baseline"][0],
            followup=fitted["followup"][0],
            target=fitted["target"][0] if "target" in fitted else None,
            target_baseline=fitted["target_baseline"][0] if "target_baseline" in fitted else None,
        )


class ManifestImages(_FromFiles[ImageRecord], Dataset[ImageSample]):
    """Images read from files when they are asked for, square, with `valid` marking real pixels.

    Args:
        records: the images.
        config: how to read them.
    """

    def __getitem__(self, index: int) -> ImageSample:
        """Read one image.

        Raises:
            DataError: the file is unreadable or out of range.
        """
        record, config = self.records[index], self.config
        picture = load_record(record, intensity=config.intensity, change=config.change)["image"]
        geometry = geometry_of(picture, config)
        image, valid = fit_to_square(torch.from_numpy(picture.pixels)[None], config.image_size, geometry)
        return ImageSample(
            id=record.id, patient_id=record.patient_id, image=image, valid=valid, geometry=geometry
        )


class SkipUnreadable(Dataset[SampleT], Generic[SampleT]):
    """Leaves unreadable samples out: a readable one stands in for each, and says so in `skipped`.

    The number of samples and the place of every other one stay what they are, so that an epoch has the same
    steps on every machine and a run can be continued. Which one stands in is a function of the place.

    Args:
        dataset: what to read from.
        stand_ins_count: whether a stand-in counts; where every sample is to count once, as in evaluation,
            it does not, and its `valid` is 0 everywhere.
    """

    def __init__(self, dataset: Any, *, stand_ins_count: bool) -> None:
        self.dataset = dataset
        self.stand_ins_count = stand_ins_count
        self._unreadable: dict[int, str] = {}

    @property
    def patients(self) -> list[str]:
        """Names of the patients, sorted."""
        patients: list[str] = self.dataset.patients
        return patients

    @property
    def identity(self) -> str:
        """Of the data set whose samples these are."""
        identity: str = self.dataset.identity
        return identity

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> SampleT:
        """Read one sample, or another one that can be read.

        Raises:
            DataError: none can.
        """
        sample = self._read(index)
        if sample is not None:
            return sample
        reason = self._unreadable[index]
        order = torch.Generator().manual_seed(fold_seed("stand-in", index))
        for other in torch.randperm(len(self), generator=order).tolist():
            sample = self._read(other)
            if sample is not None:
                valid = sample.valid if self.stand_ins_count else torch.zeros_like(_image_of(sample))
                return replace(sample, skipped=(reason,), valid=valid)
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


def geometry_of(picture: Radiograph, config: DataConfig) -> Geometry:
    """How the square of a picture comes about."""
    height, width = picture.pixels.shape
    return Geometry(height=height, width=width, framing=config.framing, spacing_mm=picture.spacing_mm)


def _image_of(sample: PairSample | ImageSample) -> Tensor:
    return sample.image if isinstance(sample, ImageSample) else sample.followup


def _maybe_skipping(dataset: Dataset[SampleT], config: DataConfig, split: str) -> Dataset[SampleT]:
    if config.on_error == "raise":
        return dataset
    return SkipUnreadable(dataset, stand_ins_count=split == "train")


def _with_splits(records: RecordTable[RecordT], config: DataConfig) -> RecordTable[RecordT]:
    return split_by_patient(
        records,
        place=str(config.path),
        val_fraction=config.val_fraction,
        test_fraction=config.test_fraction,
        seed=config.split_seed,
    )


def _require_split(split: str) -> None:
    if split not in SPLITS:
        raise ValueError(f"{split!r} is no split; it must be one of {', '.join(SPLITS)}")


def _of_split(records: RecordTable[RecordT], split: str, path: Path) -> RecordTable[RecordT]:
    chosen = records.select("split", split)
    if not len(chosen):
        found = ", ".join(f"{name} {count}" for name, count in sorted(records.counts("split").items()))
        raise DataError(f"{path} has nothing in the split {split} (found {found}); add some patients to it")
    return chosen
