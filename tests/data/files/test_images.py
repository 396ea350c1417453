import struct
import zlib
from pathlib import Path

import nibabel
import numpy as np
import pytest
import tifffile
from PIL import Image
from skimage.io import imsave

from data import DataError, read_image, read_target
from data.files.images import read_radiograph

# Not square, not symmetric: a transposed or mirrored reading cannot pass. Holds both ends of its type.
RAMP8 = np.array([[0, 51, 102], [255, 204, 153]], dtype=np.uint8)
RAMP = RAMP8.astype(np.float32) / 255


def _save(path: Path, array: np.ndarray) -> Path:
    if path.suffix == ".npy":
        np.save(path, array)
    elif path.suffix == ".npz":
        np.savez_compressed(path, image=array)
    elif path.suffix in (".tif", ".tiff"):  # three columns are taken for colour where nothing else is said
        tifffile.imwrite(path, array, photometric="minisblack" if array.ndim == 2 else "rgb")
    elif path.name.endswith((".nii", ".nii.gz")):
        nibabel.save(nibabel.Nifti1Image(array.T, np.eye(4)), path)  # columns first, as NIfTI has it
    else:
        imsave(path, array, check_contrast=False)
    return path


def _refused(path: Path, *parts: str, change: str | None = None) -> str:
    """The one-line message with which a file is refused."""
    with pytest.raises(DataError) as caught:
        read_image(path) if change is None else read_target(path, change)
    message = str(caught.value)
    assert "\n" not in message
    for part in (str(path), *parts):
        assert part in message
    return message


@pytest.mark.parametrize("suffix", [".png", ".PNG", ".tif", ".tiff", ".npy", ".npz", ".nii", ".nii.gz"])
@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_integers_are_divided_by_their_full_range(tmp_path, suffix, depth):
    array = RAMP8.astype(depth) * (257 if depth == np.uint16 else 1)
    image = read_image(_save(tmp_path / f"image{suffix}", array))
    assert image.dtype == np.float32
    assert image.shape == (2, 3)
    np.testing.assert_allclose(image, RAMP, atol=1e-6)


def test_a_dark_image_stays_dark(tmp_path):
    image = read_image(_save(tmp_path / "image.png", np.array([[0, 1], [2, 3]], dtype=np.uint8)))
    np.testing.assert_allclose(image.max(), 3 / 255)


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg"])
def test_jpeg(tmp_path, suffix):
    smooth = np.tile(np.linspace(0, 255, 32, dtype=np.uint8), (16, 1))
    image = read_image(_save(tmp_path / f"image{suffix}", smooth))
    assert image.shape == (16, 32)
    np.testing.assert_allclose(image, smooth / 255, atol=0.03)


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".tif", ".nii.gz"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_floats_are_taken_as_they_are(tmp_path, suffix, dtype):
    np.testing.assert_array_equal(read_image(_save(tmp_path / f"image{suffix}", RAMP.astype(dtype))), RAMP)


def test_signed_16_bit_nifti_is_divided_by_its_largest_value(tmp_path):
    array = np.array([[0, 32767], [16384, 1]], dtype=np.int16)
    np.testing.assert_allclose(read_image(_save(tmp_path / "image.nii.gz", array)), array / 32767, atol=1e-6)


def test_masks_of_booleans(tmp_path):
    array = np.array([[True, False], [False, False]])
    np.testing.assert_array_equal(read_image(_save(tmp_path / "image.npy", array)), array.astype(np.float32))


def test_nifti_of_one_slice(tmp_path):
    array = RAMP.T[:, :, None]
    nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), tmp_path / "image.nii.gz")
    np.testing.assert_array_equal(read_image(tmp_path / "image.nii.gz"), RAMP)


@pytest.mark.parametrize("channels", [3, 4])
def test_grey_stored_as_colour_is_grey(tmp_path, channels):
    array = np.repeat(RAMP8[..., None], channels, axis=-1)
    array[..., 3:] = 255
    np.testing.assert_allclose(read_image(_save(tmp_path / "image.png", array)), RAMP)


