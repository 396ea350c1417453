import numpy as np
import pytest

from data.findings import CHANGE_SCALE
from data.simulation.films import change_map, expose, expose_again, logistic, logit, resized


def rng():
    return np.random.default_rng(0)


def test_dense_tissue_is_bright_and_the_tone_curve_is_fixed():
    ramp = np.tile(np.linspace(0, 6, 64, dtype=np.float32), (64, 1))
    film = expose(ramp, rng())
    assert film.min() >= 0 and film.max() <= 1
    columns = film.mean(axis=0)
    assert (np.diff(columns[::4]) > 0).all()
    # No stretch to the image's own range: a thin patient stays dark.
    assert expose(np.float32(0.2) * ramp, rng()).max() < 0.4


def test_targets_are_scaled_signed_and_clipped():
    lines = np.array([[0.0, 0.5 * CHANGE_SCALE, -0.5 * CHANGE_SCALE, 9.0, -9.0]], dtype=np.float32)
    np.testing.assert_allclose(change_map(lines), [[0.0, 0.5, -0.5, 1.0, -1.0]])


def test_the_logit_is_the_inverse_of_the_tone_curve():
    exposure = np.linspace(-3, 3, 20, dtype=np.float32)
    np.testing.assert_allclose(logit(logistic(exposure)), exposure, atol=1e-5)
    assert logistic(np.zeros(1)) == 0.5


def test_another_exposure_shifts_and_stretches_the_logit():
    film = np.linspace(0.05, 0.95, 30, dtype=np.float32)[None]
    none = {"shift": 0.0, "slope": 0.0, "exponent": 0.0, "noise": 0.0}
    np.testing.assert_array_equal(expose_again(film, **none, rng=rng()), film)
    shown = expose_again(film, **none | {"shift": 0.2, "slope": 0.1}, rng=rng())
    np.testing.assert_allclose(logit(shown, 1e-5), 1.1 * logit(film, 1e-5) + 0.2, atol=1e-4)
    np.testing.assert_allclose(expose_again(film, **none | {"exponent": 1.0}, rng=rng()), film**2, rtol=1e-6)
    noisy = expose_again(np.full((80, 80), 0.5, np.float32), **none | {"noise": 0.1}, rng=rng())
    assert noisy.std() == pytest.approx(0.1, rel=0.05)


def test_a_resized_film_keeps_its_aspect_ratio_and_its_mean():
    film = rng().random((60, 90), dtype=np.float32)
    small = resized(film, 30)
    assert small.shape == (20, 30)
    assert small.mean() == pytest.approx(film.mean(), abs=0.01)
