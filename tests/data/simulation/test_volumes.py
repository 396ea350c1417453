import os

import nibabel
import numpy as np
import pytest
from pydicom.uid import generate_uid

from data.base.errors import DataError
from data.base.processes import Processes
from data.findings import LUNGS
from data.simulation.volumes import series
from data.simulation.volumes.files import Source, find_volumes, read_volume
from data.simulation.volumes.totalsegmentator import NAMES, TABLES
from tests.data.simulation.volumes import SPACING, hounsfield, renumbered, save_dicom, save_nifti


@pytest.fixture(scope="module")
def hu(phantom):
    return np.round(hounsfield(phantom.mu)).astype(np.int16)


@pytest.fixture(scope="module")
def labels(phantom):
    return renumbered(phantom)


def names(root):
    return [source.name for source in find_volumes(root)]


def only(root):
    [source] = find_volumes(root)
    return source


@pytest.mark.parametrize("axes", ["RAS", "LPS", "LAS", "SRA", "PIR"])
def test_every_orientation_reads_as_left_front_head(tmp_path, hu, labels, axes):
    save_nifti(tmp_path / "a/ct.nii.gz", hu, axes)
    save_nifti(tmp_path / "a/segmentations.nii.gz", labels, "LPS")
    scan = read_volume(only(tmp_path))
    np.testing.assert_array_equal(scan.hu, hu)
    np.testing.assert_array_equal(scan.labels, labels)
    assert scan.voxel == (SPACING,) * 3


def test_cases_files_and_series_are_found_and_named(tmp_path, hu, labels):
    small = hu[::4, ::4, ::4]
    save_nifti(tmp_path / "s0001/ct.nii.gz", small)
    save_nifti(tmp_path / "s0001/segmentations/heart.nii.gz", labels[::4, ::4, ::4])
    save_nifti(tmp_path / "s0002/volume.nii", small)
    save_nifti(tmp_path / "s0002/labels.nii.gz", labels[::4, ::4, ::4])
    save_nifti(tmp_path / "Case_3.nii.gz", small)
    save_nifti(tmp_path / "Case_3_seg.nii.gz", labels[::4, ::4, ::4])
    save_nifti(tmp_path / "group/s0001/ct.nii.gz", small)
    save_dicom(tmp_path / "dicom/one", small)
    found = find_volumes(tmp_path)
    assert [source.name for source in found] == [f"ct{number:04d}" for number in range(1, 6)]
    places = ["Case_3.nii.gz", "dicom/one/IM0000", "group/s0001/ct.nii.gz", "s0001/ct.nii.gz"]
    assert [source.path(tmp_path) for source in found] == [*places, "s0002/volume.nii"]
    assert [len(source.labels) for source in found] == [1, 0, 0, 1, 1]


def test_known_volumes_keep_their_names_and_new_ones_get_free_ones(tmp_path, hu):
    for name in ("b", "d", "e"):
        save_nifti(tmp_path / f"{name}/ct.nii.gz", hu[::4, ::4, ::4])
    [b, *_] = find_volumes(tmp_path)
    known = {b.digest(tmp_path): "ct0007", "d/ct.nii.gz": "ct0002", "gone/ct.nii.gz": "ct0001"}
    save_nifti(tmp_path / "a/ct.nii.gz", hu[::4, ::4, ::4])
    found = {source.name: source.path(tmp_path)[0] for source in find_volumes(tmp_path, known)}
    assert found == {"ct0002": "d", "ct0003": "a", "ct0004": "e", "ct0007": "b"}


