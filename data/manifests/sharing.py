"""Which file it is, whatever leads to it: another spelling of its path, a symbolic or a hard link."""

import os
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from data.manifests.records import IMAGE_FILES, PairRecord, RecordTable, codes_of

_OF_PAIRS = ("baseline", "followup")
_NOWHERE = -1  # no file has a negative number
ListFolder = Callable[[str], Mapping[str, int]]
"""Names in a folder, each with the number of the file that it leads to."""


class Use(NamedTuple):
    """A radiograph of a record, as its row names it."""

    row: int
    role: str
    cell: str


def listing() -> ListFolder:
    """A function that lists folders, each once: one listing answers for all files of a folder."""
    return lru_cache(maxsize=4096)(_numbers_in)


def shared_file(records: RecordTable, list_folder: ListFolder) -> tuple[Use, Use] | None:
    """The first radiograph that is of another patient as well, and where it was met before.

    Files are told apart by the numbers that their folders list for them, without a look at each; those whose
    numbers meet are looked at, as a number is unique within a device only. A missing file is its path.
    """
    roles = _OF_PAIRS if records.kind is PairRecord else IMAGE_FILES
    cells = pa.chunked_array([records.columns.column(role).combine_chunks() for role in roles])
    encoded = cells.combine_chunks().dictionary_encode()
    paths = [os.path.join(records.folder, cell) for cell in encoded.dictionary.to_pylist()]  # noqa: PTH118
    numbers = np.array([_number_at(path, list_folder) for path in paths], np.int64)
    codes = encoded.indices.to_numpy()
    patients = np.tile(codes_of(records.columns.column("patient_id")), len(roles))
    met: dict[object, int] = {}
    for place in _of_several(numbers[codes], patients).tolist():
        first = met.setdefault(_file_at(paths[codes[place]]), place)
        if patients[first] != patients[place]:
            one, other = (
                Use(use % len(records), roles[use // len(records)], cells[use].as_py())
                for use in (place, first)
            )
            return one, other
    return None


def _of_several(numbers: np.ndarray, patients: np.ndarray) -> np.ndarray:
    """Places of the numbers that several patients have, ascending."""
    _, first, inverse = np.unique(numbers, return_index=True, return_inverse=True)
    several = np.zeros(len(first), bool)
    several[inverse[patients != patients[first[inverse]]]] = True
    return np.flatnonzero(several[inverse])


def _number_at(path: str, list_folder: ListFolder) -> int:
    folder, slash, name = path.rpartition("/")
    return list_folder(folder + slash).get(name, _NOWHERE)


def _file_at(path: str) -> object:
    try:
        found = os.stat(path)  # noqa: PTH116
    except OSError:
        return path
    return found.st_dev, found.st_ino


def _numbers_in(folder: str) -> dict[str, int]:
    try:
        with os.scandir(folder or ".") as entries:
            return {entry.name: _number_of(entry) for entry in entries}
    except OSError:
        return {}


def _number_of(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat().st_ino if entry.is_symlink() else entry.inode()
    except OSError:
        return _NOWHERE
