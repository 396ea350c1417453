"""Shapes that volumes and radiographs share: smooth fields, borders, blurs, curves, plates; lengths in mm."""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from data.findings import CAN_TURN_DEGREES, Side

Array = NDArray[np.float32]
OTHER_SIDE: Mapping[Side, Side] = {"left": "right", "right": "left"}
Curve = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def bspline_basis(positions: Array, knot_distance: float) -> Array:
    """Uniform cubic B-splines `[positions, knots]` over evenly increasing positions; rows sum to one."""
    offset = positions - positions[0]
    knots = int(offset[-1] // knot_distance) + 4
    distance = np.abs(offset[:, None] / knot_distance + 1 - np.arange(knots)[None, :])
    near = 2 / 3 - distance**2 + distance**3 / 2
    far = np.clip(2 - distance, 0, None) ** 3 / 6
    return np.where(distance < 1, near, far).astype(np.float32)


def spline_field(
    axes: tuple[Array, ...], knot_distance: float, amplitude: float, rng: np.random.Generator
) -> Array:
    """A smooth field over the positions of `axes`, from coefficients uniform in +-`amplitude`."""
    bases = [bspline_basis(axis.ravel(), knot_distance) for axis in axes]
    coefficients = rng.uniform(-amplitude, amplitude, [basis.shape[1] for basis in bases])
    field: Array = coefficients.astype(np.float32)
    for basis in bases:
        field = np.tensordot(field, basis, axes=(0, 1))  # axes rotate: after all of them, the order is back
    return field


def ramp(inside: Array, width: float) -> Array:
    """0 outside, 1 inside, linear over `width` mm around the border; `inside` is a signed distance in mm."""
    return np.clip(0.5 + inside / np.float32(width), 0, 1)


def blur(plane: Array, sigma: float) -> Array:
    """Gaussian blur of `[H, W]` by `sigma` pixels; a wide one on a coarser grid, where it costs little."""
    from scipy.ndimage import gaussian_filter
    from skimage.transform import downscale_local_mean, resize

    step = int(sigma // 3)
    if step < 2:
        return gaussian_filter(plane, sigma, mode="nearest")
    height, width = plane.shape
    padded = np.pad(plane, ((0, -height % step), (0, -width % step)), mode="edge")
    coarse = gaussian_filter(downscale_local_mean(padded, (step, step)), sigma / step, mode="nearest")
    return resize(coarse, padded.shape, order=1)[:height, :width].astype(np.float32)


def draw_side(rng: np.random.Generator, probability: float = 0.5, side: Side = "left") -> Side:
    """One side of the chest, `side` with this probability."""
    return side if rng.random() < probability else OTHER_SIDE[side]


def largest_piece(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The largest connected piece of a mask."""
    from scipy.ndimage import label

    pieces, count = label(mask)
    return pieces == np.bincount(pieces.ravel())[1:].argmax() + 1 if count else mask


def curve_through(points: ArrayLike) -> tuple[Curve, float]:
    """A smooth curve without overshoot through some points, and its length along their chords.

    The curve is a function of the length from its start, in `[0, length]`; a point given twice counts once.
    """
    from scipy.interpolate import PchipInterpolator

    knots = np.asarray(points, dtype=np.float64)
    lengths = np.concatenate([[0.0], np.linalg.norm(np.diff(knots, axis=0), axis=1).cumsum()])
    keep = np.concatenate([[True], np.diff(lengths) > 0])
    return PchipInterpolator(lengths[keep], knots[keep]), float(lengths[-1])


def turned_plate(
    across: Array,
    along: Array,
    half: tuple[float, float],
    rounding: float,
    blur: float,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """A rectangle with round corners, turned at random by up to `CAN_TURN_DEGREES`; lengths in mm.

    Args:
        across: distance from its centre along the first axis, broadcastable with `along`.
        along: distance from its centre along the second axis.
        half: half of its sides.
        rounding: radius of its corners.
        blur: width over which its border fades.
        rng: source of the angle.

    Returns:
        Positions along its own two axes, and how much of each place it covers, in [0, 1].
    """
    angle = np.deg2rad(rng.uniform(-CAN_TURN_DEGREES, CAN_TURN_DEGREES))
    u, v = np.cos(angle) * across + np.sin(angle) * along, np.cos(angle) * along - np.sin(angle) * across
    beyond = (np.clip(np.abs(at) - size + rounding, 0, None) for at, size in zip((u, v), half, strict=True))
    return u, v, np.clip((rounding - np.hypot(*beyond)) / blur + 0.5, 0, 1)
