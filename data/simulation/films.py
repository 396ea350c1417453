"""Between line integrals and grey values: what a film shows of attenuation, and attenuation added to it.

The tone curve is a logistic function, dense tissue bright:

    line integral = width * logit(grey) + centre.

A projected volume is exposed with a known one. The width of a real film's curve is not known; the one is
taken with which heart and lung of this film differ by as much as they do in a projected chest CT. Its centre
is never needed.
"""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.findings import CHANGE_SCALE

Plane = NDArray[np.float32]

TONE_CENTRE = 2.75
"""Line integral shown as mid-grey."""
TONE_WIDTH = 0.85
"""Line integral over which the tone curve rises from 0.5 to 0.73."""
SCATTER_SHARE = 0.25
"""Scattered radiation behind the grid, relative to the primary radiation around a pixel."""
LUNG_TO_HEART = 1.28
"""Line integral by which the heart left of the spine exceeds the lung fields: median against median, mean of
28 projections of the embedded CT, standard deviation 0.11."""
TOE = 0.03
"""Grey values nearer than this to black or white are taken as this far: there the film has no contrast left,
and a logit would turn rounding into attenuation."""
_SCATTER_SPREAD = 0.12
_LEAST_CONTRAST = 0.1
_BLACK = 1e-5


def logistic(exposure: NDArray[Any]) -> NDArray[Any]:
    """The tone curve: grey in (0, 1) of a line integral in units of the curve's width, 0 is mid-grey."""
    return 1 / (1 + np.exp(-exposure))


def logit(grey: Plane, toe: float = TOE) -> Plane:
    """Inverse of the tone curve, in units of its width; grey within `toe` of the ends counts as `toe`."""
    inside = np.clip(grey, toe, 1 - toe)
    return np.log(inside / (1 - inside))


def expose(lines: Plane, rng: np.random.Generator) -> Plane:
    """What the detector shows of line integrals `[H, W]`: grey `[H, W]` in [0, 1], dense tissue bright.

    The primary radiation exp(-line integral) is veiled by scatter; its negative logarithm goes through one
    fixed tone curve, so the same tissue looks the same in every image but for a small random exposure and
    contrast, and a mild noise.
    """
    primary = np.exp(-lines.astype(np.float64))
    spread = _scatter_matrix(primary.shape[-1])
    scatter = spread @ primary @ spread.T
    share = SCATTER_SHARE * rng.uniform(0.8, 1.2)
    density = -np.log((primary + share * scatter) / (1 + share))
    centre = TONE_CENTRE + rng.normal(0, 0.06)
    width = TONE_WIDTH * np.exp(rng.normal(0, 0.04))
    film = logistic((density - centre) / width)
    film += rng.normal(0, rng.uniform(0.002, 0.005), film.shape)
    return np.clip(film, 0, 1).astype(np.float32)


@lru_cache(maxsize=2)
def _scatter_matrix(size: int) -> NDArray[np.float64]:
    """Gaussian blur of `size` pixels as a matrix: its kernel is so wide that a product is much faster."""
    from scipy.ndimage import gaussian_filter1d

    return np.asarray(gaussian_filter1d(np.eye(size), _SCATTER_SPREAD * size, axis=0, mode="nearest"))


def expose_again(
    film: Plane, *, shift: float, slope: float, exponent: float, noise: float, rng: np.random.Generator
) -> Plane:
    """A film `[H, W]` in [0, 1] under another exposure; with zeros throughout it stays as it is.

    Args:
        film: the film.
        shift: shift of its tone curve, in units of the curve's width.
        slope: relative change of the slope of the curve.
        exponent: relative change of the exponent of the grey values.
        noise: standard deviation of additive Gaussian noise.
        rng: source of the noise.
    """
    if shift or slope:
        film = logistic(logit(film, _BLACK) * np.float32(1 + slope) + np.float32(shift))
    if exponent:
        film = film ** np.float32(1 + exponent)
    if noise:
        film = film + rng.normal(0, noise, film.shape).astype(np.float32)
    return np.clip(film, 0, 1)


def resized(film: Plane, longest: int, aspect: float = 1.0) -> Plane:
    """A film whose longest side has so many pixels, square ones; now they are `aspect` as high as wide."""
    from skimage.transform import resize

    lengths = film.shape[0] * aspect, film.shape[1]
    scale = longest / max(lengths)
    shape = tuple(max(1, round(length * scale)) for length in lengths)
    shrinks = shape[0] < film.shape[0] or shape[1] < film.shape[1]
    return resize(film, shape, order=1, anti_aliasing=shrinks).astype(np.float32)


def tone_width(lung: float, heart: float) -> float:
    """Width of the tone curve of a film on which lung and heart have these grey values."""
    low, high = logit(np.array([lung, heart], dtype=np.float32))
    return LUNG_TO_HEART / max(float(high - low), _LEAST_CONTRAST)


def add_attenuation(grey: Plane, added: Plane, width: float) -> Plane:
    """A film `[H, W]` in [0, 1] with line integrals added to what it shows.

    Where nothing is added the film keeps its value exactly. Between `TOE` and 1 - `TOE` the logit rises by
    `added / width`; beyond, the tone curve saturates.
    """
    inside = np.clip(grey, TOE, 1 - TOE)
    exposed = logistic(logit(grey) + added / np.float32(width))
    return np.where(added == 0, grey, np.clip(grey + (exposed - inside), 0, 1)).astype(np.float32)


def change_map(lines: Plane) -> Plane:
    """Target `[..., H, W]` in [-1, 1] from the change of the line integrals; positive is more attenuation."""
    return np.clip(lines / np.float32(CHANGE_SCALE), -1, 1)
