"""What the findings need to know of a radiograph: its geometry, and the attenuation it shows."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np

from data.findings import Side
from data.simulation.drawing.frame import Frame, Point
from data.simulation.drawing.grain import Grain
from data.simulation.films import Plane, logit, tone_width
from data.simulation.shapes import OTHER_SIDE, blur, ramp
from data.simulation.volumes.anatomy import Lungs, Mask

CHEST_WIDTH_MM = 275.0
"""From the outer border of one lung field to that of the other, on the film of an adult."""
_RIB_MM = 8.0
_AIRLESS, _AERATING = 0.2, 0.3
"""A lung has no air whose line integral is no more than the first below that of the heart; wholly aerated it
is where that and the second are missing."""
_CHEST_WIDTHS_MM = (90.0, 420.0)  # from infants to the largest adults


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
    grain: Grain
    """Noise and sharpness of the film."""

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

    @cached_property
    def aerated(self) -> Plane:
        """How much of a lung is air `[H, W]`, from 0 where it is white already to 1; ribs do not count."""
        white = np.minimum(self.tissue, self._around) - blur(self.density, _RIB_MM / self.frame.pixel)
        return ramp(white - _AIRLESS - _AERATING / 2, _AERATING)

    def side_with_air(self, side: Side) -> Side:
        """A side, or the other one where this lung is white."""
        shares = {one: float(self.aerated[lung].mean()) for one, lung in self.frame.lungs.items()}
        return side if shares[side] >= 0.3 * max(shares.values()) else OTHER_SIDE[side]

    def place(self, side: Side, depth: float, rng: np.random.Generator) -> Point:
        """A random point of a lung in mm, at least `depth` mm from its border and where it has air."""
        return self.frame.point_in_lung(side, depth, rng, self.aerated > 0.5)

    def limit(self, added: Plane, beyond: float = 0.1) -> Plane:
        """No more than makes the lung as dense as the heart, plus `beyond`; approached smoothly.

        Where a lung is white already nothing is added.
        """
        added = added * self.aerated
        most = self.room + np.float32(beyond)
        return (most * np.tanh(added / most)).astype(np.float32)

    def with_change(self, change: Plane) -> Self:
        """The same chest with a finding in it."""
        return replace(self, density=self.density + change)


def measure(image: Plane, lungs: Lungs, pixel_mm: float | None, heart: Mask | None = None) -> Chest:
    """A chest from a radiograph `[H, W]` in [0, 1] and its lung fields.

    Args:
        image: the radiograph.
        lungs: where its lungs are.
        pixel_mm: side of a pixel, where the file tells; without it, or where it makes the chest one that
            nobody has, the chest is taken to be as wide as an adult's.
        heart: where its heart is, if known.
    """
    columns = np.flatnonzero(lungs.both.any(axis=0))
    width = int(columns[-1] - columns[0] + 1)
    known = pixel_mm is not None and _CHEST_WIDTHS_MM[0] <= pixel_mm * width <= _CHEST_WIDTHS_MM[1]
    pixel = pixel_mm if pixel_mm is not None and known else CHEST_WIDTH_MM / width
    frame = Frame(lungs={"right": lungs.right, "left": lungs.left}, pixel=float(pixel), known_heart=heart)
    grey = float(np.median(image[frame.heart] if frame.heart.any() else image[~lungs.both]))
    # Of two lungs the darker one: the other may be white.
    tone = tone_width(min(float(np.median(image[lung])) for lung in (lungs.right, lungs.left)), grey)
    tissue = tone * float(logit(np.array(grey, dtype=np.float32)))
    return Chest(frame=frame, density=tone * logit(image), tone=tone, tissue=tissue, grain=Grain.of(image))