def test_colour_is_refused(tmp_path):
    array = np.zeros((4, 5, 3), dtype=np.uint8)
    array[1, 1, 0] = 200
    _refused(_save(tmp_path / "image.png", array), "is in colour", "convert it to greyscale")


def test_volumes_are_refused(tmp_path):
    _refused(_save(tmp_path / "image.npy", np.zeros((5, 6, 7), np.float32)), "(5, 6, 7)", "single grey image")


@pytest.mark.parametrize(
    ("array", "found"),
    [
        (np.array([[0.0, 255.0]]), "[0, 255]"),
        (np.array([[-0.25, 1.0]]), "[-0.25, 1]"),
        (np.array([[np.nan, 1.0]]), "[nan, nan]"),
        (np.array([[-5, 7]], dtype=np.int16), "[-0.0001526"),
    ],
)
def test_images_out_of_range_are_refused(tmp_path, array, found):
    _refused(_save(tmp_path / "image.npy", array), found, "must lie in [0, 1]", "rescale it")


@pytest.mark.parametrize(
    "array", [np.zeros((2, 2), np.int64), np.zeros((2, 2), np.uint32), np.zeros((2, 2), complex)]
)
def test_types_that_hold_no_image_are_refused(tmp_path, array):
    _refused(_save(tmp_path / "image.npy", array), str(array.dtype), "store")


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".tif", ".nii.gz"])
@pytest.mark.parametrize("dtype", [np.int32, np.uint32, np.float32, np.float64, np.int16])
def test_percentiles_take_any_range_and_type(tmp_path, suffix, dtype):
    array = np.arange(1000, dtype=dtype).reshape(20, 50) * 7 + 3
    image = read_image(_save(tmp_path / f"image{suffix}", array), "percentile")
    low, high = np.percentile(array, (0.5, 99.5))
    np.testing.assert_allclose(image, np.clip((array - low) / (high - low), 0, 1), atol=1e-6)
    assert image.dtype == np.float32
    assert image.min() == 0
    assert image.max() == 1


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.full((5, 5), 3.0), "is flat between its percentiles"),
        (np.array([[0, 1], [2, np.nan]]), "holds values that are no numbers"),
        (np.array([[0, 1], [2, np.inf]]), "holds values that are no numbers"),
    ],
)
def test_percentiles_that_mean_nothing_are_refused(tmp_path, array, reason):
    with pytest.raises(DataError, match=reason):
        read_image(_save(tmp_path / "image.npy", array), "percentile")


def test_pairs_stay_comparable(tmp_path):
    """Only percentiles depend on what else an image holds."""
    dark, bright = np.array([[0, 40], [80, 120]], np.uint8), np.array([[0, 40], [80, 255]], np.uint8)
    for intensity in ("dicom", "range"):
        images = [read_image(_save(tmp_path / "i.png", array), intensity) for array in (dark, bright)]
        np.testing.assert_array_equal(images[0][:, 0], images[1][:, 0])


def test_spacing_is_that_of_nifti_and_of_no_other_file_here(tmp_path):
    nibabel.save(nibabel.Nifti1Image(RAMP.T, np.diag([0.3, 0.2, 1, 1])), tmp_path / "image.nii")
    assert read_radiograph(tmp_path / "image.nii").spacing_mm == pytest.approx((0.2, 0.3))
    assert read_radiograph(_save(tmp_path / "image.png", RAMP8)).spacing_mm is None
    assert read_radiograph(_save(tmp_path / "identity.nii", RAMP)).spacing_mm is None


