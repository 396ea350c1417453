"""DICOM: stored values, transformations, transfer syntaxes, spacing, and what is refused."""

import io
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.pixels import get_decoder
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRBigEndian, JPEG2000Lossless, JPEGExtended12Bit, JPEGLossless

from data import DataError
from data.files.images import read_image, read_radiograph

RAMP12 = np.array([[0, 1000, 2000], [3000, 4000, 4095]], dtype=np.uint16)
SIGNED12 = np.array([[-2048, -1000, 0], [1000, 2000, 2047]], dtype=np.int16)
LOSSLESS = (
    "Explicit",
    "Implicit",
    "Deflated",
    "RLE",
    "JPEG2000",
    "JPEGLS",
    "JPEGLossless",
    "JPEGLosslessSV1",
    "HTJ2KLossless",
    "HTJ2KLosslessRPCL",
)


def _lut(entries: list[int], first: int, bits: int, *, packed: bool = False) -> Dataset:
    item = Dataset()
    item.LUTDescriptor = [len(entries), first, bits]
    item["LUTDescriptor"].VR = "SS" if first < 0 else "US"
    if packed:
        item.add_new("LUTData", "OW", bytes(entries))
    else:
        item.add_new("LUTData", "OW", np.array(entries, "<u2").tobytes())
    return item


