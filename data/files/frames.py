"""How large the picture in a file is and how it lies, from its header alone."""

from dataclasses import dataclass
from pathlib import Path

from data.base.errors import DataError, first_line
from data.files.formats import is_dicom_name
from data.files.orientation import AS_STORED, TURN_OF_EXIF, Turn
from data.files.quiet import quiet

_ORIENTATION = 274


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """The pixels of a file as they are stored, on which annotations were made."""

    height: float
    width: float
    turn: Turn = AS_STORED
    """From what is stored to what is seen."""


def frame_of(path: Path) -> Frame:
    """The frame of a file of DICOM, PNG, JPEG or TIFF.

    Raises:
        DataError: it is missing, has no such header, or an orientation that cannot be known.
    """
    try:
        with quiet():
            return _of_dicom(path) if is_dicom_name(path) else _of_raster(path)
    except DataError:
        raise
    except Exception as error:  # libraries raise whatever they please on a damaged file
        raise DataError(
            f"{path} names no size ({first_line(error)}); replace it with an intact file"
        ) from None


def _of_dicom(path: Path) -> Frame:
    from pydicom import dcmread

    from data.files.dicom import turn_of

    header = dcmread(path, stop_before_pixels=True)
    return Frame(height=int(header.Rows), width=int(header.Columns), turn=turn_of(header, path))


def _of_raster(path: Path) -> Frame:
    from PIL import Image

    with Image.open(path) as image:
        turn = TURN_OF_EXIF.get(image.getexif().get(_ORIENTATION, 1), AS_STORED)
        return Frame(height=image.height, width=image.width, turn=turn)