def test_missing_file(tmp_path):
    _refused(tmp_path / "image.png", "does not exist")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("image.parquet", "is a .parquet file, which is not read; convert it to DICOM, PNG, JPEG, TIFF"),
        ("image.bmp", "is a .bmp file, which is not read"),
        ("image", "is no DICOM file; store DICOM, PNG, JPEG, TIFF, NPY, NPZ or NIfTI, with the suffix"),
        ("image.dcm", "is no DICOM file"),
    ],
)
def test_other_formats_are_refused_by_name(tmp_path, name, reason):
    (tmp_path / name).write_bytes(b"anything")
    _refused(tmp_path / name, reason)


def test_a_folder_is_no_file(tmp_path):
    _refused(tmp_path, "is a folder; give a file")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".npy", ".npz", ".nii", ".nii.gz"])
@pytest.mark.parametrize("damage", ["empty", "text", "truncated"])
def test_damaged_files_are_refused(tmp_path, suffix, damage):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    path = _save(tmp_path / f"image{suffix}", noise)
    content = {"empty": b"", "text": b"this is no image\n" * 40, "truncated": path.read_bytes()[:-1500]}
    path.write_bytes(content[damage])
    _refused(path, "cannot be read as ", "replace it with an intact file")


def test_array_without_pixels(tmp_path):
    _refused(_save(tmp_path / "image.npy", np.zeros((0, 4), np.float32)), "holds no pixels")


