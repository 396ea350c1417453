"""Links under pseudonyms, so that a manifest need not name files whose paths may say whose they are."""

import os
from pathlib import Path

import pyarrow as pa

from data.files.formats import suffix_of
from data.index.tables import join

FOLDER = "files"
# Any other ending may be a part of a name, or of a UID.
_SUFFIXES = frozenset((".dcm", ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".npy", ".npz", ".nii", ".nii.gz"))


def link_files(
    folder: Path, paths: pa.Array, patients: pa.Array, names: pa.Array, *, out: Path, root: Path
) -> pa.Array:
    """Make relative links `files/PATIENT/NAME.SUFFIX` in `folder`, to be moved to `out` beside it.

    Args:
        folder: where the links are made.
        paths: files relative to `root`, strings or bytes, null where there is none.
        patients: pseudonyms of the patients.
        names: pseudonyms of the images, unique within a patient.
        out: where `folder` will be; links are relative to it.
        root: folder of the data set.

    Returns:
        Paths of the links relative to `out`, null where there is no file.
    """
    texts = [None if path is None else os.fsdecode(path) for path in paths.to_pylist()]
    suffixes = pa.array([None if text is None else _suffix(text) for text in texts], pa.string())
    links = join(pa.repeat(FOLDER, len(paths)), patients, join(names, suffixes), separator="/")
    for patient in patients.unique().to_pylist():
        (folder / FOLDER / patient).mkdir(parents=True, exist_ok=True)
    up = os.path.relpath(root, out / FOLDER / "patient")
    for text, link in zip(texts, links.to_pylist(), strict=True):
        if text is not None:
            os.symlink(f"{up}/{text}", f"{folder}/{link}")  # noqa: PTH211  (a Path a file is slow)
    return links


def _suffix(path: str) -> str:
    suffix = suffix_of(path)
    return suffix if suffix in _SUFFIXES else ".dcm"
