"""Values whose header declares another range or another sign than the data have."""

import struct
import zlib

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    HTJ2KLossless,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
)

from data import DataError, read_image

RAMP = np.tile(np.arange(64, dtype=np.uint16) * 64, (64, 1))  # 12 bits, 0 to 4032 from left to right
WIDE = (RAMP * 16).astype(np.uint16)
SIGNED = RAMP.astype(np.int16) - 2048


def _table(entries, first: int, bits: int, representation: str = "US") -> Sequence:
    item = Dataset()
    item.add_new("LUTDescriptor", representation, [len(entries) % 65536, first, bits])
    item.add_new("LUTData", "OW", np.asarray(entries, "<u2").tobytes())
    return Sequence([item])


class TestFirstValueMapped:
    """PS3.3, C.11.2.1.1 and C.11.1.1.1: its sign is that of the values mapped, not of how it is written."""

    @pytest.mark.parametrize("syntax", ["Explicit", "Implicit"])
    @pytest.mark.parametrize("written", [(-1024, "SS"), (64512, "US")])
    @pytest.mark.parametrize("pixels", [RAMP, SIGNED + 1024], ids=["unsigned", "signed"])
    def test_of_a_voi_lut_behind_a_rescale_to_negative_values(self, make_dicom, pixels, written, syntax):
        entries = np.linspace(0, 65535, 4096).astype(np.uint16)
        intercept = -1024 if pixels is RAMP else 0
        path = make_dicom(
            pixels,
            12 if pixels is RAMP else 16,
            syntax=syntax,
            RescaleSlope="1",
            RescaleIntercept=str(intercept),
            VOILUTSequence=_table(entries, written[0], 16, written[1]),
        )
        np.testing.assert_allclose(read_image(path), entries[RAMP] / 65535, atol=1e-6)

    @pytest.mark.parametrize("syntax", ["Explicit", "Implicit"])
    @pytest.mark.parametrize("written", [(-25536, "SS"), (40000, "US")])
    @pytest.mark.parametrize("rescale", [{}, {"RescaleSlope": "1", "RescaleIntercept": "0"}], ids=str)
    def test_of_a_voi_lut_of_large_unsigned_values(self, make_dicom, written, rescale, syntax):
        entries = np.linspace(0, 65535, 20000).astype(np.uint16)
        table = _table(entries, written[0], 16, written[1])
        path = make_dicom(WIDE, 16, syntax=syntax, VOILUTSequence=table, **rescale)
        expected = entries[np.clip(WIDE.astype(int) - 40000, 0, 19999)] / 65535
        np.testing.assert_allclose(read_image(path), expected, atol=1e-6)

    @pytest.mark.parametrize("syntax", ["Explicit", "Implicit"])
    @pytest.mark.parametrize("written", [(-2048, "SS"), (63488, "US")])
    def test_of_a_modality_lut(self, make_dicom, written, syntax):
        entries = np.arange(4096) * 16
        table = _table(entries, written[0], 16, written[1])
        path = make_dicom(SIGNED, 12, syntax=syntax, ModalityLUTSequence=table)
        np.testing.assert_allclose(read_image(path), RAMP * 16.0 / 65535, atol=1e-6)

    def test_behind_a_modality_lut_whose_outputs_are_unsigned(self, make_dicom):
        up, entries = np.arange(4096) * 16, np.linspace(0, 65535, 20000).astype(np.uint16)
        path = make_dicom(
            SIGNED,
            12,
            ModalityLUTSequence=_table(up, -2048, 16, "SS"),
            VOILUTSequence=_table(entries, 40000 - 65536, 16, "SS"),
        )
        expected = entries[np.clip(RAMP.astype(int) * 16 - 40000, 0, 19999)] / 65535
        np.testing.assert_allclose(read_image(path), expected, atol=1e-6)

    def test_that_would_miss_all_values_is_taken_as_written(self, make_dicom):
        """A table from -1024 although nothing makes values negative."""
        entries = np.linspace(0, 65535, 5120).astype(np.uint16)
        path = make_dicom(RAMP, 12, VOILUTSequence=_table(entries, -1024, 16, "SS"))
        np.testing.assert_allclose(read_image(path), entries[RAMP + 1024] / 65535, atol=1e-6)

    def test_a_count_of_zero_is_65536(self, make_dicom):
        entries = np.arange(65536)[::-1]
        path = make_dicom(WIDE, 16, VOILUTSequence=_table(entries, 0, 16))
        np.testing.assert_allclose(read_image(path), 1 - WIDE / 65535, atol=1e-6)


