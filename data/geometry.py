"""One geometry between files of any shape and the square images that networks see."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad

from data.config import Framing


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """How a radiograph became a square: all that is needed to map a result back onto it."""

    height: int
    """Rows of the radiograph's file."""
    width: int
    """Columns of the radiograph's file."""
    framing: Framing = "pad"
    """How it was made square."""
    spacing_mm: tuple[float, float] | None = None
    """Distance between rows and between columns of the file in mm; None where the file names none."""
    pixel_aspect: float = 1.0
    """How many times as high as wide a pixel of the file is."""

    def box(self, size: int) -> tuple[int, int, int, int]:
        """Top, left, height and width that the whole radiograph takes in a square of `size` pixels.

        Cropped, it reaches beyond the square: top or left is negative.
        """
        if self.framing == "stretch":
            return 0, 0, size, size
        lengths = self.height * self.pixel_aspect, self.width
        side = max(lengths) if self.framing == "pad" else min(lengths)
        height, width = (max(1, round(length * size / side)) for length in lengths)
        return (size - height) // 2, (size - width) // 2, height, width


def resize(images: Tensor, height: int, width: int) -> Tensor:
    """Resize `[C, H, W]` with antialiasing; bilinear, so that it never leaves the range of the values."""
    if images.shape[-2:] == (height, width):
        return images
    size = (height, width)
    return interpolate(images[None], size=size, mode="bilinear", align_corners=False, antialias=True)[0]


def content_of(image: Tensor, size: int, geometry: Geometry) -> Tensor:
    """What of an image lies in a square of `size` pixels: `[C, h, w]` with neither side above `size`."""
    top, left, height, width = geometry.box(size)
    top, left = max(0, -top), max(0, -left)
    return resize(image, height, width)[:, top : top + size, left : left + size]


def fit_to_square(image: Tensor, size: int, geometry: Geometry | None = None) -> tuple[Tensor, Tensor]:
    """Resize with antialiasing and make square: padded with zeros, cropped to the centre, or stretched.

    Args:
        image: `[C, H, W]` float; channels share the geometry, so an image and its target stay aligned.
        size: side of the square, in pixels.
        geometry: of the file the image comes from, of which `image` may be a smaller copy; by default the
            image itself, padded.

    Returns:
        The square image `[C, size, size]`, and `valid` `[1, size, size]` float32, 1 where the image lies
        and 0 in the padding.
    """
    geometry = geometry or Geometry(height=image.shape[-2], width=image.shape[-1])
    content = content_of(image, size, geometry)
    height, width = content.shape[-2:]
    top, left = (size - height) // 2, (size - width) // 2
    border = (left, size - width - left, top, size - height - top)
    return pad(content, border), pad(torch.ones(1, height, width, device=image.device), border)


def restore_from_square(square: Tensor, geometry: Geometry) -> Tensor:
    """Undo `fit_to_square`: a map of the square network input in the size of the file it came from.

    What was cropped away is zero: nothing is known of it.

    Args:
        square: `[C, size, size]`.
        geometry: of the file.

    Returns:
        `[C, geometry.height, geometry.width]`.
    """
    size = square.shape[-1]
    top, left, height, width = geometry.box(size)
    content = pad(square, (-left, left + width - size, -top, top + height - size))
    return resize(content, geometry.height, geometry.width)


def boxes_in_square(
    boxes: Iterable[tuple[float, float, float, float]], size: int, geometry: Geometry
) -> Tensor:
    """Where boxes of a radiograph lie in its square: the pixels whose centres are in one of them.

    Args:
        boxes: left, upper, right and lower edge, in fractions of the radiograph.
        size: side of the square, in pixels.
        geometry: of the radiograph.

    Returns:
        `[1, size, size]` bool. The pixel in the middle of a box is always in it, unless it was cropped away.
    """
    top, left, height, width = geometry.box(size)
    inside, centres = torch.zeros(1, size, size, dtype=torch.bool), torch.arange(size) + 0.5
    for x1, y1, x2, y2 in boxes:
        columns = _between(left + x1 * width, left + x2 * width, centres)
        rows = _between(top + y1 * height, top + y2 * height, centres)
        inside |= rows[None, :, None] & columns[None, None]
    return inside


def _between(first: float, last: float, centres: Tensor) -> Tensor:
    middle = centres.floor() == int((first + last) // 2)
    return ((first <= centres) & (centres < last)) | middle


def mask_in_square(mask: Tensor, size: int, geometry: Geometry) -> Tensor:
    """`[1, size, size]` bool of a mask `[H, W]` of a whole radiograph, at any resolution."""
    return fit_to_square(mask.float()[None], size, geometry)[0] > 0.5
