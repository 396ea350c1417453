"""Image files -> grey float arrays: PNG, JPEG, TIFF in 8 and 16 bit, NPY and NIfTI.

Intensities are scaled by what a file can hold, never by what it happens to hold: the two images of a pair
stay comparable.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.config import Change
from data.errors import DataError

from .formats import require_readable, suffix_of

Array = NDArray[Any]


def read_image(path: Path) -> NDArray[np.float32]:
    """Read a radiograph as float32 `[H, W]` in `[0, 1]`.

    Integers are divided by the largest value of their type (255, 65535; 32767 for signed 16 bit). Floats
    must lie in `[0, 1]` already. Colour is accepted only where all channels are equal.

    NIfTI stores columns first: array axis 0 runs along the image's width and axis 1 along its height, from
    the upper left, as longitudinal pipelines write radiographs. The affine is not consulted.

    Args:
        path: the file; its suffix says which format it is.

    Raises:
        DataError: the file is missing, unreadable, in colour, not two-dimensional or out of range.
    """
    pixels = _read_grey(path)
    values = _scale_unsigned(pixels, path) if pixels.dtype.kind in "iub" else pixels.astype(np.float32)
    _require_range(
        values, path, 0.0, 1.0, "an image", "rescale it, or store it as unsigned 8 or 16 bit integers"
    )
    return values


def read_target(path: Path, change: Change) -> NDArray[np.float32]:
    """Read a change map as float32 `[H, W]`, in `[0, 1]` for magnitudes and `[-1, 1]` for signed maps.

    Floats are taken as they are. Integers of magnitudes are divided by the largest value of their type.
    Integers of signed maps have no change at 0 where their type is signed, and at mid-grey (128 or 32768)
    where it is not.

    Args:
        path: the file; see `read_image` for formats and NIfTI's orientation.
        change: what the map means.

    Raises:
        DataError: the file is missing, unreadable, in colour, not two-dimensional or out of range.
    """
    pixels = _read_grey(path)
    if change == "magnitude":
        values = _scale_unsigned(pixels, path) if pixels.dtype.kind in "iub" else pixels.astype(np.float32)
        remedy = "rescale it, or set the data's change to signed if its sign means something"
        _require_range(values, path, 0.0, 1.0, "a change magnitude", remedy)
    else:
        values = _scale_signed(pixels, path) if pixels.dtype.kind in "iub" else pixels.astype(np.float32)
        _require_range(values, path, -1.0, 1.0, "a signed change map", "rescale it")
    return values


def _read_grey(path: Path) -> Array:
    """Decode a file to `[H, W]` in the type it is stored in."""
    require_readable(path)
    if not path.is_file():
        raise DataError(f"{path} does not exist; check the path")
    try:
        pixels = _decode(path)
    except Exception as error:  # decoders raise whatever they please on a damaged file
        kind = suffix_of(path).removeprefix(".").upper()
        raise DataError(f"{path} cannot be read as {kind}; replace it with an intact file") from error
    if pixels.dtype.kind not in "biuf":
        raise DataError(f"{path} holds values of type {pixels.dtype}; store integers or floats")
    if pixels.size == 0:
        raise DataError(f"{path} holds no pixels; replace it with an intact file")
    return _to_plane(pixels, path)


def _decode(path: Path) -> Array:
    suffix = suffix_of(path)
    if suffix == ".npy":
        return np.asarray(np.load(path, allow_pickle=False))
    if suffix in (".nii", ".nii.gz"):
        import nibabel

        return np.asanyarray(nibabel.load(path).dataobj).T
    from skimage.io import imread

    return np.asarray(imread(path))


def _to_plane(pixels: Array, path: Path) -> Array:
    """`[H, W]` of an array that is one plane, one plane with axes of length 1, or grey stored as colour."""
    if pixels.ndim > 2:
        channels = pixels.shape[-1]
        is_colour = pixels.ndim == 3 and channels in (3, 4) and suffix_of(path) not in (".nii", ".nii.gz")
        if is_colour:
            return _grey_of_equal_channels(pixels, path)
        pixels = pixels.reshape([length for length in pixels.shape if length != 1])
    if pixels.ndim != 2:
        raise DataError(f"{path} has the shape {pixels.shape}; store a single grey image of height x width")
    return pixels


def _grey_of_equal_channels(pixels: Array, path: Path) -> Array:
    colour, alpha = pixels[..., :3], pixels[..., 3:]
    if (colour != colour[..., :1]).any() or (alpha != alpha[:1, :1]).any():
        raise DataError(f"{path} is in colour; convert it to greyscale without transparency")
    return colour[..., 0]


def _largest_of(pixels: Array, path: Path) -> int:
    if pixels.dtype == bool:
        return 1
    if pixels.dtype.itemsize > 2:
        raise DataError(
            f"{path} holds {pixels.dtype} values, whose full range no image fills; "
            "store it as 8 or 16 bit integers, or as floats"
        )
    return int(np.iinfo(pixels.dtype).max)


def _scale_unsigned(pixels: Array, path: Path) -> NDArray[np.float32]:
    return pixels.astype(np.float32) / np.float32(_largest_of(pixels, path))


def _scale_signed(pixels: Array, path: Path) -> NDArray[np.float32]:
    """Integers to `[-1, 1]`; the one value below `-1` that two's complement has becomes `-1`."""
    largest = _largest_of(pixels, path)
    if pixels.dtype.kind != "i":
        largest //= 2
        pixels = pixels.astype(np.float32) - np.float32(largest + 1)
    return np.maximum(pixels.astype(np.float32) / np.float32(max(largest, 1)), np.float32(-1))


def _require_range(
    values: NDArray[np.float32], path: Path, low: float, high: float, what: str, remedy: str
) -> None:
    found_low, found_high = float(values.min()), float(values.max())
    if not (low <= found_low and found_high <= high):  # written so that NaN is refused
        raise DataError(
            f"{path} ranges over [{found_low:.4g}, {found_high:.4g}]; "
            f"{what} must lie in [{low:g}, {high:g}]: {remedy}"
        )
