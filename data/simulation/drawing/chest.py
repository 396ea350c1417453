"""What the findings need to know of a radiograph: lengths in mm, landmarks, and the attenuation it shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from data.simulation.drawing.density import logit, tone_width
from data.simulation.drawing.lungs import LungFields, Mask
from data.simulation.drawing.smoothing import blur

Plane = NDArray[np.float32]
Point = tuple[float, float]
"""Row and column in mm from the centre of the first pixel."""
Side = Literal["right", "left"]
SIDES: tuple[Side, ...] = ("right", "left")

CHEST_WIDTH_MM = 275.0
"""From the outer border of one lung field to that of the other, on the film of an adult."""
_CHEST_WIDTHS_MM = (90.0, 420.0)  # from infants to the largest adults
LUNG_DEPTH_MM = 150.0
"""Path of a ray through the deepest part of a lung."""
MU_LUNG_TO_FLUID = 0.0141
"""Attenuation gained where fluid takes the place of aerated lung (0.28 of the density of water), in 1/mm."""


@dataclass(frozen=True, kw_only=True)
class Frame:
    """The geometry of one radiograph: where its lungs are, and how large a pixel is."""

    lungs: Mapping[Side, Mask]
    """Masks `[H, W]`; the patient's right is on the viewer's left."""
    pixel: float
    """Side of a pixel in mm."""

    @cached_property
    def rows(self) -> Plane:
        """Position of the rows in mm `[H, 1]`."""
        return np.arange(self.lungs["right"].shape[0], dtype=np.float32)[:, None] * np.float32(self.pixel)

    @cached_property
    def columns(self) -> Plane:
        """Position of the columns in mm `[1, W]`."""
        return np.arange(self.lungs["right"].shape[1], dtype=np.float32)[None] * np.float32(self.pixel)

    @cached_property
    def depth(self) -> Mapping[Side, Plane]:
        """Distance `[H, W]` in mm from the border of each lung field, positive inside, negative outside."""
        from scipy.ndimage import distance_transform_edt

        found = {}
        for side, mask in self.lungs.items():
            depth = distance_transform_edt(mask) - distance_transform_edt(~mask)
            found[side] = (self.pixel * depth).astype(np.float32)
        return found

    @cached_property
    def air_path(self) -> Plane:
        """Path `[H, W]` in mm of the rays through aerated lung, from the distance to the border.

        A lung is taken as round as it is deep: a chord of a circle.
        """
        radius = LUNG_DEPTH_MM / 2
        depth = np.clip(np.maximum(*self.depth.values()), 0, radius)
        path: Plane = 2 * np.sqrt(radius**2 - (radius - depth) ** 2)
        return path

    @cached_property
    def top(self) -> Mapping[Side, float]:
        """Row of each apex in mm."""
        return {side: float(self._span(side)[0]) for side in SIDES}

    @cached_property
    def height(self) -> Mapping[Side, float]:
        """Height of each lung field in mm."""
        return {side: float(self._span(side)[1] - self._span(side)[0]) for side in SIDES}

    def _span(self, side: Side) -> tuple[float, float]:
        rows = np.flatnonzero(self.lungs[side].any(axis=1))
        return rows[0] * self.pixel, rows[-1] * self.pixel

    def outward(self, side: Side) -> int:
        """Direction along the columns from the midline to this lung."""
        return -1 if side == "right" else 1

    @cached_property
    def walls(self) -> Mapping[Side, tuple[Plane, Plane]]:
        """Columns `[H]` in mm of the lateral and the medial border of each lung in every row.

        Above and below a lung its first and last values go on; a few mm are smoothed over.
        """
        from scipy.ndimage import gaussian_filter1d

        found = {}
        for side, mask in self.lungs.items():
            rows = np.flatnonzero(mask.any(axis=1))
            first = mask[rows].argmax(axis=1)
            last = mask.shape[1] - 1 - mask[rows, ::-1].argmax(axis=1)
            lateral, medial = (first, last) if side == "right" else (last, first)
            every = np.arange(mask.shape[0])
            smooth = (
                gaussian_filter1d(np.interp(every, rows, border), 2.5 / self.pixel, mode="nearest")
                for border in (lateral, medial)
            )
            outer, inner = ((self.pixel * border).astype(np.float32) for border in smooth)
            found[side] = (outer, inner)
        return found

    def at(self, side: Side, share: float) -> tuple[float, float, float]:
        """Row, lateral and medial column in mm at a share of the height of a lung, 0 at the apex."""
        row = self.top[side] + share * self.height[side]
        index = round(row / self.pixel)
        lateral, medial = self.walls[side]
        return row, float(lateral[index]), float(medial[index])

    def hilum(self, side: Side) -> Point:
        """Where vessels and bronchi enter the lung."""
        row, lateral, medial = self.at(side, 0.47 if side == "right" else 0.44)
        return row, medial + 0.12 * (lateral - medial)

    def base(self, side: Side) -> Point:
        """The costophrenic angle: the lowest point of the lateral third."""
        mask = self.lungs[side]
        columns = np.flatnonzero(mask.any(axis=0))
        third = max(1, columns.size // 3)
        outer = columns[:third] if side == "right" else columns[-third:]
        lowest = mask.shape[0] - 1 - mask[::-1, outer].argmax(axis=0)
        index = int(lowest.argmax())
        return float(lowest[index] * self.pixel), float(outer[index] * self.pixel)

    @cached_property
    def midline(self) -> tuple[float, float]:
        """Column in mm of the spine at row 0, and its slope; from the upper lungs, above the heart."""
        rows = np.array([self.at(side, share)[0] for share in _UPPER for side in SIDES]).reshape(-1, 2)
        edges = np.array([self.at(side, share)[2] for share in _UPPER for side in SIDES]).reshape(-1, 2)
        slope, _ = np.polyfit(rows.mean(axis=1), edges.mean(axis=1), 1)
        slope = float(np.clip(slope, -0.15, 0.15))  # a hidden lung must not tilt the spine
        return float(edges.mean() - slope * rows.mean()), slope

    def middle(self, row: float) -> float:
        """Column in mm of the spine at a row in mm."""
        start, slope = self.midline
        return start + slope * row

    @cached_property
    def carina(self) -> Point:
        """Where the trachea divides."""
        row = float(np.mean([self.top[side] + 0.36 * self.height[side] for side in SIDES]))
        return row, self.middle(row)

    @cached_property
    def heart(self) -> Mask:
        """The heart left of the spine: between the lungs, in their lower half, a strip off the border."""
        rows = [self.at(side, share)[0] for side in SIDES for share in (0.55, 0.85)]
        inside = (self.rows > max(rows[0], rows[2])) & (self.rows < min(rows[1], rows[3]))
        right, left = (self.walls[side][1][:, None] for side in SIDES)
        gap = left - right
        return inside & (self.columns > left - 0.4 * gap) & (self.columns < left - 0.1 * gap)


_UPPER = np.linspace(0.15, 0.4, 6)


@dataclass(frozen=True, kw_only=True)
class Chest:
    """A radiograph that findings can be drawn into."""

    frame: Frame
    density: Plane
    """Line integral `[H, W]` that the film shows, but for a constant."""
    tone: float
    """Width of the film's tone curve, a line integral."""
    tissue: float
    """Density of the heart."""

    @cached_property
    def room(self) -> Plane:
        """Line integral `[H, W]` that can be added to a lung before it is as dense as the heart or as what
        surrounds it: chest wall, diaphragm, mediastinum.
        """
        return self.below(np.minimum(self.tissue, self._around))

    def below(self, level: Plane) -> Plane:
        """What is missing `[H, W]` to a density; a rib or border that is dense already lacks less."""
        return np.clip(level - np.maximum(self.calm, blur(self.density, 1.2 / self.frame.pixel)), 0, None)

    @cached_property
    def calm(self) -> Plane:
        """Density `[H, W]` without ribs, vessels and noise."""
        return blur(self.density, 4.0 / self.frame.pixel)

    @cached_property
    def _around(self) -> Plane:
        """Density `[H, W]` of the tissue nearest to each place in a lung, without the air around the body."""
        lungs = self.frame.lungs["right"] | self.frame.lungs["left"]
        body = (~lungs & (self.density > np.median(self.density[lungs]))).astype(np.float32)
        sigma = 14.0 / self.frame.pixel
        near, sums = blur(body, sigma), blur(body * self.density, sigma)
        return np.where(near > 0.005, sums / np.maximum(near, 0.005), self.tissue).astype(np.float32)

    def with_added(self, added: Plane) -> Chest:
        """The same chest with a finding in it."""
        return replace(self, density=self.density + added)


def measure(image: Plane, lungs: LungFields, pixel_mm: float | None) -> Chest:
    """A chest from a radiograph `[H, W]` in [0, 1] and its lung fields.

    Args:
        image: the radiograph.
        lungs: where its lungs are.
        pixel_mm: side of a pixel, where the file tells; without it, or where it makes the chest one that
            nobody has, the chest is taken to be as wide as an adult's.
    """
    columns = np.flatnonzero(lungs.both.any(axis=0))
    width = int(columns[-1] - columns[0] + 1)
    known = pixel_mm is not None and _CHEST_WIDTHS_MM[0] <= pixel_mm * width <= _CHEST_WIDTHS_MM[1]
    pixel = pixel_mm if pixel_mm is not None and known else CHEST_WIDTH_MM / width
    frame = Frame(lungs={"right": lungs.right, "left": lungs.left}, pixel=float(pixel))
    heart = image[frame.heart] if frame.heart.any() else image[~lungs.both]
    grey = float(np.median(heart))
    tone = tone_width(float(np.median(image[lungs.both])), grey)
    tissue = tone * float(logit(np.array(grey, dtype=np.float32)))
    return Chest(frame=frame, density=tone * logit(image), tone=tone, tissue=tissue)
