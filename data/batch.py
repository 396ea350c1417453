"""Samples and batches: what a data set yields and what a training step receives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TypeVar

import torch
from torch import Tensor

from data.geometry import Geometry

_BatchT = TypeVar("_BatchT", bound="_Batch")


@dataclass(kw_only=True)
class PairSample:
    """One pair, every image `[1, H, W]` float32, radiographs in `[0, 1]` with dense tissue bright.

    `target` is the change in the followup's geometry, `target_baseline` the same change in the
    baseline's geometry (what swapping the two images needs). `valid` marks the pixels that count, `geometry`
    leads back to the followup's file. `skipped` says of each unreadable sample that this one stands in for
    what is wrong with it.
    """

    id: str
    patient_id: str
    baseline: Tensor
    followup: Tensor
    target: Tensor | None = None
    target_baseline: Tensor | None = None
    valid: Tensor | None = None
    findings: tuple[str, ...] = ()
    geometry: Geometry | None = None
    skipped: tuple[str, ...] = ()


@dataclass(kw_only=True)
class ImageSample:
    """One radiograph `[1, H, W]` float32 in `[0, 1]`; for the other fields see `PairSample`."""

    id: str
    patient_id: str
    image: Tensor
    valid: Tensor | None = None
    geometry: Geometry | None = None
    skipped: tuple[str, ...] = ()


class _Batch:
    def to(self: _BatchT, device: torch.device | str, non_blocking: bool = False) -> _BatchT:
        """A copy with every tensor on `device`."""
        moved = {
            item.name: value.to(device, non_blocking=non_blocking)
            for item in fields(self)  # type: ignore[arg-type]
            if isinstance(value := getattr(self, item.name), Tensor)
        }
        return replace(self, **moved)  # type: ignore[type-var]

    def pin_memory(self: _BatchT) -> _BatchT:
        """A copy in page-locked memory; the loader calls it when asked to pin."""
        pinned = {
            item.name: value.pin_memory()
            for item in fields(self)  # type: ignore[arg-type]
            if isinstance(value := getattr(self, item.name), Tensor)
        }
        return replace(self, **pinned)  # type: ignore[type-var]

    def __len__(self) -> int:
        return len(self.id)  # type: ignore[attr-defined]


@dataclass(kw_only=True)
class PairBatch(_Batch):
    """`B` pairs: images `[B, 1, H, W]` float32; `target` in `[0, 1]` or, signed, in `[-1, 1]`."""

    id: list[str]
    baseline: Tensor
    followup: Tensor
    target: Tensor | None = None
    target_baseline: Tensor | None = None
    valid: Tensor | None = None
    findings: list[tuple[str, ...]]
    geometry: list[Geometry | None] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)


@dataclass(kw_only=True)
class ImageBatch(_Batch):
    """`B` radiographs `[B, 1, H, W]` float32 in `[0, 1]`."""

    id: list[str]
    image: Tensor
    valid: Tensor | None = None
    geometry: list[Geometry | None] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)


def _stack(tensors: Sequence[Tensor | None]) -> Tensor | None:
    present = [tensor for tensor in tensors if tensor is not None]
    return torch.stack(present) if len(present) == len(tensors) else None


def _stack_valid(masks: Sequence[Tensor | None], like: Sequence[Tensor]) -> Tensor | None:
    if all(mask is None for mask in masks):
        return None
    return torch.stack(
        [torch.ones_like(image) if mask is None else mask for mask, image in zip(masks, like, strict=True)]
    )


def collate_pairs(samples: Sequence[PairSample]) -> PairBatch:
    """Stack pairs; an optional map is in the batch only when every sample has it."""
    return PairBatch(
        id=[sample.id for sample in samples],
        baseline=torch.stack([sample.baseline for sample in samples]),
        followup=torch.stack([sample.followup for sample in samples]),
        target=_stack([sample.target for sample in samples]),
        target_baseline=_stack([sample.target_baseline for sample in samples]),
        valid=_stack_valid([sample.valid for sample in samples], [sample.followup for sample in samples]),
        findings=[sample.findings for sample in samples],
        geometry=[sample.geometry for sample in samples],
        skipped=[reason for sample in samples for reason in sample.skipped],
    )


def collate_images(samples: Sequence[ImageSample]) -> ImageBatch:
    """Stack radiographs."""
    return ImageBatch(
        id=[sample.id for sample in samples],
        image=torch.stack([sample.image for sample in samples]),
        valid=_stack_valid([sample.valid for sample in samples], [sample.image for sample in samples]),
        geometry=[sample.geometry for sample in samples],
        skipped=[reason for sample in samples for reason in sample.skipped],
    )
