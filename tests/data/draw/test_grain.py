"""Noise and sharpness of a film, against noise whose blur and deviation are known."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from data.simulation.drawing.grain import Grain

SHAPE = (400, 400)


def grainy(sigma, blur, seed=0, level=0.5):
    white = np.random.default_rng(seed).normal(size=SHAPE)
    noise = gaussian_filter(white, blur) if blur else white
    return (level + sigma * noise / noise.std()).astype(np.float32)


@pytest.mark.parametrize("sigma", [0.003, 0.02])
@pytest.mark.parametrize("blur", [0.5, 0.8, 1.2])
def test_blur_and_noise_are_those_of_the_film(sigma, blur):
    grain = Grain.of(grainy(sigma, blur))
    assert grain.blur == pytest.approx(blur, abs=0.15)
    assert np.interp(0.5, grain.greys, grain.noise) == pytest.approx(sigma, rel=0.35)  # the calmest quarter


def test_white_noise_is_sharp():
    assert Grain.of(grainy(0.01, 0)).blur < 0.45


def test_noise_is_told_apart_by_grey_value():
    film = np.concatenate([grainy(0.004, 0.7, level=0.25), grainy(0.016, 0.7, seed=1, level=0.7)])
    grain = Grain.of(film)
    dark, dense = np.interp([0.25, 0.7], grain.greys, grain.noise)
    assert dense / dark == pytest.approx(4, rel=0.2)


@pytest.mark.parametrize(
    "film", [np.zeros(SHAPE), np.full(SHAPE, 0.5), np.tile(np.linspace(0, 1, 400), (400, 1))]
)
def test_a_film_without_noise_gets_none(film):
    film = film.astype(np.float32)
    grain = Grain.of(film)
    assert 0 <= grain.blur <= 1.5 and np.isfinite(grain.noise).all()
    brighter = np.clip(film + 0.1, 0, 1)
    shown = grain.renew(film, brighter, np.random.default_rng(0))
    np.testing.assert_allclose(shown, brighter, atol=0.005)


def test_what_is_drawn_gets_the_noise_of_its_new_grey_value_and_nothing_else_does():
    """A quiet lung beside a grainy heart: made as dense as the heart, the lung has its noise."""
    film = np.concatenate([grainy(0.004, 0.7, level=0.3), grainy(0.012, 0.7, seed=1, level=0.6)])
    after = film.copy()
    after[:200] += 0.3
    shown = Grain.of(film).renew(film, after, np.random.default_rng(2))
    assert shown[:200].std() == pytest.approx(0.012, rel=0.25)
    np.testing.assert_array_equal(shown[200:], film[200:])


def test_softening_keeps_what_was_added():
    grain = Grain.of(grainy(0.01, 1.0))
    added = np.zeros(SHAPE, dtype=np.float32)
    added[100:200, 150:250] = 0.4
    soft = grain.soften(added)
    assert soft.sum() == pytest.approx(added.sum(), rel=1e-4)
    assert np.abs(np.diff(soft, axis=1)).max() < 0.6 * 0.4