def test_links_to_folders_are_followed_and_every_folder_is_read_once(tmp_path, hu):
    archive = tmp_path / "archive"
    save_nifti(archive / "one/ct.nii.gz", hu[::4, ::4, ::4])
    save_nifti(tmp_path / "cts/real/ct.nii.gz", hu[::4, ::4, ::4])
    for link, target in (("b", archive / "one"), ("c", archive), ("a", tmp_path / "cts/real")):
        (tmp_path / "cts" / link).symlink_to(target)
    (archive / "back").symlink_to(tmp_path / "cts")
    (archive / "one/loop").symlink_to(archive / "one")
    (archive / "nowhere").symlink_to(archive / "none")
    found = find_volumes(tmp_path / "cts")
    assert [source.path(tmp_path / "cts") for source in found] == ["b/ct.nii.gz", "real/ct.nii.gz"]


def test_a_folder_of_several_volumes_is_no_case(tmp_path, hu):
    for name in ("a", "b"):
        save_nifti(tmp_path / f"case/{name}.nii.gz", hu[::4, ::4, ::4])
    with pytest.raises(DataError, match=r"holds 2 NIfTI volumes; name the CT of the case ct.nii.gz"):
        read_volume(only(tmp_path))


def test_nothing_is_one_line(tmp_path):
    with pytest.raises(DataError, match="holds no CT"):
        find_volumes(tmp_path)
    with pytest.raises(DataError, match="is no folder"):
        find_volumes(tmp_path / "none")


def test_one_file_for_each_structure(tmp_path, hu, labels):
    save_nifti(tmp_path / "a/ct.nii.gz", hu)
    for name in (*LUNGS, "heart"):
        save_nifti(
            tmp_path / f"a/segmentations/{name}.nii.gz", (labels == NAMES[name]).astype(np.uint8), "LPS"
        )
    save_nifti(tmp_path / "a/segmentations/unheard_of.nii.gz", np.ones_like(labels))
    kept = np.isin(labels, [NAMES[name] for name in (*LUNGS, "heart")])
    np.testing.assert_array_equal(read_volume(only(tmp_path)).labels, np.where(kept, labels, 0))


def test_chambers_in_files_become_the_heart(tmp_path, hu, labels):
    save_nifti(tmp_path / "a/ct.nii.gz", hu)
    heart = labels == NAMES["heart"]
    upper = heart & (np.arange(hu.shape[2]) > np.flatnonzero(heart.any(axis=(0, 1))).mean())
    for name, part in (("heart_atrium_left", upper), ("heart_ventricle_left", heart & ~upper)):
        save_nifti(tmp_path / f"a/segmentations/{name}.nii.gz", part.astype(np.uint8))
    np.testing.assert_array_equal(read_volume(only(tmp_path)).labels == NAMES["heart"], heart)


def test_the_numbers_of_version_1_are_recognised(tmp_path, hu, labels):
    old = np.zeros_like(labels)
    for number, name in TABLES[1].items():
        if name in NAMES:
            old[labels == NAMES[name]] = number
    old[labels == NAMES["heart"]] = 46
    save_nifti(tmp_path / "a/ct.nii.gz", hu)
    save_nifti(tmp_path / "a/labels.nii.gz", old)
    read = read_volume(only(tmp_path)).labels
    for name in (*LUNGS, "heart", "trachea"):
        np.testing.assert_array_equal(read == NAMES[name], labels == NAMES[name])


def test_numbers_of_another_kind_are_refused(tmp_path, hu, labels):
    save_nifti(tmp_path / "a/ct.nii.gz", hu)
    save_nifti(tmp_path / "a/labels.nii.gz", (labels > 0).astype(np.uint8))
    with pytest.raises(DataError, match="its label map is not numbered as TotalSegmentator's"):
        read_volume(only(tmp_path))


def test_labels_on_another_grid_are_refused(tmp_path, hu, labels):
    save_nifti(tmp_path / "a/ct.nii.gz", hu)
    save_nifti(tmp_path / "a/labels.nii.gz", labels[:-1])
    with pytest.raises(DataError, match="its label map lies on another grid"):
        read_volume(only(tmp_path))


def sheared(affine):
    affine[1, 2] = 1.0
    return affine


