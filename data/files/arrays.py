"""NumPy's own files: NPY, and NPZ of one array."""

import math
import zipfile
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy

from data.base.errors import DataError
from data.files.formats import suffix_of
from data.files.plane import Array, StoredPlane, grey_of_channels, largest_of_type, require_size

_PREFERRED = ("image", "arr_0")


def read_array(path: Path) -> StoredPlane:
    """Decode `[H, W]`, possibly with axes of length 1, or channels last; limits hold before pixels are read.

    Raises:
        DataError: not one grey plane, too large, several arrays, or values of a type that is no image.
        Exception: whatever a damaged file makes NumPy and zipfile raise.
    """
    if suffix_of(path) == ".npy":
        with path.open("rb") as stream:
            array = _read_limited(stream, path)
    else:
        with zipfile.ZipFile(path) as archive, archive.open(_member(archive, path)) as stream:
            array = _read_limited(stream, path)
    pixels = grey_of_channels(array, path) if array.ndim == 3 and array.shape[-1] in (3, 4) else array
    if pixels.ndim > 2:
        pixels = pixels.reshape([length for length in pixels.shape if length != 1])
    return StoredPlane(pixels=pixels, largest=largest_of_type(pixels))


def _member(archive: zipfile.ZipFile, path: Path) -> str:
    names = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
    if len(names) == 1:
        return f"{names[0]}.npy"
    for name in _PREFERRED:
        if name in names:
            return f"{name}.npy"
    raise DataError(
        f"{path} holds {'the arrays ' + ', '.join(sorted(names)[:5]) if names else 'no array'}; "
        "store one, or call the radiograph's 'image'"
    )


def _read_limited(stream: IO[bytes], path: Path) -> Array:
    """One array of an NPY stream, if its header declares one that can be an image."""
    version = npy.read_magic(stream)
    read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = read_header(stream)
    _require_plane(path, shape, dtype)
    stream.seek(0)  # NumPy reads the header once more
    return np.asarray(npy.read_array(stream, allow_pickle=False))


def _require_plane(path: Path, shape: tuple[int, ...], dtype: np.dtype) -> None:
    if dtype.kind not in "biuf" or dtype.itemsize > 8:
        raise DataError(f"{path} holds values of type {dtype}; store integers or floats")
    colour = len(shape) == 3 and shape[-1] in (3, 4)
    lengths = shape[:2] if colour else shape if len(shape) == 2 else [n for n in shape if n != 1]
    if len(lengths) != 2 and math.prod(shape) > 0:
        raise DataError(f"{path} has the shape {shape}; store a single grey image of height x width")
    height, width = lengths if len(lengths) == 2 else (0, 0)
    require_size(path, height, width, dtype.itemsize * (shape[-1] if colour else 1))
