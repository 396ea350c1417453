"""NIfTI: which way is up, what is refused, and that maps lie on the radiograph they belong to."""

import itertools

import nibabel
import numpy as np
import pytest
from nibabel.orientations import axcodes2ornt, ornt_transform

from data import DataError
from data.files.images import read_image, read_radiograph, read_target
from data.files.maps import write_map

# As a viewer shows it: the head (or front) up, the patient's right on the left. Nothing of it is symmetric.
SEEN = np.array([[0.0, 0.1, 0.2, 0.3], [0.4, 0.5, 0.6, 0.7], [0.8, 0.9, 1.0, 0.05]], np.float32)
SPACING = (0.2, 0.3)
# The directions in which a view's rows and columns grow, and that of the slice.
VIEWS = {"coronal": ("I", "L", "P"), "axial": ("P", "L", "I"), "sagittal": ("I", "P", "L")}


def _oriented(view: str, codes: tuple[str, str, str]) -> nibabel.Nifti1Image:
    """`SEEN` as one slice of a view, stored with its array axes running along `codes`."""
    zooms = {"I": SPACING[0], "L": SPACING[1], "P": 5.0}
    if view == "axial":
        zooms = {"P": SPACING[0], "L": SPACING[1], "I": 5.0}
    elif view == "sagittal":
        zooms = {"I": SPACING[0], "P": SPACING[1], "L": 5.0}
    start = axcodes2ornt(VIEWS[view])
    lengths = [zooms[code] for code in VIEWS[view]]
    directions = {
        "R": (1, 0, 0),
        "L": (-1, 0, 0),
        "A": (0, 1, 0),
        "P": (0, -1, 0),
        "S": (0, 0, 1),
        "I": (0, 0, -1),
    }
    affine = np.eye(4)
    for axis, (code, length) in enumerate(zip(VIEWS[view], lengths, strict=True)):
        affine[:3, axis] = np.multiply(directions[code], length)
    image = nibabel.Nifti1Image(SEEN[:, :, None], affine)
    return image.as_reoriented(ornt_transform(start, axcodes2ornt(codes)))


def _orders(view: str) -> list[tuple[str, str, str]]:
    """Every way to store the axes of a view."""
    opposite = dict(zip("RLAPSI", "LRPAIS", strict=True))
    return [
        tuple(opposite[code] if flip else code for code, flip in zip(order, flips, strict=True))
        for order in itertools.permutations(VIEWS[view])
        for flips in itertools.product((False, True), repeat=3)
    ]


def _is_positive_diagonal(image: nibabel.Nifti1Image) -> bool:
    return nibabel.aff2axcodes(image.affine) == ("R", "A", "S")


CASES = [(view, codes) for view in VIEWS for codes in _orders(view)]


@pytest.mark.parametrize(("view", "codes"), CASES, ids=[f"{view}-{''.join(codes)}" for view, codes in CASES])
def test_coded_orientations_are_followed(tmp_path, view, codes):
    image = _oriented(view, codes)
    path = tmp_path / "image.nii"
    nibabel.save(image, path)
    radiograph = read_radiograph(path)
    if _is_positive_diagonal(image):  # taken as none; see the next test
        np.testing.assert_array_equal(radiograph.pixels, np.squeeze(image.get_fdata()).T.astype(np.float32))
        return
    np.testing.assert_array_equal(radiograph.pixels, SEEN)
    assert radiograph.spacing_mm == pytest.approx(SPACING)


@pytest.mark.parametrize("codes", [(0, 0), (1, 0), (0, 2), (1, 1)])
@pytest.mark.parametrize("diagonal", [(1, 1, 1), (0.2, 0.3, 1), (0.14, 0.14, 5)])
@pytest.mark.parametrize("slices", [(), (1,), (1, 1)])
def test_positive_diagonals_are_no_orientation(tmp_path, codes, diagonal, slices):
    image = nibabel.Nifti1Image(SEEN.T.reshape(4, 3, *slices), None)
    image.set_sform(np.diag([*diagonal, 1]), codes[0])
    image.set_qform(np.diag([*diagonal, 1]), codes[1])
    nibabel.save(image, tmp_path / "image.nii.gz")
    np.testing.assert_array_equal(read_image(tmp_path / "image.nii.gz"), SEEN)


def test_without_a_code_the_affine_counts_for_nothing(tmp_path):
    image = nibabel.Nifti1Image(SEEN.T, None)
    image.header.set_sform(np.diag([1, -1, -1, 1]), 0)
    nibabel.save(image, tmp_path / "image.nii")
    np.testing.assert_array_equal(read_image(tmp_path / "image.nii"), SEEN)


def test_what_simpleitk_writes_of_a_picture(tmp_path):
    """Its identity direction is diag(-1, -1, 1) in NIfTI's axes: the array lies as the picture did."""
    nibabel.save(nibabel.Nifti1Image(SEEN.T, np.diag([-0.3, -0.2, 1, 1])), tmp_path / "image.nii.gz")
    np.testing.assert_array_equal(read_image(tmp_path / "image.nii.gz"), SEEN)


