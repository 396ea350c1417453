"""Rankings of pixels by a score, from histograms that are fine enough for AUROC and average precision.

A histogram is additive: that of many pairs is the sum of theirs, so that a map need not be kept to be
ranked among others. Bins are equally wide in the logit of the score, which spreads what a sigmoid presses to
0 and 1.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

BINS = 4096
"""Bins of a score; AUROC and average precision differ from those of the scores by less than 1e-4."""
_LOWEST, _HIGHEST = -32.0, 17.0  # in logits; above, float32 knows no number below 1
_WIDTH = (_HIGHEST - _LOWEST) / (BINS - 1)

Values = NDArray[np.float64]


def bin_of(score: Tensor) -> Tensor:
    """The bin of every score in `[0, 1]`, int64 in `[0, BINS)`; 0 holds what is below 1e-14."""
    place = (torch.logit(score.float()) - _LOWEST) / _WIDTH
    return place.floor().clamp(-1, BINS - 2).long() + 1


def bin_from(score: float) -> int:
    """The first bin whose scores are all at least `score`, but for half a bin's width."""
    return int(np.abs(EDGES - score).argmin())


def _edges() -> Values:
    logits = _LOWEST + _WIDTH * np.arange(BINS - 1)
    return np.concatenate([[0.0], 1 / (1 + np.exp(-logits))])


EDGES = _edges()
"""Lowest score of every bin."""


def count_scores(bins: Tensor, positive: Tensor, valid: Tensor) -> Tensor:
    """Histograms `[B, 2, BINS]` of the negative and of the positive pixels that count.

    Args:
        bins: `[B, 1, H, W]`, see `bin_of`.
        positive: `[B, 1, H, W]` bool.
        valid: `[B, 1, H, W]` bool.
    """
    pair = torch.arange(len(bins), device=bins.device)[:, None, None, None]
    cells = ((2 * pair + positive) * BINS + bins)[valid]
    return torch.bincount(cells, minlength=2 * BINS * len(bins)).view(-1, 2, BINS)


def auroc(counts: NDArray[np.generic]) -> Values:
    """Area under the ROC curve `[...]` of histograms `[..., 2, BINS]`; NaN where a class is empty."""
    negative, positive = _classes(counts)
    below = negative.cumsum(-1) - negative / 2
    return _ratio((positive * below).sum(-1), positive.sum(-1) * negative.sum(-1))


def average_precision(counts: NDArray[np.generic]) -> Values:
    """Sum of precisions, each times the rise in recall `[...]`; NaN where nothing is positive.

    Within a bin all orders of its pixels are taken as equally likely: among p positive and n negative pixels
    below H hits of M pixels, positive pixel j has about the precision (H + j) / (M + j (1 + n / (p + 1))),
    whose sum over j is an integral from 1/2 to p + 1/2. Scores of 0, and those of 1, share one precision.
    """
    negative, positive = _classes(counts)
    hits = _from_above(positive) - positive
    marked = _from_above(negative) - negative + hits
    step = 1 + negative / (positive + 1)
    growth = np.log((marked + step * (positive + 0.5)) / (marked + step / 2))
    gained = (positive + (hits - marked / step) * growth) / step
    ends = [0, -1]
    reached = (hits + positive)[..., ends] / np.maximum((marked + negative + positive)[..., ends], 1)
    gained[..., ends] = positive[..., ends] * reached
    return _ratio(gained.sum(-1), positive.sum(-1))


def overlaps(counts: NDArray[np.generic]) -> tuple[Values, Values]:
    """Dice and intersection over union of what is positive and what scores at least each edge `[..., BINS]`.

    NaN where nothing is positive.
    """
    negative, positive = _classes(counts)
    hits, total = _from_above(positive), positive.sum(-1, keepdims=True)
    union = total + _from_above(negative)
    some = np.where(total > 0, 1, 0)
    return _ratio(2 * hits * some, (hits + union) * some), _ratio(hits * some, union * some)


def best_threshold(counts: NDArray[np.generic]) -> int:
    """The bin, not that of 0, from which the mean Dice over the pairs `[N, 2, BINS]` that changed is highest.

    Raises:
        ValueError: none changed.
    """
    changed = counts[counts[:, 1].sum(-1) > 0]
    if not len(changed):
        raise ValueError("no pair changed, so that no threshold is better than another")
    return 1 + int(overlaps(changed)[0].mean(0)[1:].argmax())


def _classes(counts: NDArray[np.generic]) -> tuple[Values, Values]:
    values = counts.astype(np.float64)
    return values[..., 0, :], values[..., 1, :]


def _from_above(values: Values) -> Values:
    return values[..., ::-1].cumsum(-1)[..., ::-1]


def _ratio(above: Values, below: Values) -> Values:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(below > 0, above / below, np.nan)
