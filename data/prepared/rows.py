"""A row of a prepared data set -> a sample."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from data.alignment import Aligner
from data.base.errors import DataError
from data.batch import ImageSample, PairSample, Square
from data.geometry import Geometry, fit_to_square, resize
from data.manifests.labels import NO_LABELS, Labels
from data.manifests.records import columns_of_image, findings_of
from data.prepared.store import ALIGNMENT, PICTURES, StoreInfo, checksum, decode


@lru_cache(maxsize=4)
def _all_valid(size: int) -> Tensor:
    return torch.ones(1, size, size)


Row = Mapping[str, Any]
"""Columns of a row as Python values; of a picture, `pixels` may be any buffer."""


@dataclass(frozen=True, kw_only=True)
class Reader:
    """What makes samples of rows."""

    info: StoreInfo
    """How the rows were stored."""
    image_size: int
    """Side of the squares in pixels."""
    labels: Labels = NO_LABELS
    """Which columns are labels of the images."""
    aligned: Aligner = field(default_factory=lambda: Aligner(enabled=False))
    """What lays baselines on followups."""

    def pair(self, row: Row) -> PairSample:
        """The sample of a row that holds a pair."""
        roles = [role for role in PICTURES["pairs"] if row[role] is not None]
        signed = {role for role in roles if self.info.change == "signed" and role.startswith("target")}
        sample = PairSample.of_squares(
            {role: self._square(row, role, signed=role in signed) for role in roles},
            id=row["id"],
            patient_id=row["patient_id"],
            findings=findings_of(row["findings"]),
            columns={name: row[name] for name in self.info.columns if row[name] is not None},
            alignment=row[ALIGNMENT] if self.info.align else None,
        )
        return self.aligned(sample)

    def image(self, row: Row, role: str) -> ImageSample:
        """The sample of one picture of a row, which may be one of a pair."""
        name = row["id"] if role == "image" else f"{row['id']}/{role}"
        taken = self.columns_of(role).items()
        columns = {key: row[column] for key, column in taken if row[column] is not None}
        return ImageSample.of_square(
            self._square(row, role),
            id=name,
            patient_id=row["patient_id"],
            labels=self.labels.of(columns, name),
            columns=columns,
        )

    def columns_of(self, role: str) -> dict[str, str]:
        """The further columns of a picture, each with the one of the row that it is."""
        names = self.info.columns
        return {name: name for name in names} if role == "image" else columns_of_image(names, role)

    def _square(self, row: Row, role: str, *, signed: bool = False) -> Square:
        picture = row[role]
        height, width = picture["height"], picture["width"]
        written = picture.get("checksum")  # which older stores do not have
        if written is not None and written != checksum(picture["pixels"], height, width):
            raise DataError(
                f"--data.prepared: the {role} of {row['id']!r} is not what was prepared; copy the prepared "
                "data again, or prepare it again"
            )
        spacing, info, size = picture["spacing_mm"], self.info, self.image_size
        geometry = Geometry(
            height=picture["source_height"],
            width=picture["source_width"],
            framing=info.framing,
            spacing_mm=(spacing[0], spacing[1]) if spacing else None,
            pixel_aspect=picture.get("pixel_aspect", 1.0),  # which older stores do not have
        )
        image = torch.from_numpy(decode(picture["pixels"], height, width, info.bits, signed=signed))[None]
        is_filled = geometry.box(size) == (0, 0, size, size)
        if height == width and (is_filled or (info.size is not None and info.framing != "pad")):
            return resize(image, size, size), _all_valid(size), geometry
        return *fit_to_square(image, size, geometry), geometry
