from pathlib import Path

import nibabel
import numpy as np
import pytest
from skimage.io import imsave

from data import DataError, read_image, read_target

# Not square, not symmetric: a transposed or mirrored reading cannot pass. Holds both ends of its type.
RAMP8 = np.array([[0, 51, 102], [255, 204, 153]], dtype=np.uint8)
RAMP = RAMP8.astype(np.float32) / 255


def _save(path: Path, array: np.ndarray) -> Path:
    if path.suffix == ".npy":
        np.save(path, array)
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


@pytest.mark.parametrize("suffix", [".png", ".PNG", ".tif", ".tiff", ".npy", ".nii", ".nii.gz"])
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


@pytest.mark.parametrize("suffix", [".npy", ".tif", ".nii.gz"])
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


def test_missing_file(tmp_path):
    _refused(tmp_path / "image.png", "does not exist")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("image.dcm", "is DICOM, which is not read yet"),
        ("image.parquet", "is Parquet, which is not read yet"),
        ("image.bmp", "has the unknown suffix '.bmp'"),
        ("image", "has no suffix"),
    ],
)
def test_other_formats_are_refused_by_name(tmp_path, name, reason):
    (tmp_path / name).write_bytes(b"anything")
    _refused(tmp_path / name, reason, "convert it to PNG, JPEG, TIFF (8 or 16 bit), NPY or NIfTI")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".npy", ".nii", ".nii.gz"])
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
    _refused(tmp_path / "image.npy", "cannot be read")


class TestTargets:
    @pytest.mark.parametrize("suffix", [".png", ".tif", ".npy", ".nii.gz"])
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
