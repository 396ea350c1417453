"""How an image lies, in every format: what the file says is followed, and maps go back onto its pixels."""

import struct
import zlib

import nibabel
import numpy as np
import pydicom
import pytest
import tifffile
import torch
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo

from data import DataError, fit_to_square, read_image, read_target, restore_from_square, write_map
from data.files.images import read_radiograph
from data.files.orientation import Turn, upright

# Nothing of it is symmetric: no other way to lay it passes.
SEEN = (np.arange(40)[:, None] * 3 + np.arange(60) * 2).astype(np.uint8)
SEEN[:6, :6] = 255
GREY = SEEN / 255
# How a picture is stored that each orientation of EXIF brings upright.
STORED_BY_EXIF = {
    1: SEEN,
    2: SEEN[:, ::-1],
    3: SEEN[::-1, ::-1],
    4: SEEN[::-1],
    5: SEEN.T,
    6: np.rot90(SEEN),
    7: SEEN[::-1, ::-1].T,
    8: np.rot90(SEEN, -1),
}


@pytest.mark.parametrize("orientation", STORED_BY_EXIF)
class TestExif:
    @pytest.mark.parametrize("suffix", ["jpg", "png"])
    def test_pictures_are_turned_as_viewers_turn_them(self, tmp_path, suffix, orientation):
        exif, path = Image.Exif(), tmp_path / f"image.{suffix}"
        exif[274] = orientation
        Image.fromarray(np.ascontiguousarray(STORED_BY_EXIF[orientation])).save(path, exif=exif, quality=98)
        with Image.open(path) as image:
            expected = np.asarray(ImageOps.exif_transpose(image)) / 255
        np.testing.assert_allclose(read_image(path), expected, atol=1e-6)
        np.testing.assert_allclose(read_image(path), GREY, atol=0.05)
        np.testing.assert_allclose(read_target(path, "magnitude"), expected, atol=1e-6)

    @pytest.mark.parametrize(
        ("options", "dtype"),
        [
            ({}, np.uint8),
            ({}, np.uint16),
            ({"compression": "lzw"}, np.uint16),
            ({"tile": (16, 16)}, np.uint8),
            ({"compression": "jpeg"}, np.uint8),
        ],
    )
    def test_tiff_whoever_decodes_it(self, tmp_path, orientation, options, dtype):
        path, scale = tmp_path / "image.tif", 257 if dtype == np.uint16 else 1
        stored = STORED_BY_EXIF[orientation].astype(dtype) * scale
        tifffile.imwrite(path, stored, extratags=[(274, "H", 1, orientation, True)], **options)
        np.testing.assert_allclose(read_image(path), GREY, atol=0.05 if "jpeg" in options.values() else 1e-6)
        np.testing.assert_allclose(read_target(path, "magnitude"), read_image(path), atol=1e-6)


def test_an_orientation_in_xmp_counts_too(tmp_path):
    info = PngInfo()
    info.add_itxt("XML:com.adobe.xmp", '<x:xmpmeta xmlns:x="adobe:ns:meta/" tiff:Orientation="6"/>')
    Image.fromarray(np.ascontiguousarray(STORED_BY_EXIF[6])).save(tmp_path / "image.png", pnginfo=info)
    np.testing.assert_allclose(read_image(tmp_path / "image.png"), GREY)


@pytest.mark.parametrize("exif", [b"Exif\0\0no block at all", b"Exif\0\0II*\0\xff\xff\xff\xff"])
def test_a_damaged_block_says_nothing(tmp_path, exif):
    Image.fromarray(SEEN).save(tmp_path / "image.jpg", exif=exif, quality=98)
    np.testing.assert_allclose(read_image(tmp_path / "image.jpg"), GREY, atol=0.05)


@pytest.mark.parametrize("value", [0, 9, 77])
def test_values_of_no_meaning_turn_nothing(tmp_path, value):
    exif = Image.Exif()
    exif[274] = value
    Image.fromarray(SEEN).save(tmp_path / "image.png", exif=exif)
    np.testing.assert_allclose(read_image(tmp_path / "image.png"), GREY)


