"""Findings of the heart: cardiomegaly."""

import numpy as np
from scipy.ndimage import gaussian_filter1d

from data.findings import Side
from data.simulation.drawing.chest import Chest
from data.simulation.drawing.frame import Frame
from data.simulation.films import Plane
from data.simulation.shapes import ramp

_STEEPEST = {"right": 0.6, "left": 1.5}
"""Outwards over downwards; a lung's border flatter than this is the diaphragm's, not the heart's."""
_ENDING = 16.0
"""Height in mm over which the shadow ends above and below."""


def cardiomegaly(chest: Chest, rng: np.random.Generator) -> Plane:
    """The heart's shadow reaches further into the left lung and somewhat into the right."""
    left = rng.uniform(16, 36)
    right = left * rng.uniform(0.15, 0.5)
    added = _bulge(chest, "left", left, rng) + _bulge(chest, "right", right, rng)
    return added.astype(np.float32)


def _bulge(chest: Chest, side: Side, reach: float, rng: np.random.Generator) -> Plane:
    """Lung beside the present border of the heart, as dense as the heart is at that height."""
    frame = chest.frame
    border, last = _border(frame, side)
    width = np.abs(frame.walls[side][0] - border)
    # A lung keeps some of its width however large the heart.
    reach = min(reach, 0.45 * float(np.median(width[frame.lungs[side].any(axis=1)])))
    start = frame.top[side] + rng.uniform(0.34, 0.42) * frame.height[side]
    fullest = max(last - rng.uniform(2, 10), start + 20.0)
    up = np.clip((frame.rows[:, 0] - start) / (fullest - start), 0, 1)
    end = fullest + 0.9 * reach + 22.0
    down = np.clip((frame.rows[:, 0] - fullest) / (end - fullest), 0, 1)
    # Flat at the upper end, round at the apex of the ventricle.
    bulge = reach * up**2 * (3 - 2 * up) - (reach + 6.0) * (1 - np.sqrt(1 - down**2))
    from_border = frame.outward(side) * (frame.columns - border[:, None])
    inside = bulge[:, None] - from_border
    # Above and below, where the bulge is none, the strip that hides the present border ends gradually.
    height = ramp(np.minimum(frame.rows - start, end - frame.rows) - _ENDING / 2, _ENDING)
    covered = ramp(inside, max(4.0, frame.pixel)) * height
    # Thinner at the rim than in the middle, as a round heart is.
    thick = 0.7 + 0.3 * ramp(inside - 10.0, 20.0)
    # The present border must not show through.
    lung = frame.inside(side, 8.0, beyond=12.0) * ramp(from_border + 12.0, 12.0)
    return covered * thick * lung * chest.below(_level(chest, side, border)[:, None])


def _border(frame: Frame, side: Side) -> tuple[Plane, float]:
    """Column `[H]` in mm of the heart's border, and the row in mm where it meets the diaphragm.

    There the border of the lung turns outwards along the diaphragm; the heart's goes straight on.
    """
    medial = frame.walls[side][1].copy()
    first, last = (round(frame.at(side, share)[0] / frame.pixel) for share in (0.6, 0.97))
    slope = frame.outward(side) * np.gradient(medial)
    turn = first + int(slope[first:last].argmax())
    steep = _STEEPEST[side] * frame.pixel
    before = np.flatnonzero(slope[:turn] <= steep)
    end = int(before[-1]) if slope[turn] > steep and before.size else last
    medial[end:] = medial[end]
    smooth: Plane = gaussian_filter1d(medial, 6.0 / frame.pixel, mode="nearest")
    return smooth, end * frame.pixel


def _level(chest: Chest, side: Side, border: Plane) -> Plane:
    """Density `[H]` of the heart just inside its border."""
    frame = chest.frame
    inwards = -frame.outward(side) * (frame.columns - border[:, None])
    strip = (inwards > 5.0) & (inwards < 15.0 + frame.pixel)
    level = (chest.calm * strip).sum(axis=1) / np.maximum(strip.sum(axis=1), 1)
    return gaussian_filter1d(level, 8.0 / frame.pixel, mode="nearest")
