"""Shapes that several findings are made of; all lengths in mm."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from data.simulation.drawing.chest import SIDES, Chest, Frame, Plane, Point, Side
from data.simulation.volumes.smooth import ramp, spline_field


def draw_side(rng: np.random.Generator, left: float = 0.5) -> Side:
    """One side of the chest, the left with this probability."""
    return "left" if rng.random() < left else "right"


def texture(frame: Frame, knot: float, amplitude: float, rng: np.random.Generator) -> Plane:
    """A smooth random field `[H, W]` in +-`amplitude` whose features are about `knot` wide."""
    return spline_field((frame.rows, frame.columns), max(knot, 1.5 * frame.pixel), amplitude, rng)


def distance_from(frame: Frame, point: Point) -> Plane:
    """Distance `[H, W]` from a point."""
    distance: Plane = np.hypot(frame.rows - point[0], frame.columns - point[1])
    return distance


def inside_lung(frame: Frame, side: Side, width: float, beyond: float = 0.0) -> Plane:
    """1 in a lung, 0 outside, linear over `width` around a border that lies `beyond` outside the lung's."""
    return ramp(frame.depth[side] + np.float32(beyond), max(width, frame.pixel))


def point_in_lungs(
    frame: Frame, rng: np.random.Generator, depth: float, side: Side | None = None
) -> tuple[Point, Side]:
    """A random point at least `depth` from the border of a lung, or as deep as there is any."""
    side = side or SIDES[int(rng.integers(2))]
    deepest = float(frame.depth[side].max())
    places = np.argwhere(frame.depth[side] >= min(depth, 0.8 * deepest))
    row, column = places[rng.integers(len(places))] * frame.pixel
    return (float(row), float(column)), side


def limit(added: Plane, chest: Chest, beyond: float = 0.1) -> Plane:
    """No more than makes the lung as dense as the heart, plus `beyond`; approached smoothly."""
    most = chest.room + np.float32(beyond)
    limited: Plane = (most * np.tanh(added / most)).astype(np.float32)
    return limited


def course(points: Sequence[Point], frame: Frame) -> Plane:
    """A smooth curve `[N, 2]` through some points, sampled at a quarter of a pixel."""
    from scipy.interpolate import PchipInterpolator

    knots = np.asarray(points, dtype=np.float64)
    lengths = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(knots, axis=0).T))])
    keep = np.concatenate([[True], np.diff(lengths) > 0])
    samples = np.linspace(0, lengths[-1], max(2, int(4 * lengths[-1] / frame.pixel)))
    curve: Plane = PchipInterpolator(lengths[keep], knots[keep])(samples).astype(np.float32)
    return curve


def chord(frame: Frame, curve: Plane, radius: float, inner: float = 0.0) -> Plane:
    """Path `[H, W]` of the rays through a round wire or, with an inner radius, a tube along a curve.

    What is thinner than a pixel is as faint as a detector shows it: its cross-section is kept.
    """
    distance = _distance_to(frame, curve, radius + frame.pixel)
    return _chord(distance, radius, frame.pixel) - (_chord(distance, inner, frame.pixel) if inner else 0)


def _chord(distance: Plane, radius: float, pixel: float) -> Plane:
    shown = max(radius, 0.8 * pixel)
    path: Plane = 2 * np.sqrt(np.clip(shown**2 - distance**2, 0, None)) * np.float32((radius / shown) ** 2)
    return path


def _distance_to(frame: Frame, curve: Plane, reach: float) -> Plane:
    """Distance `[H, W]` to a curve, where it is below `reach`; elsewhere infinite."""
    height, width = frame.rows.size, frame.columns.size
    around = int(np.ceil(reach / frame.pixel)) + 1
    offset = np.arange(-around, around + 1)
    squared = np.full((height + 2 * around + 2, width + 2 * around + 2), np.inf, dtype=np.float32)
    step = max(1, around // 3)  # a wide tube needs no point at every quarter of a pixel
    for row, column in curve[::step] / np.float32(frame.pixel):
        first, start = round(float(row)), round(float(column))
        if not (0 <= first < height and 0 <= start < width):
            continue
        square = (first + offset - row)[:, None] ** 2 + (start + offset - column)[None] ** 2
        part = squared[first : first + offset.size, start : start + offset.size]
        np.minimum(part, square, out=part)
    inner = squared[around : around + height, around : around + width]
    distance: Plane = np.sqrt(inner) * np.float32(frame.pixel)
    return distance