class TestBitsOfALookupTable:
    @pytest.mark.parametrize("held", [8, 10, 12, 14, 15, 16])
    @pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
    def test_where_16_are_declared_the_largest_entry_says(self, make_dicom, held, photometric):
        entries = np.linspace(0, 2**held - 1, 4096).astype(int)
        path = make_dicom(
            RAMP, 12, VOILUTSequence=_table(entries, 0, 16), PhotometricInterpretation=photometric
        )
        shown = entries[RAMP] / (2**held - 1)
        expected = shown if photometric == "MONOCHROME2" else 1 - shown
        np.testing.assert_allclose(read_image(path), expected, atol=1e-6)

    def test_a_table_that_does_not_reach_its_end_keeps_its_range(self, make_dicom):
        for bits, top in ((16, 40000), (12, 1500), (10, 300)):
            entries = np.linspace(0, top, 4096).astype(int)
            path = make_dicom(RAMP, 12, VOILUTSequence=_table(entries, 0, bits))
            np.testing.assert_allclose(read_image(path), entries[RAMP] / (2**bits - 1), atol=1e-6)

    def test_no_table_is_of_fewer_than_8(self, make_dicom):
        path = make_dicom(RAMP, 12, VOILUTSequence=_table(np.arange(4096) // 1024, 0, 16))
        np.testing.assert_allclose(read_image(path), RAMP // 1024 / 255, atol=1e-6)

    def test_entries_larger_than_declared_are_not_cut_off(self, make_dicom):
        path = make_dicom(RAMP, 12, VOILUTSequence=_table(np.arange(4096), 0, 8))
        np.testing.assert_allclose(read_image(path), RAMP / 4095, atol=1e-6)

    @pytest.mark.parametrize("declared", [12, 16])
    def test_a_table_that_ends_with_the_power_of_two(self, make_dicom, declared):
        path = make_dicom(RAMP, 12, VOILUTSequence=_table(np.arange(1, 4097), 0, declared))
        np.testing.assert_allclose(read_image(path), (RAMP + 1) / 4095, atol=1e-6)

    def test_of_a_modality_lut_without_window(self, make_dicom):
        path = make_dicom(RAMP, 12, ModalityLUTSequence=_table(np.arange(4096), 0, 16))
        np.testing.assert_allclose(read_image(path), RAMP / 4095, atol=1e-6)

    def test_data_in_words_of_either_sign(self, make_dicom):
        for representation, entries in (("US", np.arange(4096) * 16), ("SS", np.arange(4096) * 16)):
            table = _table(entries, 0, 16)
            words = entries.astype(np.uint16 if representation == "US" else np.int16)
            del table[0].LUTData
            table[0].add_new("LUTData", representation, words.tolist())
            path = make_dicom(RAMP, 12, VOILUTSequence=table)
            np.testing.assert_allclose(read_image(path), RAMP * 16.0 / 65535, atol=1e-6)


def test_a_slope_of_zero_is_no_reason_to_refuse_the_range(make_dicom):
    path = make_dicom(RAMP, 12, RescaleSlope="0", RescaleIntercept="1")
    np.testing.assert_allclose(read_image(path, "range"), RAMP / 4095, atol=1e-6)
    for intensity in ("dicom", "percentile"):
        with pytest.raises(DataError, match=r"damaged window or lookup table; .*set the intensity to range"):
            read_image(path, intensity)


def _lossless(pixels: np.ndarray, bits: int) -> bytes:
    return imagecodecs.jpeg8_encode(pixels, lossless=True, predictor=1, bitspersample=bits)


def _jpeg_2000(pixels: np.ndarray, bits: int) -> bytes:
    return imagecodecs.jpeg2k_encode(pixels, level=0, reversible=True, bitspersample=bits, codecformat="j2k")


class TestFramesOfFewerBits:
    """PS3.5, section 8.2: the codestream's own characteristics are used to decode it."""

    @pytest.mark.parametrize("intensity", ["dicom", "range"])
    @pytest.mark.parametrize(
        ("uid", "encode", "held", "declared"),
        [
            (JPEG2000Lossless, _jpeg_2000, 14, 16),
            (JPEG2000Lossless, _jpeg_2000, 12, 16),
            (JPEG2000Lossless, _jpeg_2000, 12, 14),
            (JPEG2000Lossless, _jpeg_2000, 8, 12),
            (JPEGLosslessSV1, _lossless, 12, 16),
            (JPEGLosslessSV1, _lossless, 10, 12),
            (JPEGLosslessSV1, _lossless, 8, 12),
            (JPEGLosslessSV1, _lossless, 8, 16),
            (JPEGLSLossless, lambda pixels, _: imagecodecs.jpegls_encode(pixels), 8, 12),
            (HTJ2KLossless, lambda pixels, _: imagecodecs.htj2k_encode(pixels), 8, 16),
            (
                JPEGExtended12Bit,
                lambda pixels, bits: imagecodecs.jpeg8_encode(pixels, level=100, bitspersample=bits),
                12,
                16,
            ),
            (JPEGBaseline8Bit, lambda pixels, _: imagecodecs.jpeg8_encode(pixels, level=98), 8, 12),
        ],
    )
    def test_fill_their_own_range(self, make_frame, uid, encode, held, declared, intensity):
        pixels = np.linspace(0, 2**held - 1, 64).round()[None].repeat(64, axis=0)
        pixels = pixels.astype(np.uint8 if held <= 8 else np.uint16)
        path = make_frame(RAMP, declared, uid, encode(pixels, held))
        np.testing.assert_allclose(
            read_image(path, intensity), pixels / (2**held - 1), atol=0.02 if "JPEG" in uid.name else 1e-6
        )

    def test_more_bits_than_declared_change_nothing(self, make_frame):
        """Encoders often write the bits allocated."""
        path = make_frame(RAMP, 12, JPEG2000Lossless, _jpeg_2000(RAMP, 16))
        np.testing.assert_allclose(read_image(path), RAMP / 4095, atol=1e-7)

    @pytest.mark.parametrize("knows_sign", [True, False])
    def test_signed_ones(self, make_frame, knows_sign):
        coded = SIGNED if knows_sign else (SIGNED & 0xFFF).astype(np.uint16)
        path = make_frame(SIGNED, 16, JPEG2000Lossless, _jpeg_2000(coded, 12))
        np.testing.assert_allclose(read_image(path), RAMP / 4095, atol=1e-6)


class TestPicturesOfFewerBits:
    def test_tiff_of_12_bits(self, tmp_path):
        tifffile.imwrite(tmp_path / "packed.tif", RAMP, bitspersample=12)
        np.testing.assert_allclose(read_image(tmp_path / "packed.tif"), RAMP / 4095, atol=1e-6)

    def test_the_largest_sample_of_tiff_is_statistics(self, tmp_path):
        """TIFF 6.0: MaxSampleValue must not affect how an image is displayed."""
        tifffile.imwrite(tmp_path / "image.tif", RAMP, extratags=[(281, "H", 1, 4095, True)])
        np.testing.assert_allclose(read_image(tmp_path / "image.tif"), RAMP / 65535, atol=1e-7)

    def test_significant_bits_of_png_are_scaled_already(self, tmp_path):
        """PNG, section 12.4: samples of 12 bits are stored scaled to 16, and sBIT says that they were."""
        Image.fromarray((RAMP << 4 | RAMP >> 8).astype(np.uint16)).save(tmp_path / "image.png")
        content = (tmp_path / "image.png").read_bytes()
        chunk = b"sBIT\x0c"
        chunk = struct.pack(">I", 1) + chunk + struct.pack(">I", zlib.crc32(chunk))
        (tmp_path / "image.png").write_bytes(content[:33] + chunk + content[33:])
        np.testing.assert_allclose(read_image(tmp_path / "image.png"), RAMP / 4095, atol=2e-5)

    def test_an_array_says_nothing_but_its_type(self, tmp_path):
        np.save(tmp_path / "image.npy", RAMP)
        np.testing.assert_allclose(read_image(tmp_path / "image.npy"), RAMP / 65535, atol=1e-7)
