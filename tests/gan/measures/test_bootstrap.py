"""Intervals cover what they promise."""

import numpy as np
import pytest

from gan.measures.bootstrap import interval, resample


def test_patients_are_drawn_with_replacement_and_always_as_many():
    weights = resample(7, 200, seed=3)
    assert (weights.sum(1) == 7).all()
    assert weights.mean(0) == pytest.approx(np.ones(7), abs=0.3)
    assert (resample(7, 200, seed=3) == weights).all()
    assert (resample(7, 200, seed=4) != weights).any()


@pytest.mark.parametrize("patients", [16, 60])
def test_intervals_of_a_pooled_rate_cover_the_truth(patients):
    """Pairs of one patient are alike: an error drawn for the patient, on as many pairs as chance has it."""
    rng, trials, inside = np.random.default_rng(0), 400, 0
    for trial in range(trials):
        pairs = rng.integers(1, 9, patients)
        errors = pairs * rng.normal(0.3, 0.1, patients) + rng.normal(0, 0.05, patients)
        weights = resample(patients, 300, seed=trial)
        low, high = interval(weights @ errors / (weights @ pairs), patients)
        inside += bool(low <= 0.3 <= high)
    assert 0.92 <= inside / trials <= 0.98


def test_replicates_without_a_value_are_left_out():
    values = np.arange(100.0)
    values[::2] = np.nan
    low, high = interval(values, 1000)
    assert low == pytest.approx(np.nanquantile(values, 0.025), abs=0.2)
    assert high == pytest.approx(np.nanquantile(values, 0.975), abs=0.2)
    assert all(np.isnan(interval(np.full(10, np.nan), 5)))