def test_objects_are_never_unpickled(tmp_path):
    np.save(tmp_path / "image.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    _refused(tmp_path / "image.npy", "holds values of type object")


@pytest.mark.parametrize(
    ("arrays", "found"),
    [
        ({"mask": RAMP}, RAMP),
        ({"image": RAMP, "mask": 1 - RAMP}, RAMP),
        ({"arr_0": RAMP, "arr_1": 1 - RAMP}, RAMP),
        ({"a": RAMP, "b": RAMP}, "holds the arrays a, b; store one, or call the radiograph's 'image'"),
        ({}, "holds no array"),
    ],
)
def test_npz_holds_one_array_or_names_the_image(tmp_path, arrays, found):
    np.savez(tmp_path / "image.npz", **arrays)
    if isinstance(found, str):
        _refused(tmp_path / "image.npz", found)
    else:
        np.testing.assert_array_equal(read_image(tmp_path / "image.npz"), found)


class TestRasters:
    """What PNG, JPEG and TIFF can hold beyond 8 and 16 bit grey."""

    @pytest.mark.parametrize("suffix", [".png", ".tif", ".JPG"])
    def test_the_content_says_which_format_it_is(self, tmp_path, suffix):
        Image.fromarray(RAMP8).save(tmp_path / "real.png")
        path = (tmp_path / "real.png").rename(tmp_path / f"image{suffix}")
        np.testing.assert_allclose(read_image(path), RAMP)

    @pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate", "packbits"])
    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
    def test_compressed_tiff(self, tmp_path, compression, dtype):
        array = RAMP if dtype == np.float32 else RAMP8.astype(dtype) * (257 if dtype == np.uint16 else 1)
        Image.fromarray(array).save(tmp_path / "image.tif", compression=compression)
        np.testing.assert_allclose(read_image(tmp_path / "image.tif"), RAMP, atol=1e-6)

    @pytest.mark.parametrize("tile", [None, (16, 32)])
    @pytest.mark.parametrize("predictor", [False, True])
    @pytest.mark.parametrize("compression", ["lzw", "zlib", "packbits"])
    @pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", ">u2", "f4"])
    def test_compressed_tiff_of_any_layout(self, tmp_path, waves, compression, dtype, predictor, tile):
        """As the same pixels are read that are not compressed."""
        array = (waves(15, 40, 70) >> (8 if dtype in ("u1", "i1") else 0)).astype(dtype)
        array = array / 32767 if dtype == "f4" else array
        tifffile.imwrite(tmp_path / "plain.tif", array)
        tifffile.imwrite(
            tmp_path / "image.tif",
            array,
            compression=compression,
            predictor=predictor and compression != "packbits",
            tile=tile,
            rowsperstrip=None if tile else 7,
            byteorder=">" if dtype.startswith(">") else "<",
        )
        plain = read_image(tmp_path / "plain.tif", "range")
        np.testing.assert_array_equal(read_image(tmp_path / "image.tif", "range"), plain)

    @pytest.mark.parametrize("tile", [None, (16, 32)])
    def test_jpeg_in_tiff(self, tmp_path, waves, tile):
        array = waves(8)
        tifffile.imwrite(tmp_path / "image.tif", array, compression="jpeg", tile=tile)
        np.testing.assert_allclose(read_image(tmp_path / "image.tif"), array / 255, atol=0.05)

    def test_jpeg_in_tiff_that_claims_another_size_takes_no_memory(self, tmp_path, read_apart, waves):
        path = tmp_path / "image.tif"
        tifffile.imwrite(path, waves(8), compression="jpeg")
        content = bytearray(path.read_bytes())
        frame = content.index(b"\xff\xc0")
        content[frame + 5 : frame + 9] = struct.pack(">HH", 60_000, 60_000)
        path.write_bytes(content)
        assert read_apart([path])[path]["mib"] < 100

    @pytest.mark.parametrize("compression", ["zlib", "jpeg"])
    def test_tiles_larger_than_any_image_are_refused(self, tmp_path, waves, compression):
        path = tmp_path / "image.tif"
        tifffile.imwrite(path, waves(8), compression=compression, tile=(64, 64))
        with tifffile.TiffFile(path, mode="r+") as file:
            for tag in ("TileWidth", "TileLength"):
                file.pages.first.tags[tag].overwrite(40_000)
        _refused(path, "declares 40000 x 40000 pixels, and 64 megapixels are the limit")

    @pytest.mark.parametrize("byteorder", ["<", ">"])
    @pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
    def test_white_is_zero(self, tmp_path, byteorder, dtype):
        array = RAMP if dtype == "f4" else RAMP8.astype(dtype) * (257 if dtype == "u2" else 1)
        path = tmp_path / "image.tif"
        tifffile.imwrite(path, array, photometric="miniswhite", byteorder=byteorder)
        np.testing.assert_allclose(read_image(path), 1 - RAMP, atol=1e-6)
        np.testing.assert_allclose(read_target(path, "magnitude"), 1 - RAMP, atol=1e-6)
        np.testing.assert_allclose(read_image(path, "range"), 1 - RAMP, atol=1e-6)

    @pytest.mark.parametrize(("dtype", "largest"), [(np.uint8, 255), (np.uint16, 65535)])
    def test_white_is_zero_and_compressed(self, tmp_path, dtype, largest):
        array = RAMP8.astype(dtype) * (largest // 255)
        Image.fromarray(array).save(tmp_path / "image.tif", compression="tiff_lzw", tiffinfo={262: 0})
        stored = np.asarray(tifffile.TiffFile(tmp_path / "image.tif").pages[0].photometric)
        assert stored == 0
        with Image.open(tmp_path / "image.tif") as image:
            raw = np.asarray(image)
        expected = raw / largest if dtype == np.uint8 else 1 - raw / largest  # Pillow turns 8 bits over
        np.testing.assert_allclose(read_image(tmp_path / "image.tif"), expected, atol=1e-6)

    @pytest.mark.parametrize(("bits", "mode"), [(1, "1"), (8, "P")])
    def test_masks_and_grey_palettes_in_png(self, tmp_path, bits, mode):
        array = np.array([[0, 255], [255, 0]], np.uint8)
        image = Image.fromarray(array).convert(mode)
        image.save(tmp_path / "image.png", bits=bits)
        np.testing.assert_array_equal(read_image(tmp_path / "image.png"), array / 255)

    def test_16_bit_png_is_exact(self, tmp_path):
        array = np.arange(65536, dtype=np.uint16).reshape(256, 256)
        image = read_image(_save(tmp_path / "image.png", array))
        np.testing.assert_array_equal(np.round(image * 65535).astype(np.uint16), array)

    def test_pages_beyond_a_thumbnail_are_refused(self, tmp_path):
        path = tmp_path / "image.tif"
        with tifffile.TiffWriter(path) as file:
            file.write(RAMP8, photometric="minisblack")
            file.write(RAMP8[:, :2], photometric="minisblack", subfiletype=1)
        np.testing.assert_allclose(read_image(path), RAMP)
        tifffile.imwrite(path, np.stack([RAMP8, RAMP8]), photometric="minisblack")
        _refused(path, "holds several pictures")

    def test_moving_pictures_are_refused(self, tmp_path):
        frames = [Image.fromarray(RAMP8), Image.fromarray(255 - RAMP8)]
        frames[0].save(tmp_path / "image.png", save_all=True, append_images=frames[1:])
        _refused(tmp_path / "image.png", "holds several pictures")

    def test_colour_of_16_bits_is_refused_rather_than_cut_to_8(self, tmp_path):
        header = struct.pack(">IIBBBBB", 1, 1, 16, 2, 0, 0, 0)
        chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(7))), (b"IEND", b""))
        (tmp_path / "image.png").write_bytes(
            b"\x89PNG\r\n\x1a\n"
            + b"".join(
                struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
                for kind, body in chunks
            )
        )
        _refused(tmp_path / "image.png", "has 16 bits in each of several channels; convert it to greyscale")

    @pytest.mark.parametrize("mode", ["CMYK"])
    def test_other_kinds_of_colour_are_refused(self, tmp_path, mode):
        Image.fromarray(RAMP8).convert(mode).save(tmp_path / "image.jpg")
        _refused(tmp_path / "image.jpg", "is no grey picture")


