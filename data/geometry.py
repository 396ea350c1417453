"""One geometry between files of any shape and the square images that networks see."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad


def _resize(images: Tensor, height: int, width: int) -> Tensor:
    if images.shape[-2:] == (height, width):
        return images
    return interpolate(images, size=(height, width), mode="bilinear", align_corners=False, antialias=True)


def _content_box(height: int, width: int, size: int) -> tuple[int, int, int, int]:
    """Top, left, height and width that an image of `height` x `width` takes in a square of `size`."""
    scale = size / max(height, width)
    inner_height, inner_width = max(1, round(height * scale)), max(1, round(width * scale))
    return (size - inner_height) // 2, (size - inner_width) // 2, inner_height, inner_width


def fit_to_square(image: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Resize with antialiasing, keeping the aspect ratio, and pad with zeros to a centred square.

    Bilinear interpolation never leaves the range of the values it mixes.

    Args:
        image: `[C, H, W]` float; channels share the geometry, so a pair and its target stay aligned.
        size: side of the square, in pixels.

    Returns:
        The square image `[C, size, size]`, and `valid` `[1, size, size]` float32, 1 where the image lies
        and 0 in the padding.
    """
    top, left, height, width = _content_box(image.shape[-2], image.shape[-1], size)
    border = (left, size - width - left, top, size - height - top)
    square = pad(_resize(image[None], height, width)[0], border)
    valid = pad(torch.ones(1, height, width, device=image.device), border)
    return square, valid


def restore_from_square(square: Tensor, height: int, width: int) -> Tensor:
    """Undo `fit_to_square`: a map of the square network input in the size of the file it came from.

    Args:
        square: `[C, size, size]`.
        height: rows of the original image.
        width: columns of the original image.

    Returns:
        `[C, height, width]`.
    """
    top, left, inner_height, inner_width = _content_box(height, width, square.shape[-1])
    content = square[:, top : top + inner_height, left : left + inner_width]
    return _resize(content[None], height, width)[0]
