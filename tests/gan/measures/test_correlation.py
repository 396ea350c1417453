"""Pearson's correlation of maps with their targets, over any number of pairs."""

import numpy as np
import pytest
import torch
from torchmetrics.functional.regression import pearson_corrcoef

from gan.measures.pairs import PairSums, measure


def row(values):
    """One 16x16 map whose first row starts with `values`."""
    image = torch.zeros(1, 1, 16, 16)
    image[0, 0, 0, : len(values)] = torch.tensor(values)
    return image


def correlation(prediction, target, valid, *, signed=False):
    return measure(prediction, target, valid, signed=signed).total()["correlation"].item()


def test_it_is_of_the_pixels_that_count_whatever_the_scale():
    target, prediction = row([0.0, 0.5, 1.0, 0.9]), row([0.2, 0.1, 0.3, 0.7])
    valid = torch.zeros_like(target, dtype=torch.bool)
    valid[0, 0, 0, :3] = True
    # About their means (-1/2, 0, 1/2) and (0, -1/10, 1/10): 0.05 / sqrt(0.5 * 0.02).
    for maps in (prediction, 0.1 * prediction, prediction + 0.3):
        assert correlation(maps, target, valid) == pytest.approx(0.5)
    assert correlation(-prediction, target, valid, signed=True) == pytest.approx(-0.5)


def test_of_several_pairs_it_is_that_of_all_their_pixels():
    generator = torch.Generator().manual_seed(0)
    target = torch.rand(3, 1, 16, 16, generator=generator)
    prediction = (0.5 * target + 0.4 * torch.rand(3, 1, 16, 16, generator=generator)).clamp(0, 1)
    valid = torch.rand(3, 1, 16, 16, generator=generator) > 0.3
    sums = PairSums.joined(
        [
            measure(prediction[part], target[part], valid[part], signed=False)
            for part in (slice(2), slice(2, 3))
        ]
    )
    expected = pearson_corrcoef(prediction[valid].double(), target[valid].double()).item()
    assert sums.total()["correlation"].item() == pytest.approx(expected, abs=1e-9)
    of_each = [
        pearson_corrcoef(p[v].double(), t[v].double()).item()
        for p, t, v in zip(prediction, target, valid, strict=True)
    ]
    np.testing.assert_allclose(sums.numbers()["correlation"], of_each, atol=1e-9)


def test_what_is_the_same_everywhere_correlates_with_nothing():
    target = row([0.5])
    valid = torch.ones_like(target, dtype=torch.bool)
    for constant in (0.0, 0.1, 1.0):
        assert np.isnan(correlation(torch.full_like(target, constant), target, valid))
        assert np.isnan(correlation(target, torch.full_like(target, constant), valid))
