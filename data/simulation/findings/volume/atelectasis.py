"""Plate-like atelectasis."""

import numpy as np

from data import findings
from data.findings import LOBES, MU_FLUID, Side
from data.simulation.shapes import draw_side, ramp
from data.simulation.volumes.anatomy import Anatomy, Box, Change, Point, Volume


def atelectasis(anatomy: Anatomy, rng: np.random.Generator) -> Change:
    """Thin plates of collapsed lung above one diaphragm, across the lobules and up to the pleura.

    They lie nearly flat, so that rays of a frontal film pass along them: lines, often several side by side.
    """
    side = draw_side(rng)
    box = anatomy.box(*LOBES[side])
    centres = _low_places(anatomy, side, box)
    least, most = findings.PLATES
    slope = rng.uniform(-1, 1) * findings.PLATE_TILT_DEGREES
    weight = np.zeros_like(anatomy.mu[box])
    for _ in range(int(rng.integers(least, most + 1))):
        plate = _plate(anatomy, box, centres[rng.integers(len(centres))], slope + rng.uniform(-4, 4), rng)
        weight = np.maximum(weight, plate)
    return anatomy.fill(box, weight * anatomy.lung(side, box), MU_FLUID)


def _low_places(anatomy: Anatomy, side: Side, box: Box) -> Volume:
    """Positions `[N, 3]` in mm low in a lung, where neither diaphragm nor heart hides it on a film."""
    lung = anatomy.lung(side, box)
    thickness = lung.sum(axis=1, keepdims=True)
    seen = lung & (thickness > np.quantile(thickness[thickness > 0], 0.4))
    levels = np.flatnonzero(seen.any(axis=(0, 1)))
    highest, lowest = (round(levels[-1] - share * np.ptp(levels)) for share in findings.PLATE_ZONE)
    seen[..., :lowest] = seen[..., highest:] = False
    return anatomy.points(seen & (anatomy.mu[box] < 0.5 * MU_FLUID) & (anatomy.wall_depth[box] > 8), box)


def _plate(anatomy: Anatomy, box: Box, centre: Point, slope: float, rng: np.random.Generator) -> Volume:
    """Share of each voxel of a box that a plate fills, times how dense it is; its slope is in degrees."""
    length, depth = rng.uniform(*findings.PLATE_LENGTH_MM), rng.uniform(*findings.PLATE_DEPTH_MM)
    thickness, filled = rng.uniform(*findings.PLATE_THICKNESS_MM), rng.uniform(*findings.PLATE_DENSITY)
    slope, pitch = np.tan(np.deg2rad((slope, rng.uniform(-6, 6))))
    x, y, z = (axis - at for axis, at in zip(anatomy.axes_in(box), centre, strict=True))
    bow = rng.uniform(-1, 1) * findings.PLATE_BOW * length * (2 * x / length) ** 2
    above = (z - slope * x - pitch * y - bow) / np.sqrt(1 + slope**2 + pitch**2)
    inside = length / 2 * (1 - np.hypot(2 * x / length, 2 * y / depth))
    return (filled * _within(above, thickness, anatomy.spacing) * ramp(inside, 8.0)).astype(np.float32)


def _within(above: Volume, thickness: float, voxel: float) -> Volume:
    """Share of a voxel inside a layer, by how far its middle lies above the layer's; no mass is lost."""
    top = np.minimum(above + voxel / 2, thickness / 2)
    return np.clip(top - np.maximum(above - voxel / 2, -thickness / 2), 0, None) / voxel