# Rows and columns run to these; how a picture is stored that they bring upright.
STORED_BY_LETTERS = {
    ("L", "F"): SEEN,
    ("R", "F"): SEEN[:, ::-1],
    ("R", "H"): SEEN[::-1, ::-1],
    ("L", "H"): SEEN[::-1],
    ("F", "L"): SEEN.T,
    ("H", "L"): np.rot90(SEEN, -1),  # as stored, the head is on the right
    ("F", "R"): np.rot90(SEEN),
    ("H", "R"): SEEN[::-1, ::-1].T,
    ("LA", "FR"): SEEN,
    ("RP", "FA"): SEEN[:, ::-1],
    ("P", "F"): SEEN,  # from the side: the front is on the left
    ("A", "F"): SEEN[:, ::-1],
    ("F", "A"): np.rot90(SEEN),
    ("L", "P"): SEEN,  # along the body: the front is up
    ("R", "A"): SEEN[::-1, ::-1],
}
COSINES = {"L": (1, 0, 0), "R": (-1, 0, 0), "P": (0, 1, 0), "A": (0, -1, 0), "H": (0, 0, 1), "F": (0, 0, -1)}


@pytest.fixture
def make_film(make_dicom):
    """A DICOM file of 8 bits, stored as an orientation needs it to show `SEEN`."""

    def make(stored, **attributes):
        return make_dicom(np.ascontiguousarray(stored), 8, **attributes)

    return make


