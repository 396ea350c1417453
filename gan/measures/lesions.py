"""Changes counted as lesions: which are found, and how many marks are false, at every threshold."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from skimage.measure import label

from gan.measures.scores import Values, bin_from

LEVELS: tuple[int, ...] = tuple(bin_from(score) for score in expit(np.linspace(-5, 4, 40)))
"""Bins from which a map is taken as marked, for the curve of sensitivity over false marks."""
SIZES = {"small": 0.005, "medium": 0.02, "large": 1.0}
"""Lesions by their largest share of the image."""
RATES = (1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8)
"""False marks a pair at which sensitivities are told, as in Setio et al., MedIA 2017 (LUNA16)."""
_FOUND_FROM = 0.1
_SPECK = 1e-4, 3


@dataclass(frozen=True)
class Lesions:
    """What the marks of one pair find, at T thresholds."""

    found: NDArray[np.bool_]
    """Of every lesion `[L, T]`."""
    share: Values
    """Of the image, of every lesion `[L]`."""
    false: NDArray[np.int64]
    """False marks `[T]`."""
    marks: NDArray[np.int64]
    """All marks `[T]`."""


def find_lesions(
    bins: NDArray[np.integer], changed: NDArray[np.bool_], pixels: int, levels: tuple[int, ...]
) -> Lesions:
    """Match the components of a map with those of its target.

    A lesion is found where one mark has an intersection over union with it of at least 0.1. A mark that finds
    none is false, unless half of it or more lies on change. Components (8-connected) below 1/10,000 of the
    image, or of less than 3 pixels, are specks, neither lesions nor marks.

    Args:
        bins: score of every pixel `[H, W]` as a bin of `gan.measures.scores`; -1 where none counts.
        changed: where the target changed `[H, W]`.
        pixels: how many count.
        levels: bins from which a pixel is marked.
    """
    lesions, areas = label_components(changed, pixels)
    found = np.zeros((len(areas), len(levels)), bool)
    false, marks = np.zeros((2, len(levels)), np.int64)
    box = _box(bins >= min(levels))
    inside, on, within = bins[box], changed[box], lesions[box]
    highest = int(inside.max(initial=-1))
    for place, level in enumerate(levels):
        if level > highest:
            continue
        components, sizes = label_components(inside >= level, pixels)
        if not len(sizes):
            continue
        both = _counts(within, components, len(areas), len(sizes))
        hits = both / (areas[:, None] + sizes - both) >= _FOUND_FROM
        on_change = np.bincount(components[on], minlength=len(sizes) + 1)[1:]
        found[:, place] = hits.any(1)
        marks[place] = len(sizes)
        false[place] = np.sum(~hits.any(0) & (on_change < sizes / 2))
    return Lesions(found, areas / max(pixels, 1), false, marks)


def label_components(mask: NDArray[np.bool_], pixels: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Numbers from 1 of the components `[H, W]`, 0 elsewhere and on specks; and their areas."""
    if not mask.any():
        return np.zeros(mask.shape, np.int64), np.zeros(0, np.int64)
    labels = label(mask, connectivity=2)
    areas = np.bincount(labels.ravel())
    areas[0] = 0
    kept = areas >= max(_SPECK[0] * pixels, _SPECK[1])
    numbers = np.where(kept, kept.cumsum(), 0)
    return numbers[labels], areas[kept]


def _counts(
    lesions: NDArray[np.int64], marks: NDArray[np.int64], rows: int, columns: int
) -> NDArray[np.int64]:
    """Pixels that each lesion and each mark share, `[rows, columns]`."""
    both = (lesions > 0) & (marks > 0)
    cells = (lesions[both] - 1) * columns + marks[both] - 1
    return np.bincount(cells, minlength=rows * columns).reshape(rows, columns)


def _box(mask: NDArray[np.bool_]) -> tuple[slice, slice]:
    """The rectangle around a mask; empty where it is."""
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    if not len(rows):
        return slice(0, 0), slice(0, 0)
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def sensitivities(found: Values, lesions: Values, false: Values, pairs: Values) -> Values:
    """The highest sensitivity at every one of `RATES` that a threshold with no more false marks has.

    Args:
        found: lesions found `[..., T]`.
        lesions: lesions there are `[...]`.
        false: false marks `[..., T]`.
        pairs: pairs looked at `[...]`.

    Returns:
        `[..., 7]`; NaN where there is no lesion.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        sensitivity, rate = found / lesions[..., None], false / pairs[..., None]
    reached = [np.where(rate <= allowed, sensitivity, 0).max(-1) for allowed in RATES]
    return np.where(lesions[..., None] > 0, np.stack(reached, -1), np.nan)
