"""NIfTI files of one slice, and how their axes lie on the viewer's screen.

Source: the NIfTI-1 and NIfTI-2 headers (https://nifti.nimh.nih.gov), read with nibabel.
"""

import gzip
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data.base.errors import DataError
from data.files.formats import suffix_of
from data.files.plane import Array, StoredPlane, largest_of_type, require_size

_MILLIMETRES = {"meter": 1000.0, "mm": 1.0, "micron": 0.001, "unknown": 1.0}
_MAX_OFFSET = 1 << 24
_corrections = logging.getLogger(__name__)
_corrections.addHandler(logging.NullHandler())
_SUPERIOR, _ANTERIOR = 2, 1


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Where the rows and the columns of a radiograph lie in an array of 2 or more axes."""

    shape: tuple[int, ...]
    """Of the array."""
    row_axis: int
    """The axis along which the row changes: the vertical one on the screen."""
    column_axis: int
    """The horizontal one."""
    flip: tuple[bool, bool]
    """Whether rows run from the bottom, and columns from the right."""

    def to_plane(self, array: Array) -> Array:
        """`[H, W]` as it is seen, of an array of `shape`."""
        first, second = sorted((self.row_axis, self.column_axis))
        plane = array.reshape(self.shape[first], self.shape[second])
        return (plane.T if first == self.column_axis else plane)[self._steps]

    def from_plane(self, plane: Array) -> Array:
        """The array of `shape` of which `plane` is what is seen."""
        flipped = plane[self._steps]
        return (flipped.T if self.row_axis > self.column_axis else flipped).reshape(self.shape)

    @property
    def _steps(self) -> tuple[slice, slice]:
        rows, columns = (slice(None, None, -1 if flip else 1) for flip in self.flip)
        return rows, columns


def read_nifti(path: Path) -> StoredPlane:
    """Decode one slice, the head (axial: the front) up and the patient's right on the viewer's left.

    See `layout_of` for the orientation. Spacing is that of the header, in mm; there is none where the affine
    is the identity, which is what a file without any geometry is given.

    Raises:
        DataError: several slices, colour, too large, or an orientation that cannot be used.
        Exception: whatever a damaged file makes nibabel raise.
    """
    from nibabel.arrayproxy import ArrayProxy

    header = read_header(path)
    layout = layout_of(header, path)
    # The proxy reads the pixels only; nibabel.load would also read extensions, whose declared length may be
    # anything, and which can hold names.
    array = np.asanyarray(ArrayProxy(path, header))
    pixels = layout.to_plane(array)
    return StoredPlane(pixels=pixels, largest=largest_of_type(pixels), spacing_mm=_spacing(header, layout))


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


def layout_of(header: Any, path: Path) -> Layout:
    """How the array of a file of one slice lies on the screen.

    Pipelines that write radiographs as NIfTI mostly let array axis 0 run along the width and axis 1 along the
    height, from the upper left, with an identity for the affine or none. So where neither sform nor qform is
    coded, or the affine is diagonal with positive lengths, which is what `Nifti1Image(array, numpy.eye(4))`
    writes and no radiograph's geometry (it would stand on its head), that is the order.

    Any other coded affine is taken as the orientation: with the directions nibabel finds closest
    (`io_orientation`), the vertical axis is the one from head to foot, or, where the slice has none, from
    front to back; the head or the front is up, the patient's right (sagittal: the front) on the viewer's
    left.

    Raises:
        DataError: the affine is not finite, or does not tell the axes apart.
    """
    from nibabel.orientations import io_orientation

    shape = tuple(int(length) for length in header.get_data_shape())
    first, second = _plane_axes(shape)
    affine = header.get_best_affine()
    linear = affine[:3, :3]
    is_coded = int(header["sform_code"]) > 0 or int(header["qform_code"]) > 0
    is_positive = (linear == np.diag(np.diag(linear))).all() and (np.diag(linear) > 0).all()
    if not is_coded or is_positive:
        return Layout(shape=shape, row_axis=second, column_axis=first, flip=(False, False))
    if not np.isfinite(affine).all():
        raise DataError(f"{path} has an affine that is no orientation; correct it")
    orientation = io_orientation(affine)
    worlds = {axis: orientation[axis] for axis in (first, second)}
    vertical = _SUPERIOR if any(world == _SUPERIOR for world, _ in worlds.values()) else _ANTERIOR
    rows = [axis for axis, (world, _) in worlds.items() if world == vertical]
    if len(rows) != 1 or np.isnan(orientation[[first, second]]).any():
        raise DataError(f"{path} has an affine that does not tell its axes apart; correct it")
    row, column = (first, second) if rows == [first] else (second, first)
    # Coordinates grow to the right, the front and the head, all of them against rows and columns.
    flip = (bool(worlds[row][1] > 0), bool(worlds[column][1] > 0))
    return Layout(shape=shape, row_axis=row, column_axis=column, flip=flip)


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


def _spacing(header: Any, layout: Layout) -> tuple[float, float] | None:
    if (header.get_best_affine()[:3, :3] == np.eye(3)).all():
        return None
    zooms = header.get_zooms()
    unit = _MILLIMETRES.get(header.get_xyzt_units()[0], 1.0)
    rows, columns = (float(zooms[axis]) * unit for axis in (layout.row_axis, layout.column_axis))
    return (rows, columns) if 0 < rows < np.inf and 0 < columns < np.inf else None