def test_slightly_tilted_slices(tmp_path):
    image = _oriented("coronal", ("L", "I", "P"))
    angle = np.deg2rad(10)
    tilt = np.eye(4)
    tilt[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    nibabel.save(
        nibabel.Nifti1Image(image.get_fdata(dtype=np.float32), tilt @ image.affine), tmp_path / "image.nii"
    )
    np.testing.assert_array_equal(read_image(tmp_path / "image.nii"), SEEN)


@pytest.mark.parametrize("image_class", [nibabel.Nifti1Image, nibabel.Nifti2Image])
@pytest.mark.parametrize("order", ["<", ">"])
def test_both_versions_and_byte_orders(tmp_path, image_class, order):
    header = image_class.header_class(endianness=order)
    header.set_data_dtype(np.uint16)
    array = np.round(SEEN * 65535).astype(np.uint16)
    nibabel.save(image_class(array.T, np.eye(4), header), tmp_path / "image.nii")
    np.testing.assert_allclose(read_image(tmp_path / "image.nii"), array / 65535, atol=1e-7)


def test_scaled_integers_are_the_floats_they_stand_for(tmp_path):
    image = nibabel.Nifti1Image(SEEN.T, np.eye(4))
    image.set_data_dtype(np.int16)
    nibabel.save(image, tmp_path / "image.nii.gz")
    np.testing.assert_allclose(read_image(tmp_path / "image.nii.gz"), SEEN, atol=1e-4)


@pytest.mark.parametrize("unit", [("micron", 1000), ("meter", 0.001)])
def test_units_of_spacing(tmp_path, unit):
    name, per_mm = unit
    image = nibabel.Nifti1Image(SEEN.T, np.diag([0.3 * per_mm, 0.2 * per_mm, 1, 1]))
    image.header.set_xyzt_units(name)
    nibabel.save(image, tmp_path / "image.nii")
    assert read_radiograph(tmp_path / "image.nii").spacing_mm == pytest.approx((0.2, 0.3))


@pytest.mark.parametrize(
    ("shape", "message"),
    [((4, 3, 2), r"\(4, 3, 2\)"), ((4, 3, 1, 5), r"\(4, 3, 1, 5\)"), ((7,), r"\(7,\)")],
)
def test_several_slices_are_refused_with_their_shape(tmp_path, shape, message):
    nibabel.save(nibabel.Nifti1Image(np.zeros(shape, np.float32), np.eye(4)), tmp_path / "image.nii")
    with pytest.raises(DataError, match=f"has the shape {message}; store a single grey image"):
        read_image(tmp_path / "image.nii")


def test_colour_is_refused(tmp_path):
    colour = np.zeros((4, 3, 1), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    nibabel.save(nibabel.Nifti1Image(colour, np.eye(4)), tmp_path / "image.nii")
    with pytest.raises(DataError, match="is in colour; convert it to greyscale"):
        read_image(tmp_path / "image.nii")


def test_an_affine_that_is_no_orientation_is_named(tmp_path):
    affine = np.diag([-1.0, -1, 1, 1])
    affine[0, 3] = np.nan
    nibabel.save(nibabel.Nifti1Image(SEEN.T, affine), tmp_path / "image.nii")
    with pytest.raises(DataError, match="has an affine that is no orientation; correct it"):
        read_image(tmp_path / "image.nii")


@pytest.mark.parametrize(("view", "codes"), CASES[::5], ids=[f"{v}-{''.join(c)}" for v, c in CASES[::5]])
@pytest.mark.parametrize("change", ["magnitude", "signed"])
def test_maps_lie_on_their_radiograph(tmp_path, view, codes, change):
    like, path = tmp_path / "followup.nii.gz", tmp_path / "map.nii.gz"
    image = _oriented(view, codes)
    nibabel.save(image, like)
    values = read_image(like)
    values = values if change == "magnitude" else 2 * values - 1
    write_map(path, values, change, like=like)
    np.testing.assert_array_equal(read_target(path, change), values)
    written = nibabel.load(path)
    assert written.shape == image.shape
    np.testing.assert_allclose(written.affine, image.affine)
    stored = image.get_fdata() if change == "magnitude" else 2 * image.get_fdata() - 1
    np.testing.assert_allclose(written.get_fdata(), stored, atol=1e-6)


@pytest.mark.parametrize("codes", [(0, 0), (1, 0), (0, 1), (2, 4)])
def test_maps_keep_the_codes_and_nothing_that_could_name_a_patient(tmp_path, codes):
    image = nibabel.Nifti1Image(SEEN.T, None)
    affine = np.diag([-0.3, -0.2, 1, 1])
    for set_form, code in zip((image.set_qform, image.set_sform), codes, strict=True):
        if code:
            set_form(affine, code)
    image.header["descrip"] = b"Doe^Jane"
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", b"Doe^Jane"))
    nibabel.save(image, tmp_path / "like.nii")
    assert b"Doe" in (tmp_path / "like.nii").read_bytes()
    write_map(tmp_path / "map.nii", SEEN, "magnitude", like=tmp_path / "like.nii")
    header = nibabel.load(tmp_path / "map.nii").header
    assert (int(header["qform_code"]), int(header["sform_code"])) == codes
    np.testing.assert_array_equal(read_target(tmp_path / "map.nii", "magnitude"), SEEN)
    assert b"Doe" not in (tmp_path / "map.nii").read_bytes()


@pytest.mark.parametrize("suffix", [".png", ".npy", ".nii", ".nii.gz"])
@pytest.mark.parametrize("change", ["magnitude", "signed"])
def test_maps_without_a_radiograph(tmp_path, suffix, change):
    values = SEEN if change == "magnitude" else 2 * SEEN - 1
    write_map(tmp_path / f"map{suffix}", values, change)
    np.testing.assert_allclose(read_target(tmp_path / f"map{suffix}", change), values, atol=2e-5)
