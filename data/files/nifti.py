"""NIfTI files of one slice, and how their axes lie on the viewer's screen.

Source: the NIfTI-1 and NIfTI-2 headers (https://nifti.nimh.nih.gov), read with nibabel.
"""

import gzip
import logging
from pathlib import Path
from typing import Any

import numpy as np

from data.base.errors import DataError
from data.files.formats import suffix_of
from data.files.orientation import Grid, Turn, pixel_aspect, upright
from data.files.plane import StoredPlane, largest_of_type, require_size

_MILLIMETRES = {"meter": 1000.0, "mm": 1.0, "micron": 0.001, "unknown": 1.0}
_MAX_OFFSET = 1 << 24
_corrections = logging.getLogger(__name__)
_corrections.addHandler(logging.NullHandler())


def read_nifti(path: Path) -> StoredPlane:
    """Decode one slice, the head (axial: the front) up and the patient's right on the viewer's left.

    See `turn_of` for the orientation. Spacing is that of the affine, in mm; there is none where that is the
    identity, which is what a file without any geometry is given.

    Raises:
        DataError: several slices, colour, too large, or an orientation that cannot be used.
        Exception: whatever a damaged file makes nibabel raise.
    """
    from nibabel.arrayproxy import ArrayProxy

    header = read_header(path)
    turn, is_oriented = turn_of(header, path)
    # The proxy reads the pixels only; nibabel.load would also read extensions, whose declared length may be
    # anything, and which can hold names.
    array = np.asanyarray(ArrayProxy(path, header))
    affine = header.get_best_affine()[:3]
    first, second = _plane_axes(array.shape)
    rows, columns = array.shape[first], array.shape[second]
    pixels = turn.seen(array.reshape(rows, columns))
    unit = _MILLIMETRES.get(header.get_xyzt_units()[0], 1.0)
    down, across, origin = unit * affine[:, first], unit * affine[:, second], unit * affine[:, 3]
    lengths = turn.pair(float(np.linalg.norm(down)), float(np.linalg.norm(across)))
    is_known = all(0 < length < np.inf for length in lengths) and (affine[:, :3] != np.eye(3)).any()
    ends = [np.array([-0.5, count - 0.5])[:, None] for count in (rows, columns)]
    corners = turn.seen(origin + (ends[0] * down)[:, None] + ends[1] * across) if is_oriented else None
    return StoredPlane(
        pixels=pixels,
        largest=largest_of_type(pixels),
        spacing_mm=lengths if is_known else None,
        grid=Grid(pixel_aspect=pixel_aspect(*lengths), axes=turn, corners=corners),
    )


def read_header(path: Path) -> Any:
    """The header of a NIfTI file (nibabel's `Nifti1Header` or `Nifti2Header`), held to the limits.

    Raises:
        DataError: several slices, colour, or too large.
        Exception: whatever a damaged file makes nibabel raise.
    """
    from nibabel.nifti1 import Nifti1Header
    from nibabel.nifti2 import Nifti2Header

    opener: Any = gzip.open if suffix_of(path) == ".nii.gz" else open
    with opener(path, "rb") as stream:
        first = stream.read(4)
        stream.seek(0)
        is_second = 540 in (int.from_bytes(first, "little"), int.from_bytes(first, "big"))
        header = (Nifti2Header if is_second else Nifti1Header).from_fileobj(stream, check=False)
    header.check_fix(logger=_corrections)  # nibabel's own logger writes to the terminal
    if bytes(header["magic"])[:2] != b"n+":
        raise ValueError("not a NIfTI file of one piece")
    if not 0 <= header.get_data_offset() <= _MAX_OFFSET:
        raise ValueError("pixels claimed to lie far behind the header")
    _require_slice(header, path)
    return header


def turn_of(header: Any, path: Path) -> tuple[Turn, bool]:
    """From the two axes of the slice in a file's array to what is seen, and whether the affine says so.

    Pipelines that write radiographs as NIfTI mostly let array axis 0 run along the width and axis 1 along the
    height, from the upper left, with an identity for the affine or none. So where neither sform nor qform is
    coded, or the affine is diagonal with positive lengths, which is what `Nifti1Image(array, numpy.eye(4))`
    writes and no radiograph's geometry (it would stand on its head), that is the order.

    Any other coded affine is taken as the orientation: with the directions nibabel finds closest
    (`aff2axcodes`), the image is turned upright.

    Raises:
        DataError: the affine is not finite, or does not tell the axes apart.
    """
    from nibabel.orientations import aff2axcodes

    first, second = _plane_axes(header.get_data_shape())
    affine = header.get_best_affine()
    linear = affine[:3, :3]
    is_coded = int(header["sform_code"]) > 0 or int(header["qform_code"]) > 0
    is_positive = (linear == np.diag(np.diag(linear))).all() and (np.diag(linear) > 0).all()
    if not is_coded or is_positive:
        return Turn(transpose=True), False
    if not np.isfinite(affine).all():
        raise DataError(f"{path} has an affine that is no orientation; correct it")
    directions = aff2axcodes(affine, labels=(("L", "R"), ("P", "A"), ("F", "H")))
    turn = upright(directions[first], directions[second])
    if turn is None:
        raise DataError(f"{path} has an affine that does not tell its axes apart; correct it")
    return turn, True


def _plane_axes(shape: tuple[int, ...]) -> tuple[int, int]:
    """The two axes of the slice: those that are longer than 1, filled up from the front."""
    longer = [axis for axis, length in enumerate(shape) if length > 1]
    others = [axis for axis, length in enumerate(shape[:3]) if length == 1]
    first, second = sorted((longer + others)[:2])
    return first, second


def _require_slice(header: Any, path: Path) -> None:
    dtype = header.get_data_dtype()
    shape = tuple(int(length) for length in header.get_data_shape())
    if dtype.names:
        raise DataError(f"{path} is in colour; convert it to greyscale")
    if dtype.kind not in "iuf" or dtype.itemsize > 8:
        raise DataError(f"{path} holds values of type {dtype}; store integers or floats")
    longer = [axis for axis, length in enumerate(shape) if length > 1]
    if len(shape) < 2 or len(longer) > 2 or any(axis > 2 for axis in longer):
        raise DataError(f"{path} has the shape {shape}; store a single grey image of width x height")
    first, second = _plane_axes(shape)
    require_size(path, shape[second], shape[first], dtype.itemsize)
