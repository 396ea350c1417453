"""What lies on a film and is no change: collimation, letters, cables, electrodes; and structure beneath both.

Everything is drawn by its distance from a pixel, in parts of the image's size, so one code serves every size.
"""

from functools import lru_cache

import numpy as np
import torch
from kornia.geometry.transform import remap
from torch import Tensor

from data.augment.detector import log_odds
from data.augment.draws import Numbers
from data.augment.placement import smooth
from data.config import AugmentConfig

_WORDS = ("L", "R", "AP", "PA", "PORT", "ERECT", "SUPINE", "L LL", "12:41", "03.07")


def lay_objects(film: Tensor, numbers: Numbers, config: AugmentConfig) -> tuple[Tensor, Tensor | None]:
    """Lay cables, electrodes, collimation and letters on films, each kind with the same probability.

    Args:
        film: `[N, 1, H, W]` in `[0, 1]`.
        numbers: those of each film.
        config: `objects` is the probability.

    Returns:
        The films, and what collimation leaves to be seen of each, 1 or 0; None where there are no objects.
    """
    if not config.objects:
        return film, None
    x, y = _axes(film)
    metal = _cables(x, y, numbers, config.objects) + _electrodes(x, y, numbers, config.objects)
    film = torch.where(metal > 1e-3, (log_odds(film) + metal).sigmoid(), film)
    film, seen = _collimate(film, x, y, numbers, config.objects)
    return _write(film, x, y, numbers, config.objects), seen


def share_structure(images: Tensor, numbers: Numbers, config: AugmentConfig) -> Tensor:
    """Give baseline and followup `[2 B, 1, H, W]` the same random fields and bands beside their anatomy.

    One CT has few anatomies; what differs between two images is to be told from what they share, whatever
    that is.
    """
    if not config.structure:
        return images
    used, strength = numbers.shares("structure")
    x, y = _axes(images)
    coarse, fine = numbers["fields"].split([16, 81], dim=1)
    added = smooth(coarse.view(-1, 1, 4, 4), images.shape[-2:])
    added = added + smooth(fine.view(-1, 1, 9, 9), images.shape[-2:])
    for band in numbers["bands"].chunk(6, dim=1):
        place = band[..., None, None].split(1, dim=1)
        added = added + place[5] * _curve(x, y, place, 0.006 + 0.015 * (place[4] + 1))
    added = config.structure * 2 * strength * (used < 0.6) * added
    if not added.any():
        return images
    return (log_odds(images) + added.repeat(2, 1, 1, 1)).sigmoid()


def _axes(images: Tensor) -> tuple[Tensor, Tensor]:
    """Positions of pixels in [-1, 1]: `[W]` and `[H, 1]`."""
    height, width = images.shape[-2:]
    x, y = ((torch.arange(n, device=images.device) + 0.5) * 2 / n - 1 for n in (width, height))
    return x, y[:, None]


def _curve(x: Tensor, y: Tensor, place: tuple[Tensor, ...] | list[Tensor], width: Tensor) -> Tensor:
    """A soft bent line across the image; `place` is direction, offset and two bends in [-1, 1).

    1 on the line, and less where it is thinner than a pixel, as an aperture sees it.
    """
    pixel = 2 / x.shape[-1]
    seen = (width**2 + pixel**2 / 4).sqrt()
    angle = torch.pi * place[0]
    along, across = x * angle.cos() + y * angle.sin(), y * angle.cos() - x * angle.sin()
    bend, sway = place[2], place[3]
    slope = bend + 1.5 * sway * torch.cos(3 * along)
    distance = across - place[1] - bend * along - 0.5 * sway * torch.sin(3 * along)
    return width / seen * torch.exp(-(distance**2) / ((1 + slope**2) * seen**2))


def _cables(x: Tensor, y: Tensor, numbers: Numbers, probability: float) -> Tensor:
    """Up to three, bright in units of the tone curve's width."""
    total = torch.zeros(())
    for cable in numbers["cables"].chunk(3, dim=1):
        *place, used = cable[..., None, None].split(1, dim=1)
        strength = (1.5 + place[4]) * ((used + 1) / 2 < probability)
        total = total + strength * _curve(x, y, place, 0.01 + 0.004 * place[4])
    return total


