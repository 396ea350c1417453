"""A shape model of the two lung fields on a frontal radiograph.

Each field is a closed curve through landmarks. What varies between people, postures and diseases is a few
modes of anatomy, each with a standard deviation. Outlines are linear in the coefficients of the modes, so
thousands of them are one matrix product.

Source: Cootes, Taylor, Cooper and Graham, Active shape models, 1995, with modes of anatomy in place of
principal components.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

Array = NDArray[np.float64]

POINTS = 40
"""Points along one outline: from the apex down the chest wall, along the diaphragm, up the mediastinum."""
POSE = 5
"""Numbers that place a shape, before the coefficients of its modes: column of the spine and row of the apices
as shares of the film's width and height, logarithms of half the width and of the height of the chest as such
shares, and tilt in radians."""

# Across: 0 at the spine, 1 at the chest wall. Down: 0 at the apices, 1 at the costophrenic angles.
_WALL = ((0.40, 0.00), (0.63, 0.06), (0.81, 0.20), (0.91, 0.40), (0.97, 0.65), (0.99, 0.85), (0.96, 1.00))
_RIGHT = ((0.72, 0.89), (0.47, 0.85), (0.26, 0.87), (0.25, 0.70), (0.20, 0.46), (0.17, 0.27), (0.20, 0.10))
_LEFT = ((0.80, 0.92), (0.64, 0.89), (0.52, 0.86), (0.42, 0.70), (0.24, 0.47), (0.20, 0.27), (0.21, 0.10))
_LANDMARKS = np.array([(*_WALL, *_RIGHT), (*_WALL, *_LEFT)])
_COUNT = _LANDMARKS.shape[1]
_ANGLE, _HEART = 6, 9  # landmarks in the costophrenic and in the cardiophrenic angle
_OUTWARD = np.array([-1.0, 1.0])[:, None]


def _points(first: float, last: float) -> slice:
    return slice(round(POINTS * first / _COUNT), round(POINTS * last / _COUNT))


FLOOR = _points(_ANGLE + 0.5, _HEART - 0.5)
"""Points of an outline along the diaphragm."""
MEDIAL = _points(_HEART + 0.5, _COUNT - 0.5)
"""Points of an outline along the mediastinum."""


def _modes() -> Mapping[str, tuple[Array | float, Array | float]]:
    """Displacement `[2, landmarks]` of the landmarks, outward and down, by one deviation of each mode."""
    across, down = _LANDMARKS[..., 0], _LANDMARKS[..., 1]
    number = np.arange(_COUNT)
    medial, lateral = number >= _HEART, across > 0.5
    upper, hilar, lower = (
        np.exp(-(((down - at) / width) ** 2)) for at, width in ((0.15, 0.25), (0.47, 0.18), (0.82, 0.28))
    )
    angle = np.clip(1 - 0.7 * abs(number - _ANGLE), 0, 1)
    modes: dict[str, tuple[Array | float, Array | float]] = {
        "turned": (0.10 * _OUTWARD * across, 0),
        "shifted mediastinum": (0.06 * _OUTWARD * medial, 0),
        "tapered": (0.08 * across * (down - 0.6), 0),
        "barrel": (0.06 * upper * lateral, 0),
        "great vessels": (0.04 * upper * medial, 0),
        "hila": (0.03 * hilar * medial, 0),
    }
    for side, lung in (("right", np.array([[1], [0]])), ("left", np.array([[0], [1]]))):
        modes[f"{side} base"] = (0, -0.13 * lung * np.clip((down - 0.25) / 0.75, 0, 1))
        modes[f"{side} dome"] = (0, -0.05 * lung * np.clip(2 - abs(number - 7.8), 0, 1))
        modes[f"{side} angle"] = (-0.02 * lung * angle, -0.05 * lung * angle)
        modes[f"{side} apex"] = (0, 0.04 * lung * np.clip(1 - down / 0.4, 0, 1))
        modes[f"{side} heart"] = ((0.06 if side == "right" else 0.10) * lung * lower * medial, 0)
        modes[f"{side} wall"] = (0.05 * lung * lateral, 0)
    return modes


def _along(landmarks: Array) -> Array:
    """Points `[2, POINTS, 2]` on the closed curves through landmarks `[2, landmarks, 2]`."""
    closed = np.concatenate([landmarks, landmarks[:, :1]], axis=1)
    curve = CubicSpline(np.arange(_COUNT + 1), closed, axis=1, bc_type="periodic")
    points: Array = curve(np.linspace(0, _COUNT, POINTS, endpoint=False))
    return points


def _in_chest(outward: Array | float, down: Array | float) -> Array:
    shape = _LANDMARKS.shape[:2]
    return np.stack([_OUTWARD * np.broadcast_to(outward, shape), np.broadcast_to(down, shape)], axis=-1)


MODES = tuple(_modes())
_MEAN = _along(_in_chest(_LANDMARKS[..., 0], _LANDMARKS[..., 1]))
_BASIS = np.stack([_along(_in_chest(*mode)) for mode in _modes().values()])


def outlines(shapes: Array, size: tuple[int, ...]) -> Array:
    """Columns and rows in pixels `[N, 2, POINTS, 2]` of the outlines of both lungs, the right one first.

    Args:
        shapes: `[N, POSE + len(MODES)]`.
        size: height and width of the film in pixels.
    """
    centre, top, half_width, height, tilt = shapes[:, :POSE, None, None].swapaxes(0, 1)
    points = _MEAN + np.tensordot(shapes[:, POSE:], _BASIS, (1, 0))
    across = points[..., 0] * np.exp(half_width) * size[1]
    down = (points[..., 1] - 0.5) * np.exp(height) * size[0]
    columns = np.cos(tilt) * across - np.sin(tilt) * down + centre * size[1]
    rows = np.sin(tilt) * across + np.cos(tilt) * down + (top + 0.5 * np.exp(height)) * size[0]
    return np.stack([columns, rows], axis=-1)


def normals(points: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Outward unit normals `[..., 2, P, 2]` of closed outlines, and the length `[..., 2, P]` of each."""
    along = (np.roll(points, -1, axis=-2) - np.roll(points, 1, axis=-2)) / 2
    length = np.linalg.norm(along, axis=-1)
    across = np.stack([along[..., 1], -along[..., 0]], axis=-1) * _OUTWARD[..., None]
    return across / np.maximum(length, 1e-9)[..., None], length
