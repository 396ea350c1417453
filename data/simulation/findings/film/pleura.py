"""Findings of the pleural space: effusion and pneumothorax."""

import numpy as np
from scipy.ndimage import distance_transform_edt, gaussian_filter, grey_opening

from data.findings import MU_LUNG, Side
from data.simulation.drawing.chest import Chest
from data.simulation.drawing.frame import Frame
from data.simulation.films import Plane
from data.simulation.shapes import blur, draw_side, ramp

_FADING = 8.0
"""A rim of free air narrower than this fades with its width, so that it ends nowhere at once."""
_OUTLINE = 5.0
"""Blur of a lung's outline before distances are measured from it: the pleura is smooth."""
_DOME = 15.0
"""How far below the apex the mediastinal side of the outline still counts as the wall."""


def effusion(chest: Chest, rng: np.random.Generator) -> Plane:
    """Fluid at the base of one lung with a meniscus: higher along the chest wall than in front of the spine.

    It hides the costophrenic angle and the outline of the diaphragm, being as dense as what lies below.
    """
    side = chest.side_with_air(draw_side(rng))
    share = rng.uniform(0.15, 0.5)
    return fluid_layer(chest, side, share * chest.frame.height[side] + 25.0, rng)


def fluid_layer(chest: Chest, side: Side, height: float, rng: np.random.Generator) -> Plane:
    """Line integral `[H, W]` of fluid that stands `height` mm above the costophrenic angle at the wall."""
    frame = chest.frame
    bottom = frame.base(side)[0]
    lateral, medial = (border[:, None] for border in frame.walls[side])
    # 0 at the chest wall, 1 at the mediastinum.
    across = np.clip((frame.columns - lateral) / np.where(medial == lateral, 1, medial - lateral), 0, 1)
    rise = 0.62 + 0.38 * (1 - across) ** 2.2 + 0.06 * across**6
    level = bottom - height * rise + frame.texture(30.0, 2.5, rng)
    below = (frame.rows - level).astype(np.float32)
    thick = 0.45 * ramp(below, 9.0) + 0.55 * ramp(below - 0.18 * height, 0.35 * height + 8.0)
    added: Plane = thick * chest.room * frame.inside(side, 7.0, beyond=8.0)
    return added * np.float32(rng.uniform(0.88, 1.0))


def pneumothorax(chest: Chest, rng: np.random.Generator) -> Plane:
    """Free air along the apex and the lateral wall: no markings, a thin pleural line, denser lung behind it.

    Negative but for the line and the lung behind it.
    """
    frame = chest.frame
    side = draw_side(rng)
    rim = _rim(frame, side, rng)
    beyond = rim - _distance_from_wall(frame, side)  # positive in the free air
    there = np.clip(rim / _FADING, 0, 1)
    lung = frame.inside(side, 3.0, beyond=3.0)
    free = ramp(beyond, max(0.8, frame.pixel)) * lung
    air = np.minimum(np.minimum(frame.air_path, 6.0 * np.clip(beyond, 0, None) + 25.0), 90.0)
    line = np.exp(-((beyond / max(0.8, 0.8 * frame.pixel)) ** 2)) * lung
    collapsed = ramp(-beyond - 4.0, 8.0) * ramp(45.0 + beyond, 50.0) * frame.inside(side, 4.0)
    added = (
        -free * (MU_LUNG * air + 0.9 * _markings(chest))
        + np.float32(0.13) * line
        + np.float32(rng.uniform(0.05, 0.14)) * collapsed
    )
    return (there * added).astype(np.float32)


def _distance_from_wall(frame: Frame, side: Side) -> Plane:
    """Distance `[H, W]` in mm from the chest wall beside and above a lung, not from mediastinum or diaphragm.

    The wall is the lung's outline from the costophrenic angle over the apex and a little down to the
    mediastinum, where the air ends round; just outside the lung the distance goes on as it is at the border.
    """
    lung = blur(frame.lungs[side].astype(np.float32), _OUTLINE / frame.pixel) > 0.5
    wall = np.zeros_like(lung)
    rows = np.flatnonzero(lung.any(axis=1))
    lateral = lung.argmax(axis=1) if side == "right" else lung.shape[1] - 1 - lung[:, ::-1].argmax(axis=1)
    beside = rows[rows * frame.pixel <= frame.base(side)[0]]
    wall[beside, lateral[beside]] = True
    columns = np.flatnonzero(lung.any(axis=0))
    highest = lung.argmax(axis=0)
    above = columns[(highest[columns] - rows[0]) * frame.pixel <= _DOME]
    wall[highest[above], above] = True
    distance = frame.pixel * distance_transform_edt(~wall) + np.minimum(frame.depth[side], 0)
    return blur(np.clip(distance, 0, None).astype(np.float32), 1.0 / frame.pixel)


def _rim(frame: Frame, side: Side, rng: np.random.Generator) -> Plane:
    """Width `[H, 1]` in mm of the free air by row: widest at the apex, gone towards the base."""
    share = (frame.rows - frame.top[side]) / frame.height[side]
    apex, wall = rng.uniform(14, 40), rng.uniform(5, 18)
    end = rng.uniform(0.55, 1.1)
    profile = wall + (apex - wall) * np.exp(-((np.clip(share, 0, None) / 0.28) ** 2))
    wave = 1 + 0.08 * np.sin(2 * np.pi * (share * rng.uniform(1, 2) + rng.random()))
    return (profile * wave * np.clip((end - share) / 0.25, 0, 1)).astype(np.float32)


def _markings(chest: Chest) -> Plane:
    """Density `[H, W]` of vessels: bright and thinner than any rib."""
    side = 2 * round(2.0 / chest.frame.pixel) + 1
    if side < 3:
        return np.zeros_like(chest.density)
    calm = gaussian_filter(chest.density, 0.5)  # noise is no vessel
    return np.clip(calm - grey_opening(calm, size=(side, side), mode="nearest"), 0, 0.3)