def _electrodes(x: Tensor, y: Tensor, numbers: Numbers, probability: float) -> Tensor:
    """Up to four discs, bright or, as the pads of some are, faint."""
    total = torch.zeros(())
    for disc in numbers["electrodes"].chunk(4, dim=1):
        across, down, size, strength, used = disc[..., None, None].split(1, dim=1)
        radius = 0.04 + 0.025 * size
        distance = ((x - across) ** 2 + (y - down) ** 2).sqrt()
        shape = torch.sigmoid((radius - distance) / 0.01)
        total = total + (1 + strength) * ((used + 1) / 2 < 0.5 * probability) * shape
    return total


def _collimate(
    film: Tensor, x: Tensor, y: Tensor, numbers: Numbers, probability: float
) -> tuple[Tensor, Tensor]:
    """Blacken, or whiten, what lies outside of a slightly turned rectangle."""
    angle, right, left, bottom, top, level, used = numbers.each("collimation")
    angle = 0.08 * angle
    across, down = x * angle.cos() + y * angle.sin(), y * angle.cos() - x * angle.sin()
    inside = torch.ones_like(film, dtype=torch.bool)
    for position, edge in ((across, right), (-across, left), (down, bottom), (-down, top)):
        inside &= position < 1 - 0.2 * edge  # half of the edges lie outside of the image
    inside |= (used + 1) / 2 >= probability
    grey = torch.where(level < 0.6, 0.04 * level.abs(), 1 - 0.1 * level.abs())
    return torch.where(inside, film, grey), inside.to(film.dtype)


def _write(film: Tensor, x: Tensor, y: Tensor, numbers: Numbers, probability: float) -> Tensor:
    """Up to two words near the edges, white or black."""
    side = max(12, round(0.25 * film.shape[-1]))  # no finer than the film shows them
    words = _words(side, str(film.device))
    for mark in numbers["marks"].chunk(2, dim=1):
        across, down, which, size, turn, used = mark[..., None, None].split(1, dim=1)
        # The nearer of the two places to an edge, so that words lie around the chest.
        wide = across.abs() > down.abs()
        across = torch.where(wide, across.sign() * (0.75 + 0.2 * across.abs()), across)
        down = torch.where(wide, down, down.sign() * (0.8 + 0.15 * down.abs()))
        half = 0.18 + 0.1 * size
        angle = torch.where(turn > 0.8, torch.pi / 2, 0.15 * turn)
        u = ((x - across) * angle.cos() + (y - down) * angle.sin()) / half
        v = ((y - down) * angle.cos() - (x - across) * angle.sin()) / half
        u, v = ((1 + each[:, 0]) / 2 * (side - 1) for each in torch.broadcast_tensors(u, v))
        index = ((which[:, 0, 0, 0] + 1) / 2 * len(words)).long().clamp(max=len(words) - 1)
        ink = remap(words[index], u, v, align_corners=True) * ((used + 1) / 2 < probability)
        film = torch.lerp(film, torch.where(turn > -0.7, 1.0, 0.0).to(film.dtype), 0.95 * ink)
    return film


@lru_cache(maxsize=4)
def _words(side: int, device: str) -> Tensor:
    """Each word white in the middle of a black square `[K, 1, side, side]`, as wide as the square at most."""
    from PIL import Image, ImageDraw, ImageFont

    squares = []
    for word in _WORDS:
        square = Image.new("L", (96, 96))
        ImageDraw.Draw(square).text(
            (48, 48), word, fill=255, font=ImageFont.load_default(min(72, 130 // len(word))), anchor="mm"
        )
        squares.append(np.asarray(square.resize((side, side), Image.Resampling.BOX), dtype=np.float32) / 255)
    return torch.from_numpy(np.stack(squares)[:, None]).to(device)
