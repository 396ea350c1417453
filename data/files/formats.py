"""Which files can be read, by their names; and, for scans of folders, by their first bytes."""

from pathlib import Path

from data.base.errors import DataError

DICOM_SUFFIXES = (".dcm", ".dicom", ".ima")
RASTER_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
ARRAY_SUFFIXES = (".npy", ".npz")
NIFTI_SUFFIXES = (".nii", ".nii.gz")
READABLE = (*DICOM_SUFFIXES, *RASTER_SUFFIXES, *ARRAY_SUFFIXES, *NIFTI_SUFFIXES)
READABLE_TEXT = "DICOM, PNG, JPEG, TIFF, NPY, NPZ or NIfTI"

# DICOM files often have no suffix, or a UID as their name, whose last number looks like one. So a suffix
# that is not known does not speak against a file, and those that do are listed.
# fmt: off
_NOT_READ = frozenset((
    ".7z", ".avi", ".bmp", ".bz2", ".cfg", ".conf", ".csv", ".db", ".doc", ".docx", ".exe", ".feather",
    ".gif", ".gz", ".h5", ".hdf5", ".hdr", ".heic", ".htm", ".html", ".ico", ".img", ".ini", ".ipynb",
    ".j2k", ".jls", ".jp2", ".js", ".json", ".jsonl", ".log", ".mat", ".md", ".mha", ".mhd", ".mkv",
    ".mov", ".mp4", ".mrb", ".nrrd", ".odt", ".onnx", ".parquet", ".pdf", ".pickle", ".pkl", ".ppt",
    ".pptx", ".ps", ".pt", ".pth", ".py", ".pyc", ".rar", ".raw", ".rst", ".rtf", ".safetensors", ".sh",
    ".sqlite", ".svg", ".tar", ".tgz", ".toml", ".tsv", ".txt", ".webp", ".xls", ".xlsx", ".xml", ".xz",
    ".yaml", ".yml", ".zip", ".zst",
))
# fmt: on
_KNOWN = frozenset(READABLE) | _NOT_READ
_PREAMBLE = 128


def suffix_of(path: Path | str) -> str:
    """The suffix that names a file's format, in lower case, with `.nii.gz` as one.

    It is empty where the name ends in none that is known: of `1.2.840.1` and `IM0001`, which DICOM files are
    called, the last part names no format.
    """
    name = str(path).rpartition("/")[2].lower()
    if name.endswith(".nii.gz"):
        return ".nii.gz"
    stem, dot, end = name.rpartition(".")
    suffix = dot + end
    return suffix if stem and suffix in _KNOWN else ""


def without_suffix(path: str) -> str:
    """A path without the suffix that names the file's format."""
    return path[: len(path) - len(suffix_of(path))]


def stem_of(path: Path) -> str:
    """A file's name without the suffix that names its format."""
    return without_suffix(path.name)


def is_dicom_name(path: Path | str) -> bool:
    """Whether a file is read as DICOM: its suffix says so, or names no other format."""
    return suffix_of(path) in ("", *DICOM_SUFFIXES)


def require_readable(path: Path | str) -> None:
    """Refuse a file whose suffix is known and no format read here; the file is not looked at.

    Raises:
        DataError: naming the file and the formats.
    """
    suffix = suffix_of(path)
    if suffix in _NOT_READ:
        raise DataError(f"{path} is a {suffix} file, which is not read; convert it to {READABLE_TEXT}")


def is_radiograph_file(path: Path) -> bool:
    """Whether a scan of a folder takes a file: its suffix is in `READABLE`, or none and its content is DICOM.

    Raises:
        DataError: the name does not decide it and the file cannot be opened.
    """
    suffix = suffix_of(path)
    return suffix in READABLE or (not suffix and has_dicom_prefix(path))


def has_dicom_prefix(path: Path) -> bool:
    """Whether `DICM` follows the 128 bytes of preamble. Source: DICOM PS3.10, section 7.1.

    Raises:
        DataError: the file cannot be opened.
    """
    try:
        with path.open("rb") as stream:
            return stream.read(_PREAMBLE + 4)[_PREAMBLE:] == b"DICM"
    except OSError as error:
        raise DataError(f"{path} cannot be opened ({error.strerror}); check its permissions") from error