def turned(affine):
    cosine, sine = np.cos(0.6), np.sin(0.6)
    affine[:3, :3] = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]]) * SPACING
    return affine


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda hu, affine: (hu, sheared(affine)), "gantry tilt"),
        (lambda hu, affine: (hu, turned(affine)), "turned against the patient's"),
        (lambda hu, affine: (hu, affine * [[0], [1], [1], [1]]), "affine matrix has no inverse"),
        (lambda hu, affine: (np.stack([hu, hu], axis=-1), affine), "one volume of three axes"),
        (lambda hu, affine: (hu[..., :5], affine), "that is no chest"),
        (lambda hu, affine: (np.clip(hu, 0, None), affine), "store Hounsfield units"),
    ],
)
def test_volumes_of_another_kind_are_refused(tmp_path, hu, change, message):
    data, affine = change(hu, np.diag([SPACING, SPACING, SPACING, 1.0]))
    image = nibabel.Nifti1Image(data, None)
    image.header.set_sform(affine, code=1)
    image._affine = affine
    (tmp_path / "a").mkdir()
    nibabel.save(image, tmp_path / "a/ct.nii")
    with pytest.raises(DataError, match=message):
        read_volume(only(tmp_path))


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("axes", ["RAS", "LPS", "SRA"])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize(
    ("damaged", "message"),
    [
        ("ct", "the CT cannot be read"),
        ("labels", "its label map cannot be read"),
        ("segmentations/heart", "its label map heart.nii(.gz)? cannot be read"),
    ],
)
def test_a_truncated_file_is_one_line_without_its_path(tmp_path, hu, labels, axes, suffix, damaged, message):
    save_nifti(tmp_path / f"Doe_John/ct{suffix}", hu, axes)
    if damaged != "ct":
        save_nifti(tmp_path / f"Doe_John/{damaged}{suffix}", labels, axes)
    truncate(tmp_path / f"Doe_John/{damaged}{suffix}")
    with pytest.raises(DataError, match=message) as caught:
        read_volume(only(tmp_path))
    assert "\n" not in str(caught.value)
    assert "Doe" not in str(caught.value)


