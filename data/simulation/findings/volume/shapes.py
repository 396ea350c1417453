"""Geometry that several findings share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from data.simulation.volumes.anatomy import LOBES, Anatomy, Box, Change, Side, Volume

Point = NDArray[np.float32]


def box_around(anatomy: Anatomy, lowest: ArrayLike, highest: ArrayLike) -> Box:
    """The part of the grid between two positions in mm, at least one voxel wide."""
    shape = np.array(anatomy.mu.shape)
    start = np.clip(np.floor(np.asarray(lowest) / anatomy.spacing), 0, shape - 1).astype(int)
    stop = np.clip(np.ceil(np.asarray(highest) / anatomy.spacing) + 1, start + 1, shape).astype(int)
    x, y, z = (slice(int(first), int(last)) for first, last in zip(start, stop, strict=True))
    return x, y, z


def crop_axes(anatomy: Anatomy, box: Box) -> tuple[Volume, Volume, Volume]:
    """Positions in mm along each axis inside a box, broadcastable to it."""
    x, y, z = anatomy.axes
    return x[box[0]], y[:, box[1]], z[:, :, box[2]]


def fill(mu: Volume, weight: Volume, new_mu: float) -> Volume:
    """Change in attenuation when denser material fills a share of each voxel; denser tissue stays."""
    delta: Volume = weight * np.clip(np.float32(new_mu) - mu, 0, None)
    return delta


def draw_side(rng: np.random.Generator) -> Side:
    """Left or right, equally likely."""
    return "left" if rng.random() < 0.5 else "right"


def hilum(anatomy: Anatomy, side: Side) -> Point:
    """Position `[3]` in mm where the vessels enter a lung: its medial border at the pulmonary veins."""
    _, y, z = anatomy.centre("pulmonary_vein")
    box = box_around(anatomy, (0, y - 20, z - 15), (np.inf, y + 20, z + 15))
    columns = np.flatnonzero(anatomy.mask(*LOBES[side], box=box).any(axis=(1, 2)))
    medial = columns[-1] if side == "right" else columns[0]
    return np.array([medial * anatomy.spacing, y, z], dtype=np.float32)


def smooth_path(points: ArrayLike, step: float) -> Volume:
    """A curve without overshoot through the points, as positions `[N, 3]` at most about `step` mm apart."""
    from scipy.interpolate import PchipInterpolator

    knots = np.asarray(points, dtype=np.float64)
    length = np.concatenate([[0.0], np.linalg.norm(np.diff(knots, axis=0), axis=1).cumsum()])
    at = np.linspace(0, length[-1], max(2, int(np.ceil(length[-1] / step)) + 1))
    return PchipInterpolator(length, knots)(at).astype(np.float32)


def distance_to_path(anatomy: Anatomy, path: Volume, reach: float) -> tuple[Volume, Box]:
    """Distance in mm to a finely sampled curve, exact within `reach`, in the box that holds it."""
    margin = reach + anatomy.spacing
    box = box_around(anatomy, path.min(axis=0) - margin, path.max(axis=0) + margin)
    start = np.array([part.start for part in box])
    shape = np.array([part.stop for part in box]) - start
    distance = np.full(shape, np.float32(2 * margin))
    steps = int(np.ceil(margin / anatomy.spacing))
    offsets = np.stack(np.meshgrid(*[np.arange(-steps, steps + 1)] * 3, indexing="ij"), axis=-1).reshape(
        -1, 3
    )
    voxels = np.round(path / anatomy.spacing).astype(int)[:, None] + offsets
    far = np.linalg.norm(voxels * anatomy.spacing - path[:, None], axis=-1).astype(np.float32)
    inside = ((voxels >= start) & (voxels < start + shape)).all(axis=-1)
    np.minimum.at(distance, tuple((voxels[inside] - start).T), far[inside])
    return distance, box


def tube(anatomy: Anatomy, path: Volume, radius: float, inner_radius: float = 0.0) -> tuple[Volume, Box]:
    """Share of each voxel inside a tube along a curve, hollow if it has an inner radius (mm)."""
    distance, box = distance_to_path(anatomy, path, radius)
    width = anatomy.spacing
    weight = np.clip((radius - distance) / width + 0.5, 0, 1)
    if inner_radius > 0:
        weight = weight - np.clip((inner_radius - distance) / width + 0.5, 0, 1)
    return weight, box


def sum_changes(changes: Sequence[Change]) -> Change:
    """One change that is the sum of several."""
    lowest = np.min([change.corner for change in changes], axis=0)
    highest = np.max([np.add(change.corner, change.delta.shape) for change in changes], axis=0)
    delta = np.zeros(highest - lowest, dtype=np.float32)
    for change in changes:
        start = np.subtract(change.corner, lowest)
        x, y, z = (slice(first, first + size) for first, size in zip(start, change.delta.shape, strict=True))
        delta[x, y, z] += change.delta
    return Change(delta=delta, corner=(int(lowest[0]), int(lowest[1]), int(lowest[2])))


def box_corner(box: Box) -> tuple[int, int, int]:
    """First voxel of a box."""
    return box[0].start, box[1].start, box[2].start
