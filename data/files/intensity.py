"""Stored values -> grey in `[0, 1]`, or changes in `[-1, 1]`.

The policy: intensities are scaled by what a file can hold, never by what it happens to hold, so that the
two images of a pair stay comparable. Only `percentile` and `equalised`, which have to be asked for, look at
the image's own values.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data.base.errors import DataError
from data.config import Change, Intensity
from data.files.plane import Array, StoredPlane, by_rows

PERCENTILES = (0.5, 99.5)
_GREYS = 4096
"""Greys that equalisation tells apart."""
_CLIP = 0.01
"""Largest share of a tile's pixels that count for one grey: as much contrast as noise may be given."""


def grey_of(plane: StoredPlane, path: Path, intensity: Intensity) -> NDArray[np.float32]:
    """Grey of a file that is no DICOM, `[H, W]` in `[0, 1]`.

    Integers are divided by the largest value they can have; floats must lie in `[0, 1]` already, unless
    `intensity` is `percentile`.

    Raises:
        DataError: values out of range or not finite, 32-bit integers, or, for percentiles, a flat image.
    """
    if intensity == "percentile":
        values = between_percentiles(plane.pixels, path)
    else:
        values = _by_range(plane, path)
        remedy = "rescale it, store it as unsigned 8 or 16 bit integers, or set the intensity to percentile"
        require_range(values, path, 0.0, 1.0, "an image", remedy)
    return np.subtract(1, values, out=values) if plane.white_is_zero else values


def change_of(plane: StoredPlane, path: Path, change: Change) -> NDArray[np.float32]:
    """A change map, `[H, W]` in `[0, 1]` (magnitude) or `[-1, 1]` (signed).

    Raises:
        DataError: values out of range or not finite, or 32-bit integers.
    """
    if change == "magnitude":
        values = _by_range(plane, path)
        remedy = "rescale it, or set the data's change to signed if its sign means something"
        require_range(values, path, 0.0, 1.0, "a change magnitude", remedy)
        return np.subtract(1, values, out=values) if plane.white_is_zero else values
    values = _around_zero(plane, path)
    require_range(values, path, -1.0, 1.0, "a signed change map", "rescale it")
    return np.negative(values, out=values) if plane.white_is_zero else values


def between_percentiles(pixels: Array, path: Path) -> NDArray[np.float32]:
    """Values of any range `[H, W]`, 0 at their 0.5th percentile and 1 at their 99.5th, clipped.

    Raises:
        DataError: the values are not finite, or the two percentiles are equal.
    """
    if not np.isfinite(pixels).all():
        raise DataError(f"{path} holds values that are no numbers; replace it with an intact file")
    low, high = (float(value) for value in np.percentile(pixels, PERCENTILES))
    if not low < high or not np.isfinite(high - low):
        raise DataError(f"{path} is flat between its percentiles; leave it out, or set another intensity")
    return by_rows(pixels, lambda rows: np.clip((rows.astype(np.float64) - low) / (high - low), 0, 1))


def equalise(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """Grey `[H, W]` in `[0, 1]` of which the tone curve no longer shows, in `[0, 1]`.

    First each value becomes the share of pixels below it, which no rising tone curve changes; black, the
    background, counts as none. Then contrast is evened out in tiles of an eighth of the image.

    Source: Zuiderveld, Contrast limited adaptive histogram equalization, Graphics Gems IV, 1994.
    """
    from skimage.exposure import equalize_adapthist, equalize_hist

    ranks = equalize_hist(grey, nbins=_GREYS, mask=grey > 0)
    return np.asarray(equalize_adapthist(ranks, clip_limit=_CLIP), np.float32)


def as_read(grey: NDArray[np.float32], intensity: Intensity, path: Path) -> NDArray[np.float32]:
    """An image `[H, W]` in `[0, 1]` as it would be if it were read from a file by some policy.

    Raises:
        DataError: naming `path`, a flat image between percentiles.
    """
    if intensity in ("dicom", "range"):
        return grey
    scaled = between_percentiles(grey, path)
    return equalise(scaled) if intensity == "equalised" else scaled


def require_range(
    values: NDArray[np.float32], path: Path, low: float, high: float, what: str, remedy: str
) -> None:
    """Refuse values outside `[low, high]`, and those that are no numbers.

    Raises:
        DataError: naming the range found and the one expected.
    """
    found_low, found_high = float(values.min()), float(values.max())
    if not (low <= found_low and found_high <= high):  # written so that NaN is refused
        raise DataError(
            f"{path} ranges over [{found_low:.4g}, {found_high:.4g}]; "
            f"{what} must lie in [{low:g}, {high:g}]: {remedy}"
        )


def _by_range(plane: StoredPlane, path: Path) -> NDArray[np.float32]:
    if plane.pixels.dtype.kind == "f":
        return plane.pixels.astype(np.float32, order="C")
    largest = np.float32(_require_largest(plane, path))
    return np.divide(plane.pixels, largest, dtype=np.float32, order="C")


def _around_zero(plane: StoredPlane, path: Path) -> NDArray[np.float32]:
    """Integers to `[-1, 1]`; the one value below `-1` that two's complement has becomes `-1`."""
    if plane.pixels.dtype.kind == "f":
        return plane.pixels.astype(np.float32, order="C")
    largest, middle = _require_largest(plane, path), 0
    if plane.pixels.dtype.kind != "i":
        largest //= 2
        middle = largest + 1
    values = np.subtract(plane.pixels, np.float32(middle), dtype=np.float32, order="C")
    values /= np.float32(max(largest, 1))
    return np.maximum(values, np.float32(-1), out=values)


def _require_largest(plane: StoredPlane, path: Path) -> int:
    if plane.largest is None:
        raise DataError(
            f"{path} holds {plane.pixels.dtype} values, whose full range no image fills; "
            "store it as 8 or 16 bit integers or as floats, or set the intensity to percentile"
        )
    return plane.largest
