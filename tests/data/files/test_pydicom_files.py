"""Every file that pydicom's wheel ships: an image equal to pydicom's own, or one line."""

import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.pixels import apply_modality_lut, apply_voi_lut, pixel_array

from data import DataError
from data.files.images import read_image

FOLDER = Path(pydicom.__file__).parent / "data"
FILES = sorted(path for path in FOLDER.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc"))
NAMES = [path.relative_to(FOLDER).as_posix() for path in FILES]
READ = 66  # of the files of pydicom 3.0; what is no file of one grey plane, or damaged, is not

REFUSED = {
    "DICOMDIR": "is DICOM without an image (Media Storage Directory Storage)",
    "reportsi.dcm": "is DICOM without an image (Basic Text SR Storage)",
    "rtstruct.dcm": "is DICOM without an image (RT Structure Set Storage)",
    "rtplan.dcm": "is DICOM without an image (RT Plan Storage)",
    "waveform_ecg.dcm": "is DICOM without an image (12-lead ECG Waveform Storage)",
    "hotiron.dcm": "is DICOM without an image (Color Palette Storage)",
    "rtdose.dcm": "holds 15 frames (RT Dose Storage)",
    "examples_ybr_color.dcm": "holds 30 frames",
    "examples_rgb_color.dcm": "is in colour (Ultrasound Image Storage)",
    "examples_palette.dcm": "is in palette colour",
    "SC_ybr_full_422_uncompressed.dcm": "is in colour (Secondary Capture Image Storage)",
    "MR_truncated.dcm": "cannot be read as DICOM",
    "no_meta.dcm": "is no DICOM file",
    "README.txt": "is a .txt file, which is not read",
}
TURNED = ("6293",)  # a lateral scout, whose header says that it faces the viewer's right
NO_REFERENCE = ("JPGExtended.dcm", "JPEG-lossy.dcm")  # no decoder of pydicom reads lossy JPEG of 12 bits


@pytest.fixture(scope="module")
def outcomes(read_apart) -> dict[Path, dict]:
    return read_apart(FILES)


def test_each_gives_an_image_or_one_line(outcomes):
    assert len(outcomes) == len(FILES) > 130
    for path, outcome in outcomes.items():
        assert outcome["seconds"] < 10, path
        assert outcome["mib"] < 950, path
        assert "\n" not in outcome.get("error", "")
    assert sum("shape" in outcome for outcome in outcomes.values()) >= READ


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_grey_plane_is_refused_by_name(name):
    path = next(path for path in FILES if path.name == name)
    with pytest.raises(DataError) as caught:
        read_image(path)
    assert str(caught.value).startswith(f"{path} ")
    assert REFUSED[name] in str(caught.value)


def test_images_equal_what_pydicom_makes_of_them(outcomes):
    compared = 0
    for path, outcome in outcomes.items():
        if "shape" not in outcome or path.name in NO_REFERENCE:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = _grey_by_pydicom(pydicom.dcmread(path, force=True))
        expected = expected[:, ::-1] if path.name in TURNED else expected
        np.testing.assert_allclose(read_image(path), expected, atol=1e-6, err_msg=str(path))
        compared += 1
    assert compared >= READ - len(NO_REFERENCE)


def _grey_by_pydicom(dataset: pydicom.Dataset) -> np.ndarray:
    """What pydicom displays, relative to the range its window functions map to."""
    bits, slope = dataset.BitsStored, float(dataset.get("RescaleSlope", 1))
    low = -(2 ** (bits - 1)) if dataset.PixelRepresentation else 0
    shown = apply_voi_lut(apply_modality_lut(pixel_array(dataset), dataset), dataset)
    grey = (shown - low * slope - float(dataset.get("RescaleIntercept", 0))) / (slope * (2**bits - 1))
    return 1 - grey if dataset.PhotometricInterpretation == "MONOCHROME1" else grey


def test_warnings_of_pydicom_do_not_reach_the_reader(recwarn):
    read_image(next(path for path in FILES if path.name == "MR_small_padded.dcm"))
    assert not recwarn.list
