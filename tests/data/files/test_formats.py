from pathlib import Path

import pytest

from data import DataError
from data.files.formats import (
    READABLE,
    is_dicom_name,
    is_radiograph_file,
    require_readable,
    stem_of,
    suffix_of,
    without_suffix,
)


@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        *((f"image{suffix}", suffix) for suffix in READABLE),
        ("IMAGE.PNG", ".png"),
        ("a.b/1.2.NII.GZ", ".nii.gz"),
        ("prior.v2.nii.gz", ".nii.gz"),
        ("table.csv", ".csv"),
        ("archive.gz", ".gz"),
        ("1.2.840.113619.2.1", ""),
        ("IM0001", ""),
        ("scan.final", ""),
        (".png", ""),
        ("folder.png/IM0001", ""),
    ],
)
def test_suffixes(name, suffix):
    assert suffix_of(name) == suffix_of(Path(name)) == suffix
    assert without_suffix(name) == name[: len(name) - len(suffix)]


def test_stems():
    assert stem_of(Path("a/prior.nii.gz")) == "prior"
    assert stem_of(Path("a/1.2.840.1")) == "1.2.840.1"
    assert stem_of(Path("a/1.2.840.1.dcm")) == "1.2.840.1"


@pytest.mark.parametrize(
    "name", [*(f"image{suffix}" for suffix in READABLE), "IM0001", "1.2.840.1", "x.dcm.PNG"]
)
def test_readable_names(name):
    require_readable(name)


@pytest.mark.parametrize(
    "suffix", [".csv", ".TXT", ".zip", ".gif", ".bmp", ".parquet", ".gz", ".json", ".nrrd"]
)
def test_names_that_are_known_and_not_read(suffix):
    with pytest.raises(DataError) as caught:
        require_readable(f"folder/image{suffix}")
    assert str(caught.value) == (
        f"folder/image{suffix} is a {suffix.lower()} file, which is not read; "
        "convert it to DICOM, PNG, JPEG, TIFF, NPY, NPZ or NIfTI"
    )


def test_names_read_as_dicom():
    assert all(is_dicom_name(name) for name in ("a.dcm", "a.DICOM", "a.ima", "IM0001", "1.2.840.1"))
    assert not any(is_dicom_name(name) for name in ("a.png", "a.nii.gz", "a.csv"))


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("image.png", b"", True),
        ("IM0001", bytes(128) + b"DICM", True),
        ("1.2.840.1", bytes(128) + b"DICM" + bytes(10), True),
        ("IM0002", bytes(132), False),
        ("LICENSE", b"text", False),
        ("table.csv", bytes(128) + b"DICM", False),
    ],
)
def test_what_a_scan_of_a_folder_takes(tmp_path, name, content, expected):
    (tmp_path / name).write_bytes(content)
    assert is_radiograph_file(tmp_path / name) is expected


def test_a_file_that_cannot_be_opened_is_named(tmp_path):
    with pytest.raises(DataError, match="cannot be opened"):
        is_radiograph_file(tmp_path / "IM0001")
