"""The geometry of a radiograph: lengths in mm, landmarks, and what is drawn with them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.ndimage import distance_transform_edt, gaussian_filter1d

from data.findings import Side
from data.simulation.films import Plane
from data.simulation.shapes import curve_through, ramp, spline_field
from data.simulation.volumes.anatomy import Mask

Point = tuple[float, float]
"""Row and column in mm from the centre of the first pixel."""
SIDES: tuple[Side, ...] = ("right", "left")
LUNG_DEPTH_MM = 150.0
"""Path of a ray through the deepest part of a lung."""
_UPPER = np.linspace(0.15, 0.4, 6)


@dataclass(frozen=True, kw_only=True)
class Frame:
    """The geometry of one radiograph: where its lungs are, and how large a pixel is."""

    lungs: Mapping[Side, Mask]
    """Masks `[H, W]`; the patient's right is on the viewer's left."""
    pixel: float
    """Side of a pixel in mm."""
    known_heart: Mask | None = None
    """Mask `[H, W]` of the heart, where someone has drawn one."""

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
        return 2 * np.sqrt(radius**2 - (radius - depth) ** 2)

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
        """The heart left of the spine; where no mask tells, between the lungs, in their lower half, a strip
        off the border.
        """
        if self.known_heart is not None:
            spine = np.array([self.middle(float(row)) for row in self.rows[:, 0]], dtype=np.float32)
            return self.known_heart & (self.columns > spine[:, None])
        rows = [self.at(side, share)[0] for side in SIDES for share in (0.55, 0.85)]
        inside = (self.rows > max(rows[0], rows[2])) & (self.rows < min(rows[1], rows[3]))
        right, left = (self.walls[side][1][:, None] for side in SIDES)
        gap = left - right
        return inside & (self.columns > left - 0.4 * gap) & (self.columns < left - 0.1 * gap)

    def texture(self, knot: float, amplitude: float, rng: np.random.Generator) -> Plane:
        """A smooth random field `[H, W]` in +-`amplitude` whose features are about `knot` wide."""
        return spline_field((self.rows, self.columns), max(knot, 1.5 * self.pixel), amplitude, rng)

    def distance_from(self, point: Point) -> Plane:
        """Distance `[H, W]` from a point."""
        return np.hypot(self.rows - point[0], self.columns - point[1])

    def inside(self, side: Side, width: float, beyond: float = 0.0) -> Plane:
        """1 in a lung, 0 outside, linear over `width` around a border `beyond` mm outside the lung's."""
        return ramp(self.depth[side] + np.float32(beyond), max(width, self.pixel))

    def point_in_lung(self, side: Side, depth: float, rng: np.random.Generator, where: Mask) -> Point:
        """A random point at least `depth` from the border of a lung, or as deep as there is any.

        It lies in a mask `[H, W]`, if that leaves any.
        """
        deepest = float(self.depth[side].max())
        deep = self.depth[side] >= min(depth, 0.8 * deepest)
        places = np.argwhere(deep & where if (deep & where).any() else deep)
        row, column = places[rng.integers(len(places))] * self.pixel
        return float(row), float(column)

    def course(self, points: Sequence[Point]) -> Plane:
        """A smooth curve `[N, 2]` through some points, sampled at a quarter of a pixel."""
        curve, length = curve_through(points)
        return curve(np.linspace(0, length, max(2, int(4 * length / self.pixel)))).astype(np.float32)

    def chord(self, curve: Plane, radius: float, inner: float = 0.0) -> Plane:
        """Path `[H, W]` of the rays through a round wire or, with an inner radius, a tube along a curve.

        What is thinner than a pixel is as faint as a detector shows it: its cross-section is kept.
        """
        distance = self._distance_to(curve, radius + self.pixel)
        return _chord(distance, radius, self.pixel) - (_chord(distance, inner, self.pixel) if inner else 0)

    def _distance_to(self, curve: Plane, reach: float) -> Plane:
        """Distance `[H, W]` to a curve, where it is below `reach`; elsewhere infinite."""
        height, width = self.rows.size, self.columns.size
        around = int(np.ceil(reach / self.pixel)) + 1
        offset = np.arange(-around, around + 1)
        squared = np.full((height + 2 * around + 2, width + 2 * around + 2), np.inf, dtype=np.float32)
        step = max(1, around // 3)  # a wide tube needs no point at every quarter of a pixel
        for row, column in curve[::step] / np.float32(self.pixel):
            first, start = round(float(row)), round(float(column))
            if not (0 <= first < height and 0 <= start < width):
                continue
            square = (first + offset - row)[:, None] ** 2 + (start + offset - column)[None] ** 2
            part = squared[first : first + offset.size, start : start + offset.size]
            np.minimum(part, square, out=part)
        inner = squared[around : around + height, around : around + width]
        return np.sqrt(inner) * np.float32(self.pixel)


def _chord(distance: Plane, radius: float, pixel: float) -> Plane:
    shown = max(radius, 0.8 * pixel)
    return 2 * np.sqrt(np.clip(shown**2 - distance**2, 0, None)) * np.float32((radius / shown) ** 2)
