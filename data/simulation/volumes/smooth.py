"""Smooth random fields on a grid, by separable cubic B-splines."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from data.simulation.volumes.anatomy import Volume


def bspline_basis(positions: NDArray[np.float32], knot_distance: float) -> NDArray[np.float32]:
    """Uniform cubic B-splines `[positions, knots]` over evenly increasing positions; rows sum to one."""
    offset = positions - positions[0]
    knots = int(offset[-1] // knot_distance) + 4
    distance = np.abs(offset[:, None] / knot_distance + 1 - np.arange(knots)[None, :])
    near = 2 / 3 - distance**2 + distance**3 / 2
    far = np.clip(2 - distance, 0, None) ** 3 / 6
    return np.where(distance < 1, near, far).astype(np.float32)


def spline_field(
    axes: tuple[Volume, ...], knot_distance: float, amplitude: float, rng: np.random.Generator
) -> Volume:
    """A smooth field over the positions of `axes`, from coefficients uniform in +-`amplitude`."""
    bases = [bspline_basis(axis.ravel(), knot_distance) for axis in axes]
    coefficients = rng.uniform(-amplitude, amplitude, [basis.shape[1] for basis in bases])
    field: Volume = coefficients.astype(np.float32)
    for basis in bases:
        field = np.tensordot(field, basis, axes=(0, 1))  # axes rotate: after all of them, the order is back
    return field


def ramp(inside: Volume, width: float) -> Volume:
    """0 outside, 1 inside, linear over `width` mm around the border; `inside` is a signed distance in mm."""
    return np.clip(0.5 + inside / np.float32(width), 0, 1)
