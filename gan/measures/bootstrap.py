"""Intervals by resampling patients: the pairs of one patient are alike, and are drawn together."""

import warnings

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, t

from gan.measures.scores import Values

CONFIDENCE = 0.95


def resample(patients: int, replicates: int, seed: int = 0) -> NDArray[np.float64]:
    """How often each patient is drawn `[replicates, patients]`, with replacement, as many as there are."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(patients, np.full(patients, 1 / patients), size=replicates).astype(np.float64)


def interval(replicates: Values, patients: int) -> tuple[Values, Values]:
    """Ends of the 95 % intervals `[...]` of numbers of so many bootstrap replicates `[R, ...]`.

    Percentiles further out than 2.5 and 97.5, by what Student's t has wider tails than the normal and by
    sqrt(n / (n - 1)): plain percentiles cover too little where patients are few. Replicates without a value
    (NaN), in which nothing changed, are left out.

    Source: Hesterberg, "What teachers should know about the bootstrap", The American Statistician 2015,
    section 4.3 (expanded percentile interval).
    """
    tail = norm.cdf(np.sqrt(patients / (patients - 1)) * t.ppf((1 - CONFIDENCE) / 2, patients - 1))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="All-NaN slice")
        low, high = np.nanquantile(replicates, [tail, 1 - tail], axis=0)
    return low, high
