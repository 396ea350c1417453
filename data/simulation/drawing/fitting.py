"""The outlines of the shape model that fit a film best: a search over shapes, then over single points."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d, map_coordinates

from data.simulation.drawing.outlines import FLOOR, MEDIAL, MODES, POSE, Array, normals, outlines
from data.simulation.films import Plane

_SEED = 0
"""The search is random, and the same for the same film."""
# Shapes tried at first, starts that are followed, and shapes tried around each of them so many times.
_FIRST, _STARTS, _AROUND, _ROUNDS = 4000, 3, 300, 20
_CHEST_ASPECT = (-0.35, 0.25)
"""Logarithm of half the width of a chest over its height: mean and standard deviation."""
_TILT = 0.06
_SPREAD = np.array([0.04, 0.04, 0.1, 0.1, 0.03, *[0.6] * len(MODES)])
"""Spread of the shapes around a start."""
_FAR = np.array([0.06, 0.06, 0.15, 0.15])
"""Starts are as far from each other as this, in the first numbers of their poses."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """How well shapes `[N]` fit a film; all but `odd` and `size` in [-1, 1]."""

    edge: Array
    """Brighter outside than inside, along both outlines."""
    inside: Array
    """Darkness of the lungs."""
    between: Array
    """Brightness of the mediastinum."""
    below: Array
    """Brightness under the diaphragm."""
    odd: Array
    """Mean square of the deviations from the mean shape."""
    size: Array
    """Logarithm of the area: of two shapes that fit, the larger one."""

    @property
    def total(self) -> Array:
        """One number for each shape; the best one has the largest."""
        found = self.edge + 0.5 * self.inside + 0.35 * self.between + 0.15 * self.below
        return found - 0.12 * self.odd + 0.08 * self.size

    @property
    def log_odds(self) -> Array:
        """Logarithm of the odds that the film is a frontal chest, less what is asked for: 0 is enough.

        A logistic regression on the best shapes of 60 radiographs (portable, turned, opaque and cropped ones,
        each under six changes of exposure, border and pose) and of 250 other pictures: films turned, upside
        down, inverted or cut in half, lateral projections, hands, textures, photographs.
        """
        found = 32 * self.edge + 2 * self.between + 3 * self.below
        return found - 7 * self.odd + 3 * self.size - 14.4


def weigh(shapes: Array, level: Plane) -> Evidence:
    """What speaks for shapes `[N, POSE + len(MODES)]` on a film `[H, W]` in local units, lungs negative."""
    points = outlines(shapes, level.shape).astype(np.float32)
    half_width, height = (np.exp(shapes[:, at]) * level.shape[3 - at] for at in (2, 3))
    shade = np.tanh(level / 0.7)
    centre = points.mean(axis=2, keepdims=True)
    inner = np.concatenate([centre + share * (points - centre) for share in (0.25, 0.55, 0.8)], axis=2)
    right, left = points[:, 0, MEDIAL], points[:, 1, MEDIAL]
    middle = np.concatenate([right + share * (left - right) for share in np.arange(1, 6) / 6], axis=1)
    floor = points[:, :, FLOOR]
    under = [floor + np.stack([0 * height, share * height], -1)[:, None, None] for share in (0.06, 0.12)]
    return Evidence(
        edge=_edge(points, half_width, level),
        inside=-_at(shade, inner[:, :, ::2]).mean(axis=(1, 2)),
        between=_at(shade, middle).mean(axis=1),
        below=_at(shade, np.concatenate(under, axis=2)).mean(axis=(1, 2)),
        odd=_oddness(shapes, half_width / height),
        size=shapes[:, 2] + shapes[:, 3],
    )


def _edge(points: Plane, half_width: Array, level: Plane) -> Array:
    outward, length = normals(points)
    steps = [0.0]
    for share in (0.035, 0.08):
        reach = (share * half_width)[:, None, None, None] * outward
        steps.append(np.tanh((_at(level, points + reach) - _at(level, points - reach)) / 0.6))
    return (sum(steps) * length).sum(axis=(1, 2)) / (2 * length.sum(axis=(1, 2)))


def _at(plane: Plane, points: NDArray[np.floating]) -> Plane:
    """Values `[...]` at the pixels nearest to columns and rows `[..., 2]`; beyond the border, those at it."""
    nearest = np.rint(points).astype(np.intp)
    columns, rows = (np.clip(nearest[..., axis], 0, plane.shape[1 - axis] - 1) for axis in (0, 1))
    return plane.ravel()[rows * plane.shape[1] + columns]


def _oddness(shapes: Array, aspect: Array) -> Array:
    of_pose = (shapes[:, 4] / _TILT) ** 2 + ((np.log(aspect) - _CHEST_ASPECT[0]) / _CHEST_ASPECT[1]) ** 2
    return (shapes[:, POSE:] ** 2).mean(axis=1) + of_pose / len(MODES)


def fit(level: Plane) -> Array:
    """The shape `[1, POSE + len(MODES)]` that fits a film `[H, W]` best.

    A cross-entropy search (Rubinstein, 1999): from the best of many random shapes, each time towards the best
    of those tried around, in a spread that is theirs.
    """
    rng = np.random.default_rng(_SEED)
    found = [_climb(start, level, rng) for start in _starts(level, rng)]
    return max(found, key=lambda shape: weigh(shape, level).total.item())


def _starts(level: Plane, rng: np.random.Generator) -> list[Array]:
    """The best of random shapes that are no neighbours."""
    aspect = rng.normal(*_CHEST_ASPECT, _FIRST)
    shapes = rng.normal(0, 0.7, (_FIRST, POSE + len(MODES)))
    shapes[:, 0] = rng.uniform(0.3, 0.7, _FIRST)
    shapes[:, 2] = np.log(rng.uniform(0.18, 0.52, _FIRST))
    shapes[:, 3] = shapes[:, 2] - aspect + np.log(level.shape[1] / level.shape[0])
    shapes[:, 1] = rng.uniform(-0.1, 1, _FIRST) * np.maximum(1.05 - np.exp(shapes[:, 3]), 0.1)
    shapes[:, 4] = rng.normal(0, _TILT, _FIRST)
    starts: list[Array] = []
    for shape in shapes[np.argsort(-weigh(shapes, level).total)]:
        if all(np.linalg.norm((shape[:4] - start[:4]) / _FAR) > 1.5 for start in starts):
            starts.append(shape)
        if len(starts) == _STARTS:
            break
    return starts


def _climb(start: Array, level: Plane, rng: np.random.Generator) -> Array:
    best, spread = start, _SPREAD
    for _ in range(_ROUNDS):
        around = best + spread * rng.normal(size=(_AROUND, start.size))
        around[0] = best
        elite = around[np.argsort(-weigh(around, level).total)[: _AROUND // 10]]
        best = 0.2 * best + 0.8 * elite.mean(axis=0)
        spread = np.maximum(0.3 * spread + 0.77 * elite.std(axis=0), 0.03 * _SPREAD)
    return best[None]


_DENSE = 120
"""Points of an outline that are moved."""
_OFFSETS = np.linspace(-0.09, 0.09, 25)
"""How far along the normal, as a share of half the width of the chest."""
_STIFFNESS, _PULL = 0.09, 0.25
"""Cost of a step between neighbours of one offset, and of the largest offset; an edge is worth 1 at most."""


def to_edges(points: Array, level: Plane, half_width: float) -> Array:
    """Both outlines `[2, P, 2]` moved to the edges of a film nearby, as `[2, 120, 2]`.

    Each point moves along its normal; of all courses of the offsets that are smooth the best one is taken.

    Args:
        points: columns and rows of the outlines, the right lung first.
        level: `[H, W]` in local units, finer than what the outlines were found on.
        half_width: half the width of the chest in pixels.
    """
    dense = np.stack([_evenly(outline) for outline in points])
    outward = gaussian_filter1d(normals(dense)[0], 1.5, axis=1, mode="wrap")
    outward /= np.linalg.norm(outward, axis=-1, keepdims=True)
    offsets = _OFFSETS * half_width
    reach = max(1.5, 0.02 * half_width)

    def along(offset: Array) -> Plane:
        columns, rows = np.moveaxis(dense[:, :, None] + outward[:, :, None] * offset[:, None], -1, 0)
        return map_coordinates(level, [rows, columns], order=1, mode="nearest")

    edge = np.tanh((along(offsets + reach) - along(offsets - reach)) / 0.5)
    cost = _PULL * (_OFFSETS / _OFFSETS[-1]) ** 2 - edge
    moved = np.stack([offsets[_smoothest(of_one)] for of_one in cost])
    moved = gaussian_filter1d(moved, 1.0, axis=1, mode="wrap")
    return dense + outward * moved[..., None]


def _evenly(outline: Array) -> Array:
    """`_DENSE` points at equal distances along a closed curve `[P, 2]`."""
    closed = np.concatenate([outline, outline[:1]])
    length = np.concatenate([[0], np.linalg.norm(np.diff(closed, axis=0), axis=1).cumsum()])
    at = np.linspace(0, length[-1], _DENSE, endpoint=False)
    return np.stack([np.interp(at, length, closed[:, axis]) for axis in (0, 1)], axis=1)


def _smoothest(cost: Array) -> NDArray[np.intp]:
    """The offset `[P]` of every point of a closed curve with the least cost `[P, offsets]`, steps included.

    Viterbi's recursion, twice around; where the rounds meet, both ends have forgotten where they began.
    """
    count, width = cost.shape
    step = _STIFFNESS * (np.arange(width)[:, None] - np.arange(width)) ** 2
    total, came_from = cost[0], []
    for of_point in np.concatenate([cost[1:], cost]):
        through = total[:, None] + step
        came_from.append(through.argmin(axis=0))
        total = through.min(axis=0) + of_point
    course = [int(total.argmin())]
    for before in reversed(came_from):
        course.append(int(before[course[-1]]))
    half = count // 2
    course.reverse()
    return np.array([*course[count : count + half], *course[half:count]])
