"""A row of a prepared data set -> a sample."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from data.batch import ImageSample, PairSample
from data.geometry import Geometry, fit_to_square, resize
from data.manifests.records import findings_of
from data.prepared.store import PICTURES, StoreInfo, decode


@lru_cache(maxsize=4)
def _all_valid(size: int) -> Tensor:
    return torch.ones(1, size, size)


Row = Mapping[str, Any]
"""Columns of a row as Python values; of a picture, `pixels` may be any buffer."""


def picture_of(
    picture: Row, info: StoreInfo, image_size: int, *, signed: bool = False
) -> tuple[Tensor, Tensor, Geometry]:
    """Square image `[1, size, size]`, its `valid` mask, and the geometry of the file.

    Args:
        picture: one picture of a row.
        info: how it was stored.
        image_size: side of the square in pixels.
        signed: whether it is a signed map.
    """
    height, width = picture["height"], picture["width"]
    spacing = picture["spacing_mm"]
    geometry = Geometry(
        height=picture["source_height"],
        width=picture["source_width"],
        framing=info.framing,
        spacing_mm=(spacing[0], spacing[1]) if spacing else None,
    )
    image = torch.from_numpy(decode(picture["pixels"], height, width, info.bits, signed=signed))[None]
    was_square = geometry.height == geometry.width
    if height == width and (was_square or (info.size is not None and info.framing != "pad")):
        return resize(image, image_size, image_size), _all_valid(image_size), geometry
    return *fit_to_square(image, image_size, geometry), geometry


def pair_of(row: Row, info: StoreInfo, image_size: int) -> PairSample:
    """The sample of a row that holds a pair."""
    planes: dict[str, Tensor] = {}
    masks: dict[str, Tensor] = {}
    geometries: dict[str, Geometry] = {}
    for role in PICTURES["pairs"]:
        if row[role] is not None:
            signed = info.change == "signed" and role.startswith("target")
            planes[role], masks[role], geometries[role] = picture_of(
                row[role], info, image_size, signed=signed
            )
    valid = masks["followup"]
    if masks["baseline"] is not valid:
        valid = masks["baseline"] * valid
    return PairSample(
        id=row["id"],
        patient_id=row["patient_id"],
        findings=findings_of(row["findings"]),
        geometry=geometries["followup"],
        valid=valid,
        baseline=planes["baseline"],
        followup=planes["followup"],
        target=planes.get("target"),
        target_baseline=planes.get("target_baseline"),
    )


def image_of(row: Row, role: str, info: StoreInfo, image_size: int) -> ImageSample:
    """The sample of one picture of a row."""
    image, valid, geometry = picture_of(row[role], info, image_size)
    return ImageSample(
        id=row["id"] if role == "image" else f"{row['id']}/{role}",
        patient_id=row["patient_id"],
        image=image,
        valid=valid,
        geometry=geometry,
    )
