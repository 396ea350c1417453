"""Rankings from histograms against rankings of the scores themselves."""

import numpy as np
import pytest
import torch

from gan.measures.scores import (
    BINS,
    EDGES,
    auroc,
    average_precision,
    best_threshold,
    bin_from,
    bin_of,
    count_scores,
    overlaps,
)


def counted(score, positive):
    maps = torch.as_tensor(score)[None, None, None], torch.as_tensor(positive)[None, None, None]
    return count_scores(bin_of(maps[0]), maps[1], torch.ones_like(maps[1])).numpy()[0]


def slow_auroc(score, positive):
    """How often a positive exceeds a negative, ties counted half."""
    above = score[positive][:, None] - score[~positive]
    return float(((above > 0) + (above == 0) / 2).mean())


def slow_average_precision(score, positive):
    """scikit-learn's: precision at every distinct score, times the rise in recall."""
    found, area = 0, 0.0
    for value in sorted(set(score.tolist()), reverse=True):
        hits = int((score[positive] >= value).sum())
        area += (hits - found) / positive.sum() * hits / (score >= value).sum()
        found = hits
    return float(area)


@pytest.mark.parametrize("seed", range(3))
def test_scores_in_bins_of_their_own_are_ranked_exactly(seed):
    rng = np.random.default_rng(seed)
    score = EDGES[rng.choice(np.arange(1, 3000, 2), 120, replace=False)].astype(np.float32) * 1.0001
    positive = rng.random(120) < 0.3
    counts = counted(score, positive)
    assert auroc(counts) == pytest.approx(slow_auroc(score, positive), abs=1e-6)
    assert average_precision(counts) == pytest.approx(slow_average_precision(score, positive), abs=1e-6)


def test_equal_scores_share_one_precision():
    score, positive = np.array([1, 1, 0, 0, 0, 0], np.float32), np.array([1, 0, 1, 0, 0, 0], bool)
    counts = counted(score, positive)
    # Half of the two at the top, then a third of all six.
    assert average_precision(counts) == pytest.approx((1 / 2 + 1 / 3) / 2)
    assert auroc(counts) == pytest.approx(slow_auroc(score, positive))


@pytest.mark.parametrize(
    "squash",
    [
        lambda z: torch.sigmoid(z - 4),
        lambda z: torch.sigmoid(3 * z - 2),
        lambda z: (z.abs() / 10).clamp(0, 1),
        lambda z: torch.tanh(z / 4).clamp(0, 1),
    ],
    ids=["sigmoid", "steep sigmoid", "difference", "positive part of tanh"],
)
@pytest.mark.parametrize(("share", "distance"), [(0.04, 2.0), (0.01, 1.0)])
def test_any_scores_are_ranked_to_a_ten_thousandth(squash, share, distance):
    from torchmetrics.functional.classification import binary_auroc, binary_average_precision

    generator = torch.Generator().manual_seed(0)
    positive = torch.rand(400_000, generator=generator) < share
    score = squash(torch.randn(400_000, generator=generator) + distance * positive)
    counts = counted(score, positive)
    exact = binary_average_precision(score, positive.int()).item()
    assert auroc(counts) == pytest.approx(binary_auroc(score, positive.int()).item(), abs=1e-4)
    assert average_precision(counts) == pytest.approx(exact, abs=1e-4)


def test_without_one_of_the_classes_there_is_no_ranking():
    nothing = counted(np.array([0.1, 0.9], np.float32), np.array([False, False]))
    assert np.isnan(auroc(nothing))
    assert np.isnan(average_precision(nothing))
    assert np.isnan(overlaps(nothing)[0]).all()


def test_overlaps_are_those_of_the_thresholded_map():
    rng = np.random.default_rng(0)
    score, positive = rng.random(500).astype(np.float32), rng.random(500) < 0.3
    dice, union = overlaps(counted(score, positive))
    level = bin_from(0.6)
    marked = score >= EDGES[level]
    both = (marked & positive).sum()
    assert dice[level] == pytest.approx(2 * both / (marked.sum() + positive.sum()), abs=1e-6)
    assert union[level] == pytest.approx(both / (marked | positive).sum(), abs=1e-6)


def test_the_best_threshold_is_where_the_mean_dice_is_highest():
    score = np.array([[0.2, 0.3, 0.7, 0.8], [0.1, 0.6, 0.65, 0.9]], np.float32)
    positive = np.array([[False, False, True, True], [False, False, True, True]])
    counts = np.stack([counted(s, p) for s, p in zip(score, positive, strict=True)])
    assert 0.6 < EDGES[best_threshold(counts)] <= 0.65
    assert best_threshold(np.concatenate([counts, np.zeros((1, 2, BINS), int)])) == best_threshold(counts)
    with pytest.raises(ValueError, match="no pair changed"):
        best_threshold(np.zeros((1, 2, BINS), int))


def test_a_map_that_is_empty_is_marked_nowhere():
    empty = counted(np.zeros(4, np.float32), np.array([True, False, False, False]))
    assert best_threshold(empty[None]) > 0


def test_bins_and_their_edges_agree():
    score = torch.rand(1000, generator=torch.Generator().manual_seed(0))
    bins = bin_of(score).numpy()
    edges = np.append(EDGES, np.inf)
    assert (edges[bins] <= score.numpy() * (1 + 1e-5)).all()
    assert (score.numpy() <= edges[bins + 1] * (1 + 1e-5)).all()
