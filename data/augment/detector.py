"""How a detector and its maker's processing show what reached it.

The tone curve that every film of ours has been through, a logistic function, is undone; what comes out is the
line integral in units of the curve's width, but for a constant. From there on each image is exposed and
processed anew. Real films, whose curve nobody knows, go the same way.
"""

import torch
from kornia.enhance import adjust_gamma
from kornia.filters import box_blur
from torch import Tensor
from torch.nn.functional import interpolate

from data.augment.draws import Numbers
from data.augment.placement import smooth
from data.config import AugmentConfig

TOE = 1e-3
"""Grey values nearer than this to black or white hold no line integral."""
_DETAIL_SCALES = (20, 8)
"""Sizes of the detail that is enhanced, in parts of the image's size."""
_NEIGHBOURHOOD = 6
"""Size of the neighbourhood of local equalisation, in parts of the image's size."""


def detect(film: Tensor, numbers: Numbers, config: AugmentConfig) -> Tensor:
    """Films `[N, 1, H, W]` in `[0, 1]`, exposed and processed anew; with zeros throughout they stay."""
    for step in (_expose, _enhance_detail, _equalise, _adjust_gamma, _window, _soften, _add_noise):
        film = step(film, numbers, config)
    return film


def log_odds(film: Tensor) -> Tensor:
    """The line integral in units of the tone curve's width, but for a constant."""
    return torch.logit(film, eps=TOE)


def _expose(film: Tensor, numbers: Numbers, config: AugmentConfig) -> Tensor:
    """Shift, slope and shading (scatter, the heel of the anode) of the tone curve."""
    if not (config.exposure or config.contrast or config.shading):
        return film
    density = log_odds(film)
    middle = density.mean((2, 3), keepdim=True)
    (contrast,), (exposure,) = numbers.each("contrast"), numbers.each("exposure")
    density = middle + (density - middle) * torch.exp(config.contrast * contrast) + config.exposure * exposure
    if config.shading:
        strength, knots = numbers["shading"].split([1, 9], dim=1)
        field = smooth(knots.view(-1, 1, 3, 3), film.shape[-2:])
        density = density + config.shading * (strength[..., None, None] + 1) / 2 * field
    return density.sigmoid()


def _enhance_detail(film: Tensor, numbers: Numbers, config: AugmentConfig) -> Tensor:
    """Detail of two sizes made stronger, each in half of the films."""
    if not config.detail:
        return film
    draws = numbers.shares("detail")
    for part, used, strength in zip(_DETAIL_SCALES, draws[:2], draws[2:], strict=True):
        film = film + config.detail * strength * (used < 0.5) * (film - _coarse(film, part))
    return film.clamp(0, 1)


def _equalise(film: Tensor, numbers: Numbers, config: AugmentConfig) -> Tensor:
    """Part of the way to equal brightness and contrast everywhere, in half of the films."""
    if not config.equalise:
        return film
    used, strength = numbers.shares("equalise")
    mean = _coarse(film, _NEIGHBOURHOOD)
    spread = (_coarse((film - mean) ** 2, _NEIGHBOURHOOD).clamp(min=0) + 0.03**2).sqrt()
    equal = (0.5 + 0.2 * (film - mean) / spread).clamp(0, 1)
    return torch.lerp(film, equal, config.equalise * strength * (used < 0.5))


def _adjust_gamma(film: Tensor, numbers: Numbers, config: AugmentConfig) -> Tensor:
    return adjust_gamma(film, torch.exp(config.gamma * numbers["gamma"][:, 0])) if config.gamma else film


def _window(film: Tensor, numbers: Numbers, config: AugmentConfig) -> Tensor:
    """Ends of the grey range cut off, or left unused, each end in half of the films."""
    if not config.window:
        return film
    cut_low, cut_high, low, high = numbers.each("window")
    low, high = (config.window * (end + 1) / 2 for end in (low, high))
    black, white = low * (cut_low < 0), high * (cut_high < 0)
    film = ((film - black) / (1 - black - white)).clamp(0, 1)
    black, white = low * (cut_low > 0.5), high * (cut_high > 0.5)
    return black + film * (1 - black - white)


def _soften(film: Tensor, numbers: Numbers, config: AugmentConfig) -> Tensor:
    """Blur or, less, sharpen by the nearest pixels, in half of the films."""
    if not config.blur:
        return film
    used, strength = numbers.each("blur")
    strength = config.blur * torch.where(strength < 0, 0.5 * strength, strength) * (used < 0)
    return torch.lerp(film, box_blur(film, (3, 3)), strength).clamp(0, 1)


def _add_noise(film: Tensor, numbers: Numbers, config: AugmentConfig) -> Tensor:
    """Noise of one deviation an image, in half of the films spread over neighbouring pixels; grid lines."""
    if not config.noise:
        return film
    spread, strength = numbers.each("noise")
    noise = numbers.normal(film.shape[1:])
    noise = torch.where(spread < 0, 2 * box_blur(noise, (3, 3)), noise)
    deviation = config.noise * strength.abs()
    used, frequency, phase, amplitude = numbers.shares("grid")
    amplitude = amplitude * (used < 0.15)
    x = torch.arange(film.shape[-1], device=film.device)
    lines = amplitude * torch.sin(torch.pi * ((0.2 + 0.7 * frequency) * x + 2 * phase))
    return (film + deviation * (noise + lines) / (1 + amplitude**2 / 2).sqrt()).clamp(0, 1)


def _coarse(film: Tensor, parts: int) -> Tensor:
    """Without what is smaller than the image's size in so many parts."""
    small = interpolate(film, size=(parts, parts), mode="area")
    return interpolate(small, size=film.shape[-2:], mode="bicubic", align_corners=False)
