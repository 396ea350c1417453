"""Which files can be read, by their names."""

from __future__ import annotations

from pathlib import Path

from data.errors import DataError

READABLE = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".npy", ".nii", ".nii.gz")
_READABLE_TEXT = "PNG, JPEG, TIFF (8 or 16 bit), NPY or NIfTI"
_NAMED_BUT_NOT_READ = {".dcm": "DICOM", ".dicom": "DICOM", ".parquet": "Parquet"}


def suffix_of(path: Path | str) -> str:
    """The suffix that names a file's format, in lower case, with `.nii.gz` as one."""
    name = str(path).rpartition("/")[2].lower()
    if name.endswith(".nii.gz"):
        return ".nii.gz"
    stem, dot, suffix = name.rpartition(".")
    return dot + suffix if stem else ""


def without_suffix(path: str) -> str:
    """A path without the suffix that names the file's format."""
    return path[: len(path) - len(suffix_of(path))]


def stem_of(path: Path) -> str:
    """A file's name without the suffix that names its format."""
    return without_suffix(path.name)


def require_readable(path: Path | str) -> None:
    """Refuse a file whose suffix is no format read here.

    Raises:
        DataError: naming the file and the formats.
    """
    suffix = suffix_of(path)
    if suffix in READABLE:
        return
    known = _NAMED_BUT_NOT_READ.get(suffix)
    if known:
        reason = f"is {known}, which is not read yet"
    else:
        reason = f"has the unknown suffix {suffix!r}" if suffix else "has no suffix"
    raise DataError(f"{path} {reason}; convert it to {_READABLE_TEXT}")