class TestPatientOrientation:
    @pytest.mark.parametrize("letters", STORED_BY_LETTERS)
    @pytest.mark.parametrize("intensity", ["dicom", "range", "percentile"])
    def test_films_are_turned_upright(self, make_film, letters, intensity):
        path = make_film(STORED_BY_LETTERS[letters], PatientOrientation=list(letters))
        expected = read_image(make_film(SEEN, name="upright.dcm"), intensity)
        np.testing.assert_array_equal(read_image(path, intensity), expected)

    @pytest.mark.parametrize("letters", [key for key in STORED_BY_LETTERS if max(map(len, key)) == 1])
    def test_direction_cosines_say_the_same(self, make_film, letters):
        cosines = [cosine for letter in letters for cosine in COSINES[letter]]
        path = make_film(STORED_BY_LETTERS[letters], ImageOrientationPatient=cosines)
        np.testing.assert_allclose(read_image(path), GREY, atol=1e-6)
        tilted = np.array(cosines) * 0.9 + 0.1
        path = make_film(STORED_BY_LETTERS[letters], ImageOrientationPatient=tilted.round(4).tolist())
        np.testing.assert_allclose(read_image(path), GREY, atol=1e-6)

    @pytest.mark.parametrize(
        "nothing",
        [
            {"PatientOrientation": None},
            {"PatientOrientation": ["", ""]},
            {"ImageOrientationPatient": None},
            {"ImageOrientationPatient": [0, 0, 0, 0, 0, 0]},
            {"ImageOrientationPatient": [0, 1, 0, 0, 0, 0]},
            {"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]},
            {"ImageOrientationPatient": [1, 0, 0]},
        ],
        ids=str,
    )
    def test_who_says_nothing_is_taken_as_it_lies(self, make_film, nothing):
        np.testing.assert_allclose(read_image(make_film(SEEN, **nothing)), GREY, atol=1e-6)

    @pytest.mark.parametrize("letters", ["L", ["L", "R"], ["X", "F"], ["L", ""], ["L", "F", "H"]], ids=str)
    def test_what_cannot_be_known_is_refused_by_name(self, make_film, letters):
        path = make_film(SEEN, PatientOrientation=letters)
        with pytest.raises(DataError, match="has a Patient Orientation that is none; correct it") as caught:
            read_image(path)
        assert str(caught.value).startswith(f"{path} ")

    def test_what_the_detector_did_already_is_not_done_again(self, make_film):
        path = make_film(
            SEEN,
            FieldOfViewRotation="90",
            FieldOfViewHorizontalFlip="YES",
            ImageLaterality="R",
            ViewPosition="PA",
            PatientOrientation=["L", "F"],
        )
        np.testing.assert_allclose(read_image(path), GREY, atol=1e-6)

    @pytest.mark.parametrize("syntax", ["JPEG2000", "JPEGLS", "RLE", "Deflated", "Implicit"])
    def test_in_every_encoding(self, make_film, syntax):
        path = make_film(SEEN.T, PatientOrientation=["F", "L"], PixelSpacing=[0.2, 0.4], syntax=syntax)
        radiograph = read_radiograph(path)
        np.testing.assert_allclose(radiograph.pixels, GREY, atol=1e-6)
        assert radiograph.pixels.flags["C_CONTIGUOUS"]
        assert radiograph.spacing_mm == (0.4, 0.2)  # of rows and columns as they are seen
        assert radiograph.grid.pixel_aspect == 2

    @pytest.mark.parametrize("letters", STORED_BY_LETTERS)
    @pytest.mark.parametrize("suffix", [".png", ".npy", ".nii.gz"])
    def test_a_map_is_written_onto_the_pixels_of_the_file(self, tmp_path, make_film, letters, suffix):
        stored = STORED_BY_LETTERS[letters]
        path = make_film(stored, PatientOrientation=list(letters))
        write_map(tmp_path / f"map{suffix}", read_image(path), "magnitude", like=path)
        written = read_target(tmp_path / f"map{suffix}", "magnitude")
        np.testing.assert_allclose(written, stored / 255, atol=1e-5)
        assert written.shape == pydicom.dcmread(path).pixel_array.shape


def test_turns_are_undone():
    array = np.arange(24).reshape(2, 3, 4)
    for transpose, rows, columns in np.ndindex(2, 2, 2):
        turn = Turn(bool(transpose), bool(rows), bool(columns))
        np.testing.assert_array_equal(turn.stored(turn.seen(array)), array)
        assert turn.seen(array).shape[:2] == turn.pair(2, 3)
    assert upright("F", "L") == Turn()
    assert upright("F", "H") is upright(None, "L") is upright("F", "") is None


def _raster(path, **options):
    Image.fromarray(SEEN).save(path, **options)
    return path


def _tiff(path, resolution):
    tifffile.imwrite(path, SEEN, resolution=resolution)
    return path


def _jfif(path, unit, across, down):
    _raster(path)
    content = bytearray(path.read_bytes())
    at = content.index(b"JFIF\0") + 7
    content[at : at + 5] = bytes([unit]) + across.to_bytes(2, "big") + down.to_bytes(2, "big")
    path.write_bytes(content)
    return path


def _png(path, unit, across, down):
    """Written by hand: Pillow only writes the unit of metres."""
    content = _raster(path).read_bytes()
    chunk = b"pHYs" + struct.pack(">IIB", across, down, unit)
    path.write_bytes(
        content[:33] + struct.pack(">I", 9) + chunk + struct.pack(">I", zlib.crc32(chunk)) + content[33:]
    )
    return path


def _nifti(path, affine):
    nibabel.save(nibabel.Nifti1Image(SEEN.T, affine), path)
    return path


class TestPixelsThatAreNotSquare:
    """Height against width of a pixel: where densities say it, the denser direction is the shorter one."""

    @pytest.mark.parametrize(
        ("attributes", "expected"),
        [
            ({"PixelAspectRatio": [2, 1]}, 2),
            ({"PixelAspectRatio": [1, 2]}, 0.5),
            ({"PixelSpacing": [0.4, 0.2]}, 2),
            ({"ImagerPixelSpacing": [0.1, 0.2]}, 0.5),
            ({"NominalScannedPixelSpacing": [0.3, 0.2]}, 1.5),
            ({"PixelSpacing": [0.2, 0.2], "PixelAspectRatio": [2, 1]}, 1),  # only without spacing
            ({"PixelSpacing": [0.143, 0.1430001]}, 1),
            ({"PixelSpacing": [0.2, 0.19]}, 0.2 / 0.19),
            ({"PixelAspectRatio": [0, 0]}, 1),
            ({"PixelAspectRatio": None}, 1),
            ({"PixelAspectRatio": [300, 1]}, 1),
            ({"PixelAspectRatio": [1, 2], "PatientOrientation": ["F", "L"]}, 2),
        ],
        ids=str,
    )
    def test_dicom(self, make_film, attributes, expected):
        assert read_radiograph(make_film(SEEN, **attributes)).grid.pixel_aspect == pytest.approx(expected)

    @pytest.mark.parametrize(
        ("write", "name", "arguments", "expected"),
        [
            (_tiff, "image.tif", ((200, 100),), 2),
            (_tiff, "image.tif", ((100, 200),), 0.5),
            (_tiff, "image.tif", ((300, 300),), 1),
            (_tiff, "image.tif", ((72, 1),), 1),
            (_jfif, "image.jpg", (0, 2, 1), 2),
            (_jfif, "image.jpg", (1, 100, 200), 0.5),
            (_jfif, "image.jpg", (2, 118, 118), 1),
            (_jfif, "image.jpg", (0, 72, 1), 1),
            (_jfif, "image.jpg", (0, 1, 300), 1),
            (_jfif, "image.jpg", (1, 0, 0), 1),
            (_png, "image.png", (1, 4000, 2000), 2),
            (_png, "image.png", (0, 1, 2), 0.5),
            (_png, "image.png", (1, 2834, 2835), 1),
            (_png, "image.png", (0, 0, 1), 1),
            (_nifti, "image.nii", (np.diag([0.2, 0.4, 1, 1]),), 2),
            (_nifti, "image.nii", (np.diag([-0.4, -0.2, 1, 1]),), 0.5),
            (_nifti, "image.nii", (np.eye(4),), 1),
        ],
    )
    def test_other_formats(self, tmp_path, write, name, arguments, expected):
        radiograph = read_radiograph(write(tmp_path / name, *arguments))
        assert radiograph.grid.pixel_aspect == pytest.approx(expected)
        assert radiograph.pixels.shape == SEEN.shape

    def test_a_turned_picture_has_its_densities_turned(self, tmp_path):
        exif = Image.Exif()
        exif[274] = 6
        path = _raster(tmp_path / "image.png", exif=exif, dpi=(200, 100))
        assert read_radiograph(path).grid.pixel_aspect == pytest.approx(0.5, rel=1e-3)
        tifffile.imwrite(tmp_path / "i.tif", SEEN, resolution=(200, 100), extratags=[(274, "H", 1, 6, True)])
        assert read_radiograph(tmp_path / "i.tif").grid.pixel_aspect == pytest.approx(0.5)
        tifffile.imwrite(
            tmp_path / "j.tif",
            SEEN,
            resolution=(200, 100),
            compression="jpeg",
            extratags=[(274, "H", 1, 6, True)],
        )
        assert read_radiograph(tmp_path / "j.tif").grid.pixel_aspect == pytest.approx(0.5)

    @pytest.mark.parametrize("framing", ["pad", "crop", "stretch"])
    @pytest.mark.parametrize("attributes", [{"PixelAspectRatio": [2, 1]}, {"PixelSpacing": [0.4, 0.2]}])
    def test_a_disc_stays_a_disc_and_goes_back_onto_its_pixels(self, make_dicom, framing, attributes):
        rows, columns = np.mgrid[:64, :64] - 31.5
        disc = (255 * (np.hypot(rows, columns) < 24)).astype(np.uint8)[::2]
        radiograph = read_radiograph(make_dicom(disc, 8, **attributes))
        geometry = radiograph.geometry(framing)
        square, valid = fit_to_square(torch.from_numpy(radiograph.pixels)[None], 64, geometry)
        assert valid.all()
        seen = square[0] > 0.5
        assert abs(int(seen.any(1).sum()) - int(seen.any(0).sum())) <= 1
        restored = restore_from_square(square, geometry)
        assert restored.shape == (1, 32, 64)
        assert (restored[0].numpy() - disc / 255).max() < 0.5
        assert np.abs(restored[0].numpy() - disc / 255).mean() < 0.02
