"""Arrays by name, of an NPZ file or of a folder of NPY files; mapped where they are not compressed."""

import struct
import zipfile
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from data.base.errors import DataError, first_line

Array = NDArray[Any]
_LOCAL_HEADER = struct.Struct("<26xHH")


class Arrays:
    """The arrays of a file or a folder, opened anew in every process: nothing of them is copied to it.

    Args:
        path: an NPZ file, or a folder of NPY files.

    Raises:
        DataError: it is not there or damaged, or holds objects.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.exists():
            raise DataError(f"{path} does not exist; check the path")
        try:
            self.named = _of_folder(path) if path.is_dir() else _of_archive(path)
        except Exception as error:  # NumPy and zipfile raise whatever they please on a damaged file
            raise DataError(
                f"{path} cannot be read as arrays ({first_line(error)}); replace it with an intact file of "
                "numbers and text, without objects"
            ) from error

    @property
    def files(self) -> list[str]:
        """Paths of what they are read from."""
        return sorted(map(str, self.path.glob("*.npy"))) if self.path.is_dir() else [str(self.path)]

    def __reduce__(self) -> tuple[type["Arrays"], tuple[Path]]:
        return Arrays, (self.path,)


def _of_folder(path: Path) -> dict[str, Array]:
    return {file.stem: np.load(file, mmap_mode="r") for file in sorted(path.glob("*.npy"))}


def _of_archive(path: Path) -> dict[str, Array]:
    found = {}
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if member.filename.endswith(".npy"):
                mapped = member.compress_type == zipfile.ZIP_STORED
                array = _map(path, member) if mapped else _decompress(archive, member)
                found[member.filename.removesuffix(".npy")] = array
    return found


def _decompress(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Array:
    with archive.open(member) as stream:
        return np.asarray(npy.read_array(stream, allow_pickle=False))


def _map(path: Path, member: zipfile.ZipInfo) -> Array:
    """An array that lies in the archive as it is, behind its name and NumPy's header."""
    with path.open("rb") as stream:
        stream.seek(member.header_offset)
        stream.seek(sum(_LOCAL_HEADER.unpack(stream.read(_LOCAL_HEADER.size))), 1)
        version = npy.read_magic(stream)
        read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, by_columns, dtype = read_header(stream)
        if dtype.hasobject:
            raise ValueError(f"{member.filename} holds objects")
        place = stream.tell()
    order: Literal["C", "F"] = "F" if by_columns else "C"
    mapped: Array = np.memmap(path, dtype, "r", place, shape, order) if np.prod(shape) else np.empty(shape)
    return mapped