def _refused(path, *parts: str, intensity: str = "dicom") -> None:
    with pytest.raises(DataError) as caught:
        read_image(path, intensity)
    message = str(caught.value)
    assert message.startswith(f"{path} ")
    assert "\n" not in message
    assert "Doe" not in message
    for part in parts:
        assert part in message


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("intensity", ["dicom", "range"])
def test_without_a_window_the_stored_bits_are_the_range(make_dicom, bits, intensity):
    largest = 2**bits - 1
    pixels = np.array([[0, largest // 3, largest]], np.uint8 if bits == 8 else np.uint16)
    np.testing.assert_allclose(read_image(make_dicom(pixels, bits), intensity), pixels / largest, atol=1e-7)


@pytest.mark.parametrize("intensity", ["dicom", "range"])
def test_signed_values(make_dicom, intensity):
    path = make_dicom(SIGNED12, 12)
    np.testing.assert_allclose(read_image(path, intensity), (SIGNED12 + 2048.0) / 4095, atol=1e-7)


def test_32_bit_values(make_dicom):
    pixels = np.array([[0, 2**31, 2**32 - 1]], np.uint32)
    path = make_dicom(np.zeros((1, 3), np.uint16), 16, BitsAllocated=32, BitsStored=32, HighBit=31,
                      PixelData=pixels.tobytes())  # fmt: skip
    np.testing.assert_allclose(read_image(path), pixels / (2**32 - 1))


@pytest.mark.parametrize("signed", [0, 1])
def test_20_bits_under_an_overlay(make_dicom, signed):
    pixels = np.array([[0, 2**18, 2**19 - 1]], np.int32)
    with_overlay = pixels | np.int32(5 << 20)
    path = make_dicom(
        np.zeros((1, 3), np.uint16),
        16,
        BitsAllocated=32,
        BitsStored=20,
        HighBit=19,
        PixelRepresentation=signed,
        PixelData=with_overlay.tobytes(),
    )
    low = -(2**19) if signed else 0
    np.testing.assert_allclose(read_image(path), (pixels - low) / (2**20 - 1), atol=1e-7)


@pytest.mark.parametrize("syntax", ["JPEG2000", "JPEGLS"])
def test_compressed_values_of_more_bits_than_declared_are_refused(make_dicom, waves, syntax):
    path = make_dicom(waves(14), 14, syntax=syntax)
    dataset = pydicom.dcmread(path)
    dataset.BitsStored, dataset.HighBit = 12, 11
    dataset.save_as(path)
    _refused(path, "holds values of more than the 12 bits it declares; store it again")


def test_float_pixels(make_dicom):
    path = make_dicom(np.zeros((1, 3), np.uint16), 16)
    dataset = pydicom.dcmread(path)
    del dataset.PixelData
    dataset.BitsAllocated = 32
    dataset.FloatPixelData = np.array([[0, 0.25, 1]], np.float32).tobytes()
    dataset.save_as(path)
    np.testing.assert_array_equal(read_image(path), [[0, 0.25, 1]])
    dataset.FloatPixelData = np.array([[-5, 0, 5]], np.float32).tobytes()
    dataset.save_as(path)
    _refused(path, "ranges over [-5, 5]", "set the intensity to percentile")
    assert read_image(path, "percentile").tolist() == [[0, 0.5, 1]]


@pytest.mark.parametrize(
    "inverse",
    [
        {"PhotometricInterpretation": "MONOCHROME1"},
        {"PresentationLUTShape": "INVERSE"},
        {"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"},
    ],
)
@pytest.mark.parametrize("intensity", ["dicom", "range", "percentile"])
def test_dense_tissue_is_bright(make_dicom, inverse, intensity):
    as_is = read_image(make_dicom(RAMP12, 12), intensity)
    np.testing.assert_allclose(read_image(make_dicom(RAMP12, 12, **inverse), intensity), 1 - as_is, atol=1e-7)


@pytest.mark.parametrize("intensity", ["dicom", "range", "percentile"])
def test_a_falling_rescale_slope_turns_the_image_over(make_dicom, intensity):
    rising = read_image(make_dicom(RAMP12, 12), intensity)
    falling = read_image(make_dicom(RAMP12, 12, RescaleSlope="-2", RescaleIntercept="100"), intensity)
    np.testing.assert_allclose(falling, 1 - rising, atol=1e-6)


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        ("LINEAR", lambda x: np.clip((x - 1999.5) / 999 + 0.5, 0, 1)),
        ("LINEAR_EXACT", lambda x: np.clip((x - 2000) / 1000 + 0.5, 0, 1)),
        ("SIGMOID", lambda x: 1 / (1 + np.exp(-4 * (x - 2000) / 1000))),
    ],
)
@pytest.mark.parametrize("rescale", [{}, {"RescaleSlope": "2", "RescaleIntercept": "-1024"}])
def test_windows(make_dicom, function, expected, rescale):
    """Closed forms of PS3.3, C.11.2.1.2 and C.11.2.1.3; the first of several windows counts."""
    path = make_dicom(
        RAMP12, 12, WindowCenter=[2000, 50], WindowWidth=[1000, 7], VOILUTFunction=function, **rescale
    )
    values = RAMP12 * 2.0 - 1024 if rescale else RAMP12.astype(float)
    np.testing.assert_allclose(read_image(path), expected(values), atol=1e-6)
    np.testing.assert_allclose(read_image(path, "range"), RAMP12 / 4095, atol=1e-6)


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_voi_lut(make_dicom, bits):
    """It goes before a window; values before its first entry get that entry, those behind the last."""
    entries = (np.linspace(0, 1, 3000) ** 2 * (2**bits - 1)).astype(int)
    path = make_dicom(RAMP12, 12, VOILUTSequence=Sequence([_lut(entries.tolist(), 500, bits)]),
                      WindowCenter=1, WindowWidth=2)  # fmt: skip
    expected = entries[np.clip(RAMP12.astype(int) - 500, 0, 2999)] / (2**bits - 1)
    np.testing.assert_allclose(read_image(path), expected, atol=1e-6)


def test_lut_of_bytes_packed_two_to_a_word(make_dicom):
    entries = [value // 16 for value in range(4096)]
    path = make_dicom(RAMP12, 12, VOILUTSequence=Sequence([_lut(entries, 0, 8, packed=True)]))
    np.testing.assert_allclose(read_image(path), RAMP12 // 16 / 255, atol=1e-6)


@pytest.mark.parametrize(
    "window", [{}, {"WindowCenter": 512, "WindowWidth": 1024, "VOILUTFunction": "LINEAR_EXACT"}]
)
def test_modality_lut(make_dicom, window):
    entries = [value // 4 for value in range(4096)]
    path = make_dicom(RAMP12, 12, ModalityLUTSequence=Sequence([_lut(entries, 0, 10)]), **window)
    np.testing.assert_allclose(read_image(path), RAMP12 // 4 / (1024 if window else 1023), atol=1e-6)


def test_modality_lut_of_signed_values(make_dicom):
    entries = [value * 16 for value in range(4096)]
    path = make_dicom(SIGNED12, 12, ModalityLUTSequence=Sequence([_lut(entries, -2048, 16)]))
    np.testing.assert_allclose(read_image(path), (SIGNED12 + 2048.0) * 16 / 65535, atol=1e-6)


@pytest.mark.parametrize(
    "damage",
    [
        {"WindowCenter": 100, "WindowWidth": 0},
        {"WindowCenter": 100, "WindowWidth": 10, "VOILUTFunction": "CUBIC"},
        {"RescaleSlope": "0", "RescaleIntercept": "1"},
        {"VOILUTSequence": Sequence([_lut([1, 2, 3], 0, 40)])},
    ],
)
def test_windows_and_tables_that_mean_nothing(make_dicom, damage):
    path = make_dicom(RAMP12, 12, **damage)
    _refused(path, "has a damaged window or lookup table", "set the intensity to range")
    if "RescaleSlope" not in damage:
        np.testing.assert_allclose(read_image(path, "range"), RAMP12 / 4095, atol=1e-7)


def test_empty_windows_are_none(make_dicom):
    path = make_dicom(RAMP12, 12, WindowCenter=None, WindowWidth=None)
    np.testing.assert_allclose(read_image(path), RAMP12 / 4095, atol=1e-7)


@pytest.mark.parametrize("pixels", [RAMP12, SIGNED12], ids=["unsigned", "signed"])
def test_overlays_above_the_stored_bits(make_dicom, pixels):
    clean = read_image(make_dicom(pixels, 12, WindowCenter=1000, WindowWidth=2000))
    with_overlay = (pixels.view(np.uint16) & 0x0FFF) | np.uint16(0xA000)
    path = make_dicom(pixels, 12, WindowCenter=1000, WindowWidth=2000, PixelData=with_overlay.tobytes())
    np.testing.assert_array_equal(read_image(path), clean)


def test_values_stored_in_the_highest_bits(make_dicom):
    path = make_dicom(RAMP12, 12, HighBit=15, PixelData=(RAMP12 << 4).tobytes())
    np.testing.assert_allclose(read_image(path), RAMP12 / 4095, atol=1e-7)


@pytest.mark.parametrize("syntax", LOSSLESS)
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_lossless_transfer_syntaxes(make_dicom, waves, syntax, bits):
    pixels = waves(bits)
    np.testing.assert_allclose(
        read_image(make_dicom(pixels, bits, syntax=syntax)), pixels / (2**bits - 1), atol=1e-7
    )


@pytest.mark.parametrize(
    "syntax", ["JPEG2000", "HTJ2KLossless", "JPEGLS", "RLE", "JPEGLossless", "JPEGLosslessSV1"]
)
def test_lossless_transfer_syntaxes_of_signed_values(make_dicom, waves, syntax):
    pixels = waves(12).astype(np.int16) - 2048
    np.testing.assert_allclose(
        read_image(make_dicom(pixels, 12, syntax=syntax)), (pixels + 2048) / 4095, atol=1e-7
    )


@pytest.mark.parametrize("syntax", ["JPEG", "JPEGLSNear"])
def test_lossy_transfer_syntaxes(make_dicom, waves, syntax):
    pixels = waves(8)
    np.testing.assert_allclose(read_image(make_dicom(pixels, 8, syntax=syntax)), pixels / 255, atol=0.1)


@pytest.mark.parametrize(("syntax", "tolerance"), [("JPEGExtended", 3), ("JPEG2000Lossy", 30), ("HTJ2K", 30)])
def test_lossy_transfer_syntaxes_of_12_bits(make_dicom, waves, syntax, tolerance):
    pixels = waves(12)
    found = read_image(make_dicom(pixels, 12, syntax=syntax)) * 4095
    np.testing.assert_allclose(found, pixels, atol=tolerance)


def test_baseline_jpeg_as_pillow_reads_it(make_dicom, waves):
    path = make_dicom(waves(8), 8, syntax="JPEG")
    frame = get_frame(pydicom.dcmread(path).PixelData, 0, number_of_frames=1)
    expected = np.asarray(Image.open(io.BytesIO(frame)))
    np.testing.assert_array_equal(np.round(read_image(path) * 255), expected)


def test_jpeg_of_12_bits_as_pydicom_records_it():
    """The two values of this file that pydicom's own tests expect."""
    path = next(Path(pydicom.__file__).parent.rglob("JPGExtended.dcm"))
    stored = np.round(read_image(path, "range") * 4095).astype(int)
    assert stored.shape == (1024, 256)
    assert (stored[420, 140], stored[230, 120]) == (244, 95)


def test_jpeg_of_12_bits_in_8_is_refused(make_frame, waves):
    frame = imagecodecs.jpeg8_encode(waves(12), bitspersample=12)
    _refused(make_frame(waves(8), 8, JPEGExtended12Bit, frame), "has 12 bits in 8 allocated")


@pytest.mark.parametrize("knows_sign", [True, False])
def test_jpeg_2000_of_more_than_16_bits(make_frame, knows_sign):
    pixels = np.array([[-(2**19), -1, 0], [1, 1000, 2**19 - 1]], np.int32)
    coded = pixels if knows_sign else (pixels & 0xFFFFF).astype(np.uint32)
    frame = imagecodecs.jpeg2k_encode(coded, codecformat="j2k", bitspersample=20)
    wide = {"BitsAllocated": 32, "BitsStored": 20, "HighBit": 19, "PixelRepresentation": 1}
    path = make_frame(pixels.astype(np.int16), 16, JPEG2000Lossless, frame, **wide)
    np.testing.assert_allclose(read_image(path), (pixels + 2.0**19) / (2**20 - 1), atol=1e-6)


@pytest.mark.parametrize("transform", [0, 1, 3])
@pytest.mark.parametrize("predictor", range(1, 8))
@pytest.mark.parametrize("bits", range(8, 17))
def test_lossless_jpeg_of_every_depth_predictor_and_point_transform(
    make_frame, waves, bits, predictor, transform
):
    pixels = waves(bits)
    path = make_frame(pixels, bits, JPEGLossless, _lossless_jpeg(pixels, bits, predictor, transform))
    expected = pixels >> transform << transform
    np.testing.assert_array_equal(np.round(read_image(path) * (2**bits - 1)), expected)


@pytest.mark.parametrize(("bits", "predictor", "transform"), [(8, 1, 0), (12, 4, 1), (16, 1, 0), (16, 7, 3)])
def test_lossless_jpeg_as_gdcm_reads_it(make_frame, waves, bits, predictor, transform):
    pytest.importorskip("gdcm")
    pixels = waves(bits)
    path = make_frame(pixels, bits, JPEGLossless, _lossless_jpeg(pixels, bits, predictor, transform))
    by_gdcm, _ = get_decoder(JPEGLossless).as_array(pydicom.dcmread(path), decoding_plugin="gdcm")
    np.testing.assert_array_equal(np.round(read_image(path) * (2**bits - 1)), by_gdcm)


def _lossless_jpeg(pixels: np.ndarray, bits: int, predictor: int, transform: int) -> bytes:
    """With a point transform, the data are those of fewer bits; two bytes of the headers differ."""
    left = bits - transform
    shifted = (pixels >> transform).astype(np.uint8 if left <= 8 else np.uint16)
    frame = bytearray(
        imagecodecs.jpeg8_encode(shifted, lossless=True, predictor=predictor, bitspersample=left)
    )
    frame[frame.index(b"\xff\xc3") + 4] = bits
    frame[frame.index(b"\xff\xda") + 9] = transform
    return bytes(frame)


@pytest.mark.parametrize("syntax", ["JPEG2000", "HTJ2K", "JPEGLS", "JPEGLosslessSV1", "JPEG", "RLE"])
def test_frames_that_end_early_are_refused(make_dicom, waves, syntax):
    path = make_dicom(waves(8), 8, syntax=syntax)
    dataset = pydicom.dcmread(path)
    frame = get_frame(dataset.PixelData, 0, number_of_frames=1)
    dataset.PixelData = encapsulate([frame[: len(frame) // 2]])
    dataset.save_as(path)
    _refused(path, "replace it with an intact")


def test_big_endian(tmp_path, make_dicom):
    little = pydicom.dcmread(make_dicom(RAMP12, 12))
    dataset = Dataset({element.tag: element for element in little})
    dataset.file_meta = little.file_meta
    dataset.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    dataset.PixelData = RAMP12.byteswap().tobytes()
    dataset.save_as(tmp_path / "big.dcm", enforce_file_format=True, little_endian=False, implicit_vr=False)
    np.testing.assert_allclose(read_image(tmp_path / "big.dcm"), RAMP12 / 4095, atol=1e-7)


@pytest.mark.parametrize("name", ["IM0001", "1.2.840.113619.2", "image.ima", "image.DICOM"])
def test_dicom_by_any_name(make_dicom, name):
    assert read_image(make_dicom(RAMP12, 12, name=name)).shape == (2, 3)


@pytest.mark.parametrize("implicit", [True, False])
def test_without_preamble(tmp_path, make_dicom, implicit):
    dataset = pydicom.dcmread(make_dicom(RAMP12, 12))
    bare = Dataset({element.tag: element for element in dataset})
    content = io.BytesIO()
    bare.save_as(content, implicit_vr=implicit, little_endian=True)
    (tmp_path / "bare").write_bytes(content.getvalue())
    np.testing.assert_allclose(read_image(tmp_path / "bare"), RAMP12 / 4095, atol=1e-7)


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({}, None),
        ({"PixelSpacing": [0.2, 0.3], "ImagerPixelSpacing": [1, 1]}, (0.2, 0.3)),
        ({"ImagerPixelSpacing": [0.14, 0.15], "NominalScannedPixelSpacing": [1, 1]}, (0.14, 0.15)),
        ({"NominalScannedPixelSpacing": [0.5, 0.25]}, (0.5, 0.25)),
        ({"PixelSpacing": [0, 0], "ImagerPixelSpacing": [0.1, 0.1]}, (0.1, 0.1)),
        ({"PixelSpacing": None}, None),
    ],
)
def test_spacing(make_dicom, attributes, expected):
    assert read_radiograph(make_dicom(RAMP12, 12, **attributes)).spacing_mm == expected


def test_percentiles_are_of_the_image_itself(make_dicom, waves):
    pixels = waves(12)
    path = make_dicom(pixels, 12, WindowCenter=3, WindowWidth=4, RescaleSlope="2", RescaleIntercept="-7")
    low, high = np.percentile(pixels, (0.5, 99.5))
    np.testing.assert_allclose(
        read_image(path, "percentile"), np.clip((pixels - low) / (high - low), 0, 1), atol=1e-5
    )
    _refused(
        make_dicom(np.full((4, 4), 9, np.uint16), 12),
        "is flat between its percentiles",
        intensity="percentile",
    )


@pytest.mark.parametrize(
    ("attributes", "part"),
    [
        ({"NumberOfFrames": 3}, "holds 3 frames (Computed Radiography Image Storage)"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "is in palette colour"),
        ({"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3}, "is in colour"),
        ({"PhotometricInterpretation": ""}, "does not say whether its large values are bright"),
        ({"Rows": 9000, "Columns": 9000}, "declares 9000 x 9000 pixels, and 64 megapixels are the limit"),
        ({"Rows": 0}, "holds no pixels"),
        ({"Rows": 40}, "cannot be read as DICOM"),
        ({"SOPClassUID": "1.2.3.4", "NumberOfFrames": 2}, "of an unknown kind"),
    ],
)
def test_refused(make_dicom, attributes, part):
    _refused(make_dicom(RAMP12, 12, **attributes), part)


@pytest.mark.parametrize(
    ("uid", "kind"),
    [
        ("1.2.840.10008.5.1.4.1.1.104.1", "Encapsulated PDF Storage"),
        ("1.2.840.10008.5.1.4.1.1.11.1", "Grayscale Softcopy Presentation State Storage"),
        ("1.2.840.10008.5.1.4.1.1.88.22", "Enhanced SR Storage"),
    ],
)
def test_objects_without_an_image_are_named(make_dicom, uid, kind):
    path = make_dicom(RAMP12, 12, SOPClassUID=uid)
    dataset = pydicom.dcmread(path)
    del dataset.Rows, dataset.Columns, dataset.PixelData
    dataset.save_as(path)
    _refused(path, f"is DICOM without an image ({kind}); leave it out")


def test_other_content_by_the_name_of_dicom(tmp_path):
    (tmp_path / "image.dcm").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    _refused(tmp_path / "image.dcm", "is no DICOM file")
    (tmp_path / "empty").write_bytes(b"")
    _refused(tmp_path / "empty", "is empty")


def test_jpeg_of_12_bits_that_ends_early_is_refused(make_dicom, waves):
    """libjpeg-turbo would leave grey what is missing."""
    path = make_dicom(waves(12), 12, syntax="JPEGExtended")
    dataset = pydicom.dcmread(path)
    frame = get_frame(dataset.PixelData, 0, number_of_frames=1)
    dataset.PixelData = encapsulate([frame[: len(frame) // 2]])
    dataset.save_as(path)
    _refused(path, "holds a compressed frame that ends within its scan; replace it with an intact")


def test_the_frame_must_have_the_size_the_file_declares(make_dicom, waves):
    path = make_dicom(waves(12), 12, syntax="JPEGLosslessSV1")
    dataset = pydicom.dcmread(path)
    dataset.Rows = 47
    dataset.save_as(path)
    _refused(path, "holds a compressed frame that is 48 x 64, but the file declares 47 x 64")