class TestTargets:
    @pytest.mark.parametrize("name", ["t.dcm", "1.2.840.1", "target"])
    def test_no_dicom(self, tmp_path, name):
        _refused(tmp_path / name, "is no format of change maps; store PNG, TIFF", change="magnitude")

    @pytest.mark.parametrize("suffix", [".png", ".tif", ".npy", ".npz", ".nii.gz"])
    def test_integer_magnitudes_use_the_full_range(self, tmp_path, suffix):
        path = _save(tmp_path / f"target{suffix}", RAMP8)
        np.testing.assert_allclose(read_target(path, "magnitude"), RAMP)

    def test_float_magnitudes(self, tmp_path):
        np.testing.assert_array_equal(read_target(_save(tmp_path / "t.npy", RAMP), "magnitude"), RAMP)

    def test_negative_magnitudes_are_refused(self, tmp_path):
        path = _save(tmp_path / "t.npy", RAMP - 0.5)
        _refused(
            path, "[-0.5, 0.5]", "must lie in [0, 1]", "set the data's change to signed", change="magnitude"
        )

    def test_float_signed_maps(self, tmp_path):
        np.testing.assert_array_equal(
            read_target(_save(tmp_path / "t.npy", 2 * RAMP - 1), "signed"), 2 * RAMP - 1
        )

    def test_signed_maps_out_of_range_are_refused(self, tmp_path):
        path = _save(tmp_path / "t.npy", RAMP * 4 - 2)
        _refused(path, "[-2, 2]", "must lie in [-1, 1]", "rescale it", change="signed")

    @pytest.mark.parametrize(
        ("array", "expected"),
        [
            (np.array([[0, 1, 128, 255]], np.uint8), [-1, -1, 0, 1]),
            (np.array([[0, 1, 32768, 65535]], np.uint16), [-1, -1, 0, 1]),
            (np.array([[-128, -127, 0, 127]], np.int8), [-1, -1, 0, 1]),
            (np.array([[-32768, -32767, 0, 32767]], np.int16), [-1, -1, 0, 1]),
        ],
    )
    def test_no_change_is_mid_grey_or_zero(self, tmp_path, array, expected):
        np.testing.assert_array_equal(read_target(_save(tmp_path / "t.npy", array), "signed"), [expected])
