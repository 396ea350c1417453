"""Data sets of pairs and of images: the embedded one, or the user's own files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from .batch import ImageSample, PairSample
from .config import SPLITS, Change, DataConfig
from .errors import DataError
from .files.images import read_image, read_target
from .geometry import fit_to_square
from .tables.folders import images_in_folder, pairs_in_folder
from .tables.manifest import images_in_manifest, pairs_in_manifest
from .tables.records import ImageRecord, PairRecord
from .tables.splits import draw_splits

_RecordT = TypeVar("_RecordT", PairRecord, ImageRecord)


def prepare(config: DataConfig, *, progress: bool = True) -> None:
    """Render whatever of the embedded data set is missing, all splits at once; nothing for other data.

    `build_pairs` and `build_images` do it for their own split where it was not done before.

    Raises:
        DataError: the CT is asked for and not installed.
    """
    if config.path is None:
        from .synthesis import render_splits

        render_splits(config.synthesis, config.image_size, config.cache_dir, progress=progress)


def build_pairs(config: DataConfig, split: str, *, progress: bool = True) -> Dataset[PairSample]:
    """The pairs of one split: the embedded data set, or the user's own where `config.path` is set.

    Args:
        config: what to load.
        split: `train`, `val` or `test`.
        progress: show a bar while the embedded data set is rendered.

    Raises:
        DataError: the data is missing or contradicts itself, or a pair of this split has no target.
    """
    if config.path is None:
        from .synthesis.dataset import SyntheticPairs

        return SyntheticPairs(
            config.synthesis,
            image_size=config.image_size,
            cache_dir=config.cache_dir,
            split=split,
            change=config.change,
            progress=progress,
        )
    records = _of_split(load_pairs(config), split, config.path)
    for record in records:
        if record.target is None:
            raise DataError(f"{config.path}: pair {record.id!r} has no target; add one or remove the pair")
    return ManifestPairs(records, image_size=config.image_size, change=config.change)


def build_images(config: DataConfig, split: str, *, progress: bool = True) -> Dataset[ImageSample]:
    """The single images of one split, both images of every pair included.

    Args:
        config: what to load.
        split: `train`, `val` or `test`.
        progress: show a bar while the embedded data set is rendered.

    Raises:
        DataError: the data is missing or contradicts itself.
    """
    if config.path is None:
        from .synthesis.dataset import SyntheticImages

        return SyntheticImages(
            config.synthesis,
            image_size=config.image_size,
            cache_dir=config.cache_dir,
            split=split,
            progress=progress,
        )
    records = _of_split(load_images(config), split, config.path)
    return ManifestImages(records, image_size=config.image_size)


def load_pairs(config: DataConfig) -> list[PairRecord]:
    """Every pair of the user's data with its split, drawn by patient where the data names none."""
    assert config.path is not None
    find = pairs_in_folder if config.path.is_dir() else pairs_in_manifest
    return _with_splits(find(config.path), config)


def load_images(config: DataConfig) -> list[ImageRecord]:
    """Every image of the user's data with its split, drawn by patient where the data names none."""
    assert config.path is not None
    find = images_in_folder if config.path.is_dir() else images_in_manifest
    return _with_splits(find(config.path), config)


class ManifestPairs(Dataset[PairSample]):
    """Pairs read from files when they are asked for, square, with `valid` marking real pixels.

    Args:
        records: the pairs.
        image_size: side of the square, in pixels.
        change: what targets mean.
    """

    def __init__(self, records: Sequence[PairRecord], *, image_size: int, change: Change) -> None:
        self.records = list(records)
        self.image_size = image_size
        self.change = change

    @property
    def patients(self) -> list[str]:
        """Names of the patients, sorted."""
        return sorted({record.patient_id for record in self.records})

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> PairSample:
        """Read one pair.

        Raises:
            DataError: a file is unreadable or out of range, or two files differ in size.
        """
        record = self.records[index]
        files = {"baseline": record.baseline, "followup": record.followup}
        planes = {name: read_image(path) for name, path in files.items()}
        for name, path in (("target", record.target), ("target_baseline", record.target_baseline)):
            if path is not None:
                files[name], planes[name] = path, read_target(path, self.change)
        require_equal_sizes(files, planes)
        square, valid = fit_to_square(_stack(list(planes.values())), self.image_size)
        images = dict(zip(planes, square[:, None], strict=True))
        return PairSample(id=record.id, patient_id=record.patient_id, valid=valid, **images)


class ManifestImages(Dataset[ImageSample]):
    """Images read from files when they are asked for, square, with `valid` marking real pixels.

    Args:
        records: the images.
        image_size: side of the square, in pixels.
    """

    def __init__(self, records: Sequence[ImageRecord], *, image_size: int) -> None:
        self.records = list(records)
        self.image_size = image_size

    @property
    def patients(self) -> list[str]:
        """Names of the patients, sorted."""
        return sorted({record.patient_id for record in self.records})

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> ImageSample:
        """Read one image.

        Raises:
            DataError: the file is unreadable or out of range.
        """
        record = self.records[index]
        image, valid = fit_to_square(_stack([read_image(record.image)]), self.image_size)
        return ImageSample(id=record.id, patient_id=record.patient_id, image=image, valid=valid)


def require_equal_sizes(files: dict[str, Path], planes: dict[str, NDArray]) -> None:
    """Refuse files of one pair that differ in size.

    Args:
        files: path by role, the first one is what the others are compared with.
        planes: `[H, W]` by role.

    Raises:
        DataError: naming both files and sizes.
    """
    first, *others = planes
    for other in others:
        if planes[other].shape != planes[first].shape:
            raise DataError(
                f"{files[first]} is {_size_text(planes[first])} but the {other} {files[other]} is "
                f"{_size_text(planes[other])}; resample them to one size"
            )


def _size_text(plane: NDArray) -> str:
    height, width = plane.shape
    return f"{height} x {width}"


def _stack(planes: Sequence[NDArray]) -> Tensor:
    return torch.stack([torch.from_numpy(plane) for plane in planes])


def _with_splits(records: list[_RecordT], config: DataConfig) -> list[_RecordT]:
    if records[0].split is None:
        drawn = draw_splits(
            (record.patient_id for record in records),
            val_fraction=config.val_fraction,
            test_fraction=config.test_fraction,
            seed=config.split_seed,
        )
        return [replace(record, split=drawn[record.patient_id]) for record in records]
    split_of: dict[str, str | None] = {}
    for record in records:
        if split_of.setdefault(record.patient_id, record.split) != record.split:
            raise DataError(
                f"{config.path}: patient {record.patient_id!r} is in the splits "
                f"{split_of[record.patient_id]} and {record.split}; keep everything of a patient in one split"
            )
    return records


def _of_split(records: Sequence[_RecordT], split: str, path: Path) -> list[_RecordT]:
    if split not in SPLITS:
        raise ValueError(f"{split!r} is no split; it must be one of {', '.join(SPLITS)}")
    chosen = [record for record in records if record.split == split]
    if not chosen:
        found = ", ".join(
            f"{name} {count}" for name, count in sorted(Counter(r.split for r in records).items())
        )
        raise DataError(f"{path} has nothing in the split {split} (found {found}); add some patients to it")
    return chosen
