"""Images larger than a generator was trained on: overlapping tiles of the size it knows, laid together."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

STRIDE = 32
"""Tiles start at multiples of it where they are larger, so that a network which reduces its input by as much
samples every pixel as it would in the whole image."""
_RIM = 1 / 8
"""Share of a tile's side, at each of its edges within the image, that is not used: a network misses there
what lies around."""


def map_in_tiles(
    network: Callable[[Tensor, Tensor], Tensor], images: tuple[Tensor, Tensor], size: int, *, at_once: int = 8
) -> Tensor:
    """A map `[B, 1, L, L]` of two images of that shape, made from tiles of `size` pixels.

    Where tiles overlap, by half or more, weights that fall linearly to the rims pass from one to the other,
    so that no seam is left. A fully convolutional network that sees no farther than an eighth of a tile makes
    the same of them as of the whole image.

    Args:
        network: `(baseline, followup) -> change map`, all `[N, 1, size, size]`.
        images: the two; L is at least `size`.
        size: side of a tile.
        at_once: tiles in one call.
    """
    side = images[1].shape[-1]
    starts = starts_of(side, size)
    corners = [(row, column) for row in starts for column in starts]
    total = torch.zeros_like(images[1])
    weight = total.new_zeros(side, side)
    windows = {start: _window(start, side, size).to(total) for start in starts}
    for first in range(0, len(corners), at_once):
        some = corners[first : first + at_once]
        cut = (torch.cat([_cut(image, corner, size) for corner in some]) for image in images)
        maps = network(*cut).float().split(len(total))
        for (row, column), made in zip(some, maps, strict=True):
            window = windows[row][:, None] * windows[column]
            _cut(total, (row, column), size).add_(window * made)
            weight[row : row + size, column : column + size] += window
    return total / weight


def starts_of(side: int, size: int) -> Sequence[int]:
    """Where tiles of `size` start along `side` pixels; the last one ends where the image does."""
    step = size // 2 // STRIDE * STRIDE or max(1, size // 2)
    return [*range(0, side - size, step), side - size]


def _cut(images: Tensor, corner: tuple[int, int], size: int) -> Tensor:
    row, column = corner
    return images[..., row : row + size, column : column + size]


def _window(start: int, side: int, size: int) -> Tensor:
    """How much each pixel along a tile counts, `[size]` in `[0, 1]`: all of it up to the image's own edge."""
    places = torch.arange(size) + 0.5
    before = places if start > 0 else torch.full_like(places, torch.inf)
    after = size - places if start + size < side else torch.full_like(places, torch.inf)
    rim = _RIM * size
    return ((torch.minimum(before, after) - rim) / rim).clamp(0, 1)
