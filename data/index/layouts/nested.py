"""`CASE/PAIR/{prior,current,diff_map,diff_map_prior}.nii.gz`, the layout that longitudinal pipelines write.

CASE may be called by a patient's name or number, so nothing here repeats it but the private list.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from data.base.errors import DataError
from data.files.formats import is_radiograph_file, stem_of
from data.index.catalogue import UNREADABLE, Catalogue, GivenPairs, Images, Source
from data.index.doubts import Mask, marks_of
from data.index.headers import looks_like_dicom, read_marks
from data.index.options import Doubt

LOOKED_FOR = "CASE/PAIR/ folders with prior.nii.gz and current.nii.gz"
_FILES = ("prior", "current", "diff_map", "diff_map_prior")


class _Folder(NamedTuple):
    case: str
    pair: str
    files: dict[str, list[str]]  # paths by the name without suffix


def find(root: Path) -> bool:
    """One folder two levels down that holds both images."""
    return any({"prior", "current"} <= folder.files.keys() for folder in _folders_of_pairs(str(root), []))


def read(source: Source) -> Catalogue:
    """Both images of every pair, and the pairs as they are; incomplete ones are refused by reason.

    Raises:
        DataError: there is no complete pair.
    """
    root, unreadable = str(source.root), list[str]()
    pairs, refused = list[_Folder](), list[tuple[str, str]]()
    for folder in _folders_of_pairs(root, unreadable):
        if reason := _reason_against(folder):
            refused.append((f"{folder.case}/{folder.pair}", reason))
        elif folder.files:
            pairs.append(folder)
    pairs, shared = _of_one_case_each(pairs)
    refused += shared
    catalogue = _catalogue(pairs, root, source.workers)
    for path, reason in [*refused, *((os.path.relpath(path, root), UNREADABLE) for path in unreadable)]:
        catalogue.refuse(path, reason)
    catalogue.require_images(source.root, "complete pair")
    return catalogue


def _reason_against(folder: _Folder) -> str | None:
    if folder.files and not {"prior", "current"} <= folder.files.keys():
        return "pair without prior or current"
    if any(len(paths) > 1 for paths in folder.files.values()):
        return "pair with two files of one name"
    readable = all(os.access(path, os.R_OK) for paths in folder.files.values() for path in paths)
    return None if readable else "pair with a file that cannot be opened"


def _folders_of_pairs(root: str, unreadable: list[str]) -> Iterator[_Folder]:
    """All folders two levels down, in order; `unreadable` takes the ones that cannot be listed."""
    for case in _entries(root, unreadable):
        for pair in _entries(case.path, unreadable) if _is_folder(case) else ():
            files: dict[str, list[str]] = {}
            for file in _entries(pair.path, unreadable) if _is_folder(pair) else ():
                stem = stem_of(Path(file.name))
                if stem in _FILES and _is_image(Path(file.path)):
                    files.setdefault(stem, []).append(file.path)
            yield _Folder(case.name, pair.name, files)


def _entries(folder: str, unreadable: list[str]) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            shown = [entry for entry in entries if not entry.name.startswith(".")]
    except OSError:
        unreadable.append(folder)
        return []
    return sorted(shown, key=lambda entry: entry.name)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads nowhere one may look
        return False


def _is_image(path: Path) -> bool:
    try:
        return is_radiograph_file(path)
    except DataError:  # it cannot be opened, which `read` says
        return True


def _of_one_case_each(pairs: list[_Folder]) -> tuple[list[_Folder], list[tuple[str, str]]]:
    """The pairs whose radiographs are of no earlier case, whatever links lead to them, and the others."""
    case_of: dict[tuple[int, int], str] = {}
    kept, refused = list[_Folder](), list[tuple[str, str]]()
    for folder in pairs:
        files = [os.stat(folder.files[name][0]) for name in ("prior", "current")]  # noqa: PTH116
        cases = {case_of.setdefault((file.st_dev, file.st_ino), folder.case) for file in files}
        if cases == {folder.case}:
            kept.append(folder)
        else:
            refused.append((f"{folder.case}/{folder.pair}", "pair with a radiograph of another case"))
    return kept, refused


def _marks(pairs: list[_Folder], workers: int) -> dict[Doubt, Mask]:
    """What DICOM files say against themselves; other formats say nothing."""
    paths = [folder.files[name][0] for folder in pairs for name in ("prior", "current")]
    marks = [frozenset[Doubt]()] * len(paths)
    places = [place for place, path in enumerate(paths) if looks_like_dicom(path)]
    for place, found in zip(places, read_marks([paths[place] for place in places], workers), strict=True):
        marks[place] = found
    return marks_of(marks) if places else {}


def _catalogue(pairs: list[_Folder], root: str, workers: int) -> Catalogue:
    length = 2 * len(pairs)

    def paths_of(name: str) -> list[bytes | None]:
        files = [folder.files.get(name) for folder in pairs]
        return [os.fsencode(os.path.relpath(paths[0], root)) if paths else None for paths in files]

    both = zip(paths_of("prior"), paths_of("current"), strict=True)
    images = Images(
        patient=pa.array([_text(folder.case) for folder in pairs for _ in range(2)], pa.string()),
        study=pa.array([_text(folder.pair) for folder in pairs for _ in range(2)], pa.string()),
        image=pa.array(["baseline", "followup"] * len(pairs), pa.string()),
        path=pa.array([path for paths in both for path in paths], pa.binary()),
        marks=_marks(pairs, workers),
    )
    given = GivenPairs(
        baseline=np.arange(0, length, 2),
        followup=np.arange(1, length, 2),
        target=pa.array(paths_of("diff_map"), pa.binary()),
        target_baseline=pa.array(paths_of("diff_map_prior"), pa.binary()),
    )
    return Catalogue(images=images, namespace="nested", pairs=given, checked=True)


def _text(name: str) -> str:
    """A file's name as text, though it need not be UTF-8."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
