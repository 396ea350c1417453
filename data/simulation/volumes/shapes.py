"""Shapes in a volume that several findings and the phantom are made of; all lengths in mm."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from data.simulation.shapes import curve_through
from data.simulation.volumes.anatomy import Anatomy, Box, Change, Point, Volume


def distance_from(axes: Sequence[Volume], point: Point) -> Volume:
    """Distance in mm of every position on the axes from a point."""
    squares = ((axis - at) ** 2 for axis, at in zip(axes, point, strict=True))
    return np.sqrt(sum(squares, np.float32(0)))


def smooth_path(points: ArrayLike, step: float) -> Volume:
    """A curve without overshoot through the points, as positions `[N, 3]` at most about `step` mm apart."""
    curve, length = curve_through(points)
    return curve(np.linspace(0, length, max(2, int(np.ceil(length / step)) + 1))).astype(np.float32)


def distance_to_path(anatomy: Anatomy, path: Volume, reach: float) -> tuple[Volume, Box]:
    """Distance in mm to a finely sampled curve, exact within `reach`, in the box that holds it."""
    margin = reach + anatomy.spacing
    box = anatomy.around(path.min(axis=0) - margin, path.max(axis=0) + margin)
    start = np.array([part.start for part in box])
    shape = np.array([part.stop for part in box]) - start
    distance = np.full(shape, np.float32(2 * margin))
    steps = int(np.ceil(margin / anatomy.spacing))
    offsets = np.indices([2 * steps + 1] * 3).reshape(3, -1).T - steps
    voxels = np.round(path / anatomy.spacing).astype(int)[:, None] + offsets
    far = np.linalg.norm(voxels * anatomy.spacing - path[:, None], axis=-1).astype(np.float32)
    inside = ((voxels >= start) & (voxels < start + shape)).all(axis=-1)
    np.minimum.at(distance, tuple((voxels[inside] - start).T), far[inside])
    return distance, box


def tube(anatomy: Anatomy, points: ArrayLike, radius: float, inner_radius: float = 0.0) -> tuple[Volume, Box]:
    """Share of each voxel inside a tube through some points, hollow if it has an inner radius."""
    distance, box = distance_to_path(anatomy, smooth_path(points, anatomy.spacing / 2), radius)
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
