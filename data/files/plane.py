"""What every decoder hands over: one grey plane as it is stored, and the limits it was held to."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data.base.errors import DataError
from data.files.orientation import Array, Grid

# No radiograph is larger (digitised film at 50 micrometres has 60 megapixels), and at this size the hungriest
# decoder stays below 1 GB. Checked before pixels are decoded: a flipped bit in a header can claim terabytes.
MAX_PIXELS = 64_000_000
MAX_BYTES = 4 * MAX_PIXELS
_BLOCK_PIXELS = 1 << 19


@dataclass(frozen=True, kw_only=True)
class StoredPlane:
    """A decoded file before its intensities mean anything."""

    pixels: Array
    """`[H, W]` as they are seen, in the type they are stored in."""
    largest: int | None = None
    """The largest value the file's integers can hold; None for floats and for 32-bit integers."""
    white_is_zero: bool = False
    """Whether small values are bright."""
    spacing_mm: tuple[float, float] | None = None
    """Distance between rows and between columns; None where the file names none."""
    grid: Grid = field(default_factory=Grid)


def require_size(path: Path, height: int, width: int, bytes_per_pixel: int = 1) -> None:
    """Refuse an image without pixels, or of more than `MAX_PIXELS` or, decoded, `MAX_BYTES`.

    Raises:
        DataError: naming the size.
    """
    if height < 1 or width < 1:
        raise DataError(f"{path} holds no pixels; replace it with an intact file")
    if height * width > MAX_PIXELS:
        raise DataError(
            f"{path} declares {height} x {width} pixels, and {MAX_PIXELS // 10**6} megapixels are the limit; "
            "replace it with an intact file, or reduce it"
        )
    if height * width * bytes_per_pixel > MAX_BYTES:
        raise DataError(
            f"{path} declares {height} x {width} pixels of {bytes_per_pixel} bytes, and "
            f"{MAX_BYTES // 10**6} MB are the limit; store it as 16 bit integers"
        )


def by_rows(pixels: Array, function: Callable[[Array], Array]) -> NDArray[np.float32]:
    """`function` of `[H, W]`, a few rows at a time: its temporary arrays stay in the processor's cache."""
    result = np.empty(pixels.shape, np.float32)
    step = max(1, _BLOCK_PIXELS // pixels.shape[1])
    for row in range(0, pixels.shape[0], step):
        result[row : row + step] = function(pixels[row : row + step])
    return result


def largest_of_type(pixels: Array) -> int | None:
    """The largest value of an array's type; None for floats and integers of more than 16 bits."""
    if pixels.dtype == bool:
        return 1
    if pixels.dtype.kind not in "iu" or pixels.dtype.itemsize > 2:
        return None
    return int(np.iinfo(pixels.dtype).max)


def grey_of_channels(pixels: Array, path: Path) -> Array:
    """`[H, W]` of `[H, W, C]` with 1 to 4 channels: grey, grey as colour, either with an opacity.

    Raises:
        DataError: the channels differ, or the opacity does.
    """
    channels = pixels.shape[-1]
    colours = channels - 1 if channels in (2, 4) else channels
    first = pixels[..., 0]
    opacity = pixels[..., colours:]
    if (
        any((pixels[..., other] != first).any() for other in range(1, colours))
        or (opacity != opacity[:1, :1]).any()
    ):
        raise DataError(f"{path} is in colour; convert it to greyscale without transparency")
    return first
