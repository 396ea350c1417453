"""Differentiable augmentation of what the discriminator sees, real and fake alike.

What happens to a pair follows from its key and the step alone, not from the batch it is in.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from data.augment.draws import Numbers

_LARGEST_SHIFT = 1 / 8
_CUT = 1 / 2
_TABLE = {"translation": 2, "cutout": 2, "colour": 2}


def augment_judged(images: Sequence[Tensor], names: Sequence[str], keys: Sequence[str]) -> Sequence[Tensor]:
    """Baseline, followup and any number of maps `[B, 1, H, W]`, augmented alike; gradients pass through.

    Args:
        images: those.
        names: which augmentations, of `AUGMENTATIONS`.
        keys: what each pair's draws follow from.

    Source: Zhao et al., "Differentiable Augmentation for Data-Efficient GAN Training", 2020, section 3.2,
    with its magnitudes.
    """
    if not names:
        return images
    joined = torch.cat(list(images), dim=1)
    numbers = Numbers(keys, _TABLE, joined.device)
    for name in names:
        joined = AUGMENTATIONS[name](joined, numbers)
    return joined.split(1, dim=1)


def _translate(images: Tensor, numbers: Numbers) -> Tensor:
    """Move by whole pixels, at most an eighth of the size; zeros come in."""
    for axis, part in zip((2, 3), numbers["translation"].unbind(1), strict=True):
        size = images.shape[axis]
        shift = (part * (_LARGEST_SHIFT * size + 0.5)).round().long()
        source = torch.arange(size, device=images.device) - shift[:, None]
        shape = [len(images), 1, 1, 1]
        shape[axis] = size
        index, inside = source.clamp(0, size - 1).view(shape), ((source >= 0) & (source < size)).view(shape)
        images = images.gather(axis, index.expand_as(images)) * inside
    return images


def _cut_out(images: Tensor, numbers: Numbers) -> Tensor:
    """Zeros in a rectangle of half the sides about a random pixel."""
    inside = torch.ones((), dtype=torch.bool, device=images.device)
    for axis, part in zip((2, 3), numbers["cutout"].unbind(1), strict=True):
        size = images.shape[axis]
        middle = (part + 1) / 2 * size
        shape = [len(images), 1, 1, 1]
        shape[axis] = size
        distance = (torch.arange(size, device=images.device) + 0.5 - middle[:, None]).abs()
        inside = inside & (distance < _CUT * size / 2).view(shape)
    return images * ~inside


def _colour(images: Tensor, numbers: Numbers) -> Tensor:
    """Brightness and contrast of the two images, the same of both; maps stay."""
    brightness, contrast = numbers.each("colour")
    films = images[:, :2] + 0.5 * brightness
    middle = films.mean(dim=(1, 2, 3), keepdim=True)
    films = middle + (1 + 0.5 * contrast) * (films - middle)
    return torch.cat([films, images[:, 2:]], dim=1)


AUGMENTATIONS: Mapping[str, Callable[[Tensor, Numbers], Tensor]] = {
    "translation": _translate,
    "cutout": _cut_out,
    "colour": _colour,
}
"""Of baseline, followup and maps as channels `[B, C, H, W]`, by name."""
