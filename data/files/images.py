"""Radiographs and change maps in every format -> float arrays; the one door to the decoders.

The decoders are imported for the formats that are read: who has no DICOM needs no pydicom.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from data.base.errors import DataError
from data.config import Change, Framing, Intensity
from data.files.formats import (
    ARRAY_SUFFIXES,
    NIFTI_SUFFIXES,
    RASTER_SUFFIXES,
    is_dicom_name,
    require_readable,
    suffix_of,
)
from data.files.intensity import change_of, equalise, grey_of
from data.files.orientation import Grid
from data.files.plane import StoredPlane
from data.files.quiet import quiet

if TYPE_CHECKING:
    from data.geometry import Geometry


@dataclass(frozen=True, kw_only=True)
class Radiograph:
    """One radiograph, or a change map that belongs to one."""

    pixels: NDArray[np.float32]
    """`[H, W]` in `[0, 1]`, dense tissue bright, upright."""
    spacing_mm: tuple[float, float] | None
    """Distance between rows and between columns, in mm; None where the file names none."""
    grid: Grid = field(default_factory=Grid)
    """Where the pixels lie, as far as the file says."""

    def geometry(self, framing: Framing) -> "Geometry":
        """How it is made square."""
        from data.geometry import Geometry  # and with it torch, which who only reads can do without

        height, width = self.pixels.shape
        return Geometry(
            height=height,
            width=width,
            framing=framing,
            spacing_mm=self.spacing_mm,
            pixel_aspect=self.grid.pixel_aspect,
        )


def read_radiograph(path: Path | str, intensity: Intensity = "dicom") -> Radiograph:
    """Read a radiograph: DICOM, PNG, JPEG, TIFF, NPY, NPZ or NIfTI, by its suffix.

    A file without a suffix, or with an unknown one, is read as DICOM. What a file says of its orientation is
    followed. Warnings of the libraries are kept off the terminal.

    Args:
        path: the file.
        intensity: how stored values become grey. `dicom`: DICOM files by their modality LUT and VOI LUT or
            window (`data.files.grayscale`); DICOM without VOI, and every other file, by what the bit depth
            can hold: unsigned integers are divided by 255, 65535 (or 2**bits - 1), signed ones by 127,
            32767; floats must lie in `[0, 1]`. `range`: DICOM files by their bit depth, too. `percentile`:
            the image's own 0.5th and 99.5th percentile are 0 and 1; values of any range and type are taken.
            `equalised`: so, and then what `data.files.intensity.equalise` makes of it.

    Raises:
        DataError: the file is missing, damaged, larger than 64 megapixels, in colour, not one grey plane, out
            of range, or, for percentiles, flat.
    """
    path = Path(path)
    if intensity == "equalised":  # once it is settled which end is bright
        radiograph = read_radiograph(path, "percentile")
        return replace(radiograph, pixels=equalise(radiograph.pixels))
    with quiet():
        if not is_dicom_name(path):
            plane = _decode(path)
            pixels = grey_of(plane, path, intensity)
            return Radiograph(pixels=pixels, spacing_mm=plane.spacing_mm, grid=plane.grid)
        with _reading(path, "DICOM"):
            from data.files.dicom import read_dicom
            from data.files.grayscale import grey_of_dicom

            image = read_dicom(path)
            pixels = grey_of_dicom(image, path, intensity)
            return Radiograph(pixels=pixels, spacing_mm=image.spacing_mm, grid=image.grid)


def read_image(path: Path | str, intensity: Intensity = "dicom") -> NDArray[np.float32]:
    """The pixels of a radiograph, `[H, W]` in `[0, 1]`; see `read_radiograph`.

    Raises:
        DataError: see `read_radiograph`.
    """
    return read_radiograph(path, intensity).pixels


def read_target(path: Path, change: Change) -> NDArray[np.float32]:
    """Read a change map as float32 `[H, W]`, in `[0, 1]` for magnitudes and `[-1, 1]` for signed maps.

    Floats are taken as they are. Integers of magnitudes are divided by the largest value of their type.
    Integers of signed maps have no change at 0 where their type is signed, and at mid-grey (128 or 32768)
    where it is not.

    Args:
        path: the file, in any format but DICOM; NIfTI is oriented as radiographs are.
        change: what the map means.

    Raises:
        DataError: the file is missing, damaged, DICOM, in colour, not two-dimensional or out of range.
    """
    return read_map(path, change).pixels


def read_map(path: Path, change: Change) -> Radiograph:
    """A change map, with where its pixels lie; see `read_target`."""
    if is_dicom_name(path):
        raise DataError(f"{path} is no format of change maps; store PNG, TIFF, NPY, NPZ or NIfTI")
    with quiet():
        plane = _decode(path)
        pixels = change_of(plane, path, change)
    return Radiograph(pixels=pixels, spacing_mm=plane.spacing_mm, grid=plane.grid)


def _decode(path: Path) -> StoredPlane:
    """Decode any file but DICOM."""
    require_readable(path)
    suffix = suffix_of(path)
    with _reading(path, suffix.removeprefix(".").upper()):
        if suffix in RASTER_SUFFIXES:
            from data.files.raster import read_raster

            return read_raster(path)
        if suffix in ARRAY_SUFFIXES:
            from data.files.arrays import read_array

            return read_array(path)
        assert suffix in NIFTI_SUFFIXES
        from data.files.nifti import read_nifti

        return read_nifti(path)


@contextmanager
def _reading(path: Path, kind: str) -> Iterator[None]:
    """What is not there, and what a decoder cannot read, is a DataError."""
    if path.is_dir():
        raise DataError(f"{path} is a folder; give a file")
    if not path.is_file():
        raise DataError(f"{path} does not exist; check the path")
    try:
        yield
    except DataError:
        raise
    except PermissionError as error:
        raise DataError(f"{path} must not be opened; check its permissions") from error
    except Exception as error:  # decoders raise whatever they please on a damaged file
        raise DataError(f"{path} cannot be read as {kind}; replace it with an intact file") from error
