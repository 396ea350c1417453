"""How large the picture in a file is, from its header alone."""

from pathlib import Path

from data.base.errors import DataError, first_line
from data.files.formats import is_dicom_name
from data.files.quiet import quiet


def size_of(path: Path) -> tuple[int, int]:
    """Height and width as the file stores them, of DICOM, PNG, JPEG or TIFF.

    Raises:
        DataError: it is missing, or has no such header.
    """
    try:
        with quiet():
            return _dicom_size(path) if is_dicom_name(path) else _raster_size(path)
    except Exception as error:  # libraries raise whatever they please on a damaged file
        raise DataError(
            f"{path} names no size ({first_line(error)}); replace it with an intact file"
        ) from None


def _dicom_size(path: Path) -> tuple[int, int]:
    from pydicom import dcmread

    header = dcmread(path, stop_before_pixels=True, specific_tags=["Rows", "Columns"])
    return int(header.Rows), int(header.Columns)


def _raster_size(path: Path) -> tuple[int, int]:
    from PIL import Image

    with Image.open(path) as image:
        return image.height, image.width
