"""Samples and batches: what a data set yields and what a training step receives."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from data.geometry import Geometry

_BatchT = TypeVar("_BatchT", bound="_Batch")
SampleT = TypeVar("SampleT", "PairSample", "ImageSample")

Square = tuple[Tensor, Tensor, Geometry]
"""A square image `[1, H, W]`, the mask of its pixels that count, and how it came about."""


@dataclass(kw_only=True)
class PairSample:
    """One pair, every image `[1, H, W]` float32, radiographs in `[0, 1]` with dense tissue bright.

    `target` is the change in the followup's geometry, `target_baseline` the same change in the
    baseline's geometry (what swapping the two images needs). `valid` marks the pixels that count, `geometry`
    leads back to the followup's file, `geometry_baseline` to the baseline's. `masks` mark where baseline and
    followup lie, each in its own square. `alignment` says how the one is laid on the other, where that is
    known (`data.alignment.to_texts`). `columns` is what else the data says of it, by which numbers can
    be broken down. `skipped` says of each unreadable sample that this one stands in for what is wrong with
    it. `key` is what random changes to it follow from; where it is empty, the id.
    """

    id: str
    patient_id: str
    baseline: Tensor
    followup: Tensor
    target: Tensor | None = None
    target_baseline: Tensor | None = None
    valid: Tensor | None = None
    findings: tuple[str, ...] = ()
    columns: Mapping[str, str] = field(default_factory=dict)
    geometry: Geometry | None = None
    geometry_baseline: Geometry | None = None
    masks: tuple[Tensor, Tensor] | None = None
    alignment: str | None = None
    skipped: tuple[str, ...] = ()
    key: str = ""

    @classmethod
    def of_squares(cls, squares: Mapping[str, Square], **known: Any) -> "PairSample":
        """The pair of a square for each role; `known` are the fields that are no images."""
        valid, other = squares["followup"][1], squares["baseline"][1]
        images: dict[str, Any] = {role: image for role, (image, _, _) in squares.items()}
        return cls(
            valid=valid if other is valid else other * valid,
            masks=(other, valid),
            geometry=squares["followup"][2],
            geometry_baseline=squares["baseline"][2],
            **images,
            **known,
        )


@dataclass(kw_only=True)
class ImageSample:
    """One radiograph `[1, H, W]` float32 in `[0, 1]`; for the other fields see `PairSample`.

    `labels` are `[L]` float32: 1, 0, or NaN where a label is unknown and does not count. Which ones they are
    says the split.
    """

    id: str
    patient_id: str
    image: Tensor
    labels: Tensor | None = None
    valid: Tensor | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    geometry: Geometry | None = None
    skipped: tuple[str, ...] = ()
    key: str = ""

    @classmethod
    def of_square(cls, square: Square, **known: Any) -> "ImageSample":
        """The image of a square; `known` are the other fields."""
        image, valid, geometry = square
        return cls(image=image, valid=valid, geometry=geometry, **known)


def uncounted(sample: SampleT) -> SampleT:
    """The sample, of which no pixel and no label counts."""
    if isinstance(sample, PairSample):
        return replace(sample, valid=torch.zeros_like(sample.followup))
    labels = None if sample.labels is None else torch.full_like(sample.labels, math.nan)
    return replace(sample, valid=torch.zeros_like(sample.image), labels=labels)


class _Batch:
    @property
    def keys(self) -> list[str]:
        """What random changes to each sample follow from, besides seed and epoch."""
        ids, keys = self.id, self.key  # type: ignore[attr-defined]
        return [key or name for key, name in zip(keys, ids, strict=True)] if keys else ids

    @property
    def counted(self) -> Tensor:
        """`[B]` bool: not the samples that stand in for others, of which no pixel counts."""
        if (valid := self.valid) is None:  # type: ignore[attr-defined]
            return torch.ones(len(self), dtype=torch.bool, device=self._device)
        counted: Tensor = valid.flatten(1).any(1)
        return counted

    @property
    def _device(self) -> torch.device:
        return next(value.device for value in vars(self).values() if isinstance(value, Tensor))

    def to(self: _BatchT, device: torch.device | str, non_blocking: bool = False) -> _BatchT:
        """A copy with every tensor on `device`."""
        return self._with_tensors(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self: _BatchT) -> _BatchT:
        """A copy in page-locked memory; the loader calls it when asked to pin."""
        return self._with_tensors(Tensor.pin_memory)

    def __len__(self) -> int:
        return len(self.id)  # type: ignore[attr-defined]

    def _with_tensors(self: _BatchT, change: Callable[[Tensor], Tensor]) -> _BatchT:
        tensors = {name: change(value) for name, value in vars(self).items() if isinstance(value, Tensor)}
        return replace(self, **tensors)  # type: ignore[type-var]


@dataclass(kw_only=True)
class PairBatch(_Batch):
    """`B` pairs: images `[B, 1, H, W]` float32; `target` in `[0, 1]` or, signed, in `[-1, 1]`.

    `swappable` `[B]` bool are the pairs that have a `target_baseline`, which is zero for the others; where it
    is None, all of them have one or none has. `emphasis` is a scalar: how much more means over the
    pixels of this batch count in a training step than means over its samples, where other batches of the step
    have more padding; None for 1.
    """

    id: list[str]
    baseline: Tensor
    followup: Tensor
    target: Tensor | None = None
    target_baseline: Tensor | None = None
    swappable: Tensor | None = None
    valid: Tensor | None = None
    emphasis: Tensor | None = None
    findings: list[tuple[str, ...]]
    patient_id: list[str] = field(default_factory=list)
    columns: list[Mapping[str, str]] = field(default_factory=list)
    geometry: list[Geometry | None] = field(default_factory=list)
    geometry_baseline: list[Geometry | None] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    key: list[str] = field(default_factory=list)


@dataclass(kw_only=True)
class ImageBatch(_Batch):
    """`B` radiographs `[B, 1, H, W]` float32 in `[0, 1]`; `labels` `[B, L]` are 1, 0, or NaN: not counted."""

    id: list[str]
    image: Tensor
    labels: Tensor | None = None
    valid: Tensor | None = None
    patient_id: list[str] = field(default_factory=list)
    columns: list[Mapping[str, str]] = field(default_factory=list)
    geometry: list[Geometry | None] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    key: list[str] = field(default_factory=list)


def collate_pairs(samples: Sequence[PairSample]) -> PairBatch:
    """Stack pairs; targets are in the batch only when every sample has one, unlike those of the baseline."""
    swappable = [sample.target_baseline is not None for sample in samples]
    if len(set(swappable)) == 1:
        return _collate(PairBatch, samples, like="followup")
    whole = [
        replace(sample, target_baseline=torch.zeros_like(sample.followup))
        if sample.target_baseline is None
        else sample
        for sample in samples
    ]
    return replace(_collate(PairBatch, whole, like="followup"), swappable=torch.tensor(swappable))


def collate_images(samples: Sequence[ImageSample]) -> ImageBatch:
    """Stack radiographs; labels are in the batch only when every sample has them."""
    return _collate(ImageBatch, samples, like="image")


_OF_THE_BATCH = ("swappable", "emphasis")
_TENSORS = {"baseline", "followup", "target", "target_baseline", "image", "labels", "valid"}
Samples = Sequence[PairSample] | Sequence[ImageSample]


def _collate(kind: type[_BatchT], samples: Samples, *, like: str) -> _BatchT:
    """The samples' fields as those of a batch; of a sample without a mask all pixels count."""
    names = [item.name for item in fields(kind) if item.name not in _OF_THE_BATCH]  # type: ignore[arg-type]
    columns: dict[str, Any] = {name: [getattr(sample, name) for sample in samples] for name in names}
    if any(mask is not None for mask in columns["valid"]):
        masks = zip(columns["valid"], columns[like], strict=True)
        columns["valid"] = [torch.ones_like(image) if mask is None else mask for mask, image in masks]
    for name in _TENSORS.intersection(columns):
        whole = all(item is not None for item in columns[name])
        columns[name] = torch.stack(columns[name]) if whole else None
    columns["skipped"] = [reason for reasons in columns["skipped"] for reason in reasons]
    return kind(**columns)