def test_a_link_to_nowhere_is_one_line(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/ct.nii.gz").symlink_to(tmp_path / "Doe_John.nii.gz")
    with pytest.raises(DataError, match=r"the CT cannot be read \(FileNotFoundError\)"):
        read_volume(only(tmp_path))


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("name", ["labels", "segmentations/heart"])
def test_labels_that_are_no_numbers_are_refused(tmp_path, hu, labels, value, name):
    save_nifti(tmp_path / "a/ct.nii.gz", hu)
    wrong = labels.astype(np.float32)
    wrong[3, 4, 5] = value
    save_nifti(tmp_path / f"a/{name}.nii.gz", wrong)
    with pytest.raises(DataError, match=r"its label map .*holds values that are no numbers"):
        read_volume(only(tmp_path))


def test_a_series_reads_like_the_same_volume(tmp_path, hu):
    save_dicom(tmp_path / "deep/down", hu)
    scan = read_volume(only(tmp_path))
    np.testing.assert_array_equal(scan.hu, hu)
    assert scan.voxel == pytest.approx((SPACING,) * 3)
    assert scan.labels is None


def test_of_a_patients_series_the_largest_plausible_one_is_taken(tmp_path, hu):
    save_dicom(tmp_path / "all", hu[..., :40])
    save_dicom(tmp_path / "all/more", hu[..., :60])
    save_dicom(tmp_path / "all/scout", hu[:, :, :70], ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    save_dicom(tmp_path / "all/coronal", hu[..., :80], ImageOrientationPatient=[1, 0, 0, 0, 0, -1])
    save_dicom(tmp_path / "other", hu[..., :30], patient="12")
    (tmp_path / "all/README").write_text("no DICOM")
    found = find_volumes(tmp_path)
    assert [(source.name, len(source.files)) for source in found] == [("ct0001", 60), ("ct0002", 30)]


def test_series_in_one_folder_are_told_apart(tmp_path, hu):
    save_dicom(tmp_path / "mixed", hu[..., :30])
    longer = save_dicom(tmp_path / "source", hu[..., :50])
    for path in longer:
        path.rename(tmp_path / "mixed" / f"B{path.name}")
    scan = read_volume(only(tmp_path))
    np.testing.assert_array_equal(scan.hu, hu[..., :50])


def missing_slice(paths):
    paths[20].unlink()


@pytest.mark.parametrize(
    ("options", "damage", "message"),
    [
        ({}, missing_slice, r"slices are missing: they lie 4.00 to 8.00 mm apart"),
        ({"tilt": 0.2}, None, "gantry was tilted"),
        ({"NumberOfFrames": 2}, None, "multi-frame"),
        ({"PixelSpacing": None}, None, "lack pixel spacing"),
        ({"ImagePositionPatient": [0, 0, 0]}, None, "several slices at one position"),
    ],
)
def test_series_that_are_no_volume_are_refused(tmp_path, hu, options, damage, message):
    paths = save_dicom(tmp_path / "a", hu[..., :40], **options)
    if damage:
        damage(paths)
    with pytest.raises(DataError, match=message):
        read_volume(only(tmp_path))


def test_a_damaged_slice_is_refused_without_its_path(tmp_path, hu):
    paths = save_dicom(tmp_path / "Mustermann", hu[..., :40])
    paths[3].write_bytes(paths[3].read_bytes()[:-2000])
    with pytest.raises(DataError, match="a slice cannot be decoded") as caught:
        read_volume(only(tmp_path))
    assert "Mustermann" not in str(caught.value)


def test_a_short_series_is_refused(tmp_path, hu):
    save_dicom(tmp_path / "a", hu[..., :7], series=generate_uid())
    with pytest.raises(DataError, match="it has 7 slices"):
        read_volume(only(tmp_path))


def test_a_series_exported_twice_is_read_once(tmp_path, hu):
    for path in save_dicom(tmp_path / "a", hu[..., :30]):
        (tmp_path / "b").mkdir(exist_ok=True)
        (tmp_path / "b" / path.name).write_bytes(path.read_bytes())
        (tmp_path / "a" / f"copy_{path.name}").write_bytes(path.read_bytes())
    np.testing.assert_array_equal(read_volume(only(tmp_path)).hu, hu[..., :30])


def test_headers_read_in_processes_give_the_same(tmp_path, hu, monkeypatch):
    for name in ("a", "b"):
        save_dicom(tmp_path / name, hu[..., :30], patient=name)
    alone = find_volumes(tmp_path)
    monkeypatch.setattr(series, "_WORTH_A_POOL", 1)
    monkeypatch.setattr(series, "_CHUNK", 7)
    assert find_volumes(tmp_path, engine=Processes(2)) == alone


def test_a_bar_shows_the_headers(tmp_path, hu, capsys):
    save_dicom(tmp_path / "a", hu[..., :30])
    find_volumes(tmp_path, progress=True)
    assert "headers: 100%" in capsys.readouterr().err


def test_a_digest_follows_names_sizes_and_times(tmp_path):
    file = tmp_path / "ct.nii"
    file.write_bytes(b"1234")
    source = Source(files=(file,))
    os.utime(file, ns=(0, 1_000_000_000))
    before = source.digest(tmp_path)
    file.write_bytes(b"4321")
    os.utime(file, ns=(5, 1_000_000_000))
    assert source.digest(tmp_path) == before
    os.utime(file, ns=(0, 1_000_000_001))
    assert source.digest(tmp_path) != before
    file.write_bytes(b"12345")
    os.utime(file, ns=(0, 1_000_000_000))
    assert source.digest(tmp_path) != before
