"""A change map and its radiograph belong to one grid, or it is refused by name: read and checked alike."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
import tifffile
from nibabel.orientations import axcodes2ornt, ornt_transform
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from data import DataError, PairRecord, RecordTable, read_image, write_map
from data.base.processes import Processes
from data.check.problems import check_records
from data.manifests.loading import load_record

# What is seen; the finding lies where nothing else of it does.
FLAT = np.full((20, 30), 0.2, np.float32)
FINDING = np.zeros((20, 30), np.float32)
FINDING[2:6, 19:27] = 1
FOLLOWUP = np.maximum(FLAT, FINDING)
MAP = (FINDING * 255).astype(np.uint8)
LAS = np.diag([-0.14, 0.14, 1, 1])  # a coronal view: the array of it stands on its head
PICTURE = np.diag([-0.3, -0.2, 1, 1])  # what SimpleITK writes of a picture: the array lies as it is seen


def _nifti(path: Path, seen: np.ndarray, affine: np.ndarray | None, *, qform: bool = False) -> Path:
    """The array that shows `seen` under an affine."""
    orientation = (
        nibabel.io_orientation(affine) if affine is not None and (np.diag(affine) < 0).any() else None
    )
    array = seen.T
    if orientation is not None:
        flips = orientation[:2, 1] * (-1, -1)  # x grows to the patient's right, y to the front
        array = array[:: int(flips[0]), :: int(flips[1])]
    image = nibabel.Nifti1Image(np.ascontiguousarray(array)[:, :, None], affine)
    if qform:
        image.set_qform(affine, 1)
        image.set_sform(None, 0)
    nibabel.save(image, path)
    return path


def _dicom(path: Path, stored: np.ndarray, **attributes: object) -> Path:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1", "1.2.3"
    pixels = np.ascontiguousarray(np.round(stored * 255)).astype(np.uint8)
    dataset.set_pixel_data(pixels, "MONOCHROME2", 8, generate_instance_uid=False)
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    dataset.save_as(path, enforce_file_format=True)
    return path


def _records(folder: Path, **files: Path) -> RecordTable:
    paths = {"baseline": _nifti(folder / "baseline.nii", FLAT, LAS), **files}
    return RecordTable.of(PairRecord, [PairRecord(id="p", patient_id="p", split="train", **paths)])


def _load(records: RecordTable, change: str = "magnitude"):
    """The pictures of a pair; what reading refuses, checking names, and nothing else."""
    _, problems = check_records(
        records, change=change, intensity="dicom", engine=Processes(1), progress=False
    )
    try:
        loaded = load_record(records[0], intensity="dicom", change=change)
    except DataError as error:
        assert [f"{problem.path} {problem.reason}" for problem in problems] == [str(error)]
        raise
    assert not problems
    return loaded


def _reoriented(path: Path, like: Path, codes: str) -> Path:
    """The same map with its array along other directions, and an affine that says so."""
    write_map(path, FINDING, "magnitude", like=like)
    image = nibabel.load(path)
    turn = ornt_transform(nibabel.io_orientation(image.affine), axcodes2ornt(codes))
    nibabel.save(image.as_reoriented(turn), path)
    return path


def _moved(affine: np.ndarray, pixels: float) -> np.ndarray:
    return affine + np.eye(4)[:, :1] * np.eye(4)[3] * affine[0, 0] * pixels


class TestNifti:
    @pytest.mark.parametrize(
        ("of_image", "of_map"),
        [
            (LAS, LAS),
            (LAS, _moved(LAS, 0.3)),
            (LAS, LAS * (1 + 1e-5)),
            (PICTURE, PICTURE),
            (PICTURE, np.eye(4)),  # their arrays lie alike
            (np.eye(4), PICTURE),
            (PICTURE, None),
            (np.diag([0.14, 0.14, 1, 1]), np.eye(4)),
            (np.eye(4), None),
            (None, np.diag([0.2, 0.2, 5, 1])),
        ],
    )
    def test_one_grid(self, tmp_path, of_image, of_map):
        followup = _nifti(tmp_path / "followup.nii.gz", FOLLOWUP, of_image)
        target = _nifti(tmp_path / "map.nii.gz", FINDING, of_map)
        pictures = _load(_records(tmp_path, followup=followup, target=target))
        np.testing.assert_array_equal(pictures["followup"].pixels, FOLLOWUP)
        np.testing.assert_array_equal(pictures["target"].pixels, FINDING)

    @pytest.mark.parametrize("codes", ["RAS", "LPS", "ALS", "PRI", "LSA"])
    def test_one_grid_whatever_the_order_of_the_array(self, tmp_path, codes):
        followup = _nifti(tmp_path / "followup.nii.gz", FOLLOWUP, LAS)
        target = _reoriented(tmp_path / "map.nii.gz", followup, codes)
        if codes == "RAS":  # a positive diagonal is taken for no orientation
            with pytest.raises(DataError, match="does not lie on the pixels"):
                _load(_records(tmp_path, followup=followup, target=target))
            return
        pictures = _load(_records(tmp_path, followup=followup, target=target))
        np.testing.assert_array_equal(pictures["target"].pixels, FINDING)

    def test_the_two_forms_of_a_header_are_one_grid(self, tmp_path):
        followup = _nifti(tmp_path / "followup.nii", FOLLOWUP, LAS)
        target = _nifti(tmp_path / "map.nii", FINDING, LAS, qform=True)
        pictures = _load(_records(tmp_path, followup=followup, target=target))
        np.testing.assert_array_equal(pictures["target"].pixels, FINDING)

    @pytest.mark.parametrize(
        ("of_image", "of_map"),
        [
            (LAS, np.eye(4)),
            (LAS, None),
            (LAS, np.diag([0.14, 0.14, 1, 1])),
            (np.eye(4), LAS),
            (LAS, PICTURE),
            (LAS, np.diag([-0.14, -0.14, 1, 1])),
            (LAS, np.diag([0.14, -0.14, 1, 1])),
            (LAS, np.diag([-0.28, 0.28, 1, 1])),
            (LAS, np.diag([-0.14, 0.13, 1, 1])),
            (LAS, _moved(LAS, 1)),
            (LAS, _moved(LAS, -40)),
        ],
    )
    def test_another_grid_is_refused_by_name(self, tmp_path, of_image, of_map):
        followup = _nifti(tmp_path / "followup.nii.gz", FOLLOWUP, of_image)
        nibabel.save(nibabel.Nifti1Image(FINDING.T, of_map), tmp_path / "map.nii.gz")
        records = _records(tmp_path, followup=followup, target=tmp_path / "map.nii.gz")
        with pytest.raises(DataError) as caught:
            _load(records)
        assert str(caught.value) == (
            f"{tmp_path / 'map.nii.gz'} does not lie on the pixels of the followup {followup}: "
            "their affines differ; save it with that affine"
        )

    def test_the_target_of_the_baseline_too(self, tmp_path):
        followup = _nifti(tmp_path / "followup.nii", FOLLOWUP, LAS)
        good, bad = (
            _nifti(tmp_path / f"{name}.nii", FINDING, affine)
            for name, affine in (("good", LAS), ("bad", np.eye(4)))
        )
        records = _records(tmp_path, followup=followup, target=good, target_baseline=good)
        np.testing.assert_array_equal(_load(records)["target_baseline"].pixels, FINDING)
        with pytest.raises(DataError, match=r"bad\.nii does not lie on the pixels of the baseline"):
            _load(_records(tmp_path, followup=followup, target=good, target_baseline=bad))

    @pytest.mark.parametrize("change", ["magnitude", "signed"])
    def test_a_predicted_map_is_on_the_grid(self, tmp_path, change):
        for affine in (LAS, PICTURE, np.eye(4), None, np.diag([0.2, 0.2, 1, 1])):
            followup = _nifti(tmp_path / "followup.nii", FOLLOWUP, affine)
            write_map(tmp_path / "map.nii.gz", FINDING, change, like=followup)
            records = _records(tmp_path, followup=followup, target=tmp_path / "map.nii.gz")
            np.testing.assert_array_equal(_load(records, change)["target"].pixels, FINDING)


def _png(path: Path, orientation: int | None = None) -> Path:
    exif = Image.Exif()
    if orientation is not None:
        exif[274] = orientation
    Image.fromarray(np.rot90(MAP) if orientation == 6 else MAP).save(path, exif=exif)
    return path


def _npy(path: Path) -> Path:
    np.save(path, FINDING)
    return path


class TestMapsInAnotherFormat:
    """They lie on the radiograph as a viewer of its format shows it."""

    @pytest.mark.parametrize("affine", [LAS, PICTURE, np.eye(4), None], ids=str)
    @pytest.mark.parametrize("write", [_png, _npy], ids=["png", "npy"])
    def test_on_nifti_as_it_is_seen(self, tmp_path, affine, write):
        followup = _nifti(tmp_path / "followup.nii", FOLLOWUP, affine)
        target = write(tmp_path / f"map.{write.__name__[1:]}")
        pictures = _load(_records(tmp_path, followup=followup, target=target))
        np.testing.assert_array_equal(pictures["target"].pixels, FINDING)

    @pytest.mark.parametrize("suffix", ["jpg", "tif"])
    def test_on_a_turned_picture_as_it_is_seen(self, tmp_path, suffix):
        followup, stored = (
            tmp_path / f"followup.{suffix}",
            np.rot90(np.round(FOLLOWUP * 255).astype(np.uint8)),
        )
        exif = Image.Exif()
        exif[274] = 6
        if suffix == "jpg":
            Image.fromarray(np.ascontiguousarray(stored)).save(followup, exif=exif)
        else:
            tifffile.imwrite(followup, stored, extratags=[(274, "H", 1, 6, True)])
        for target in (_png(tmp_path / "map.png"), _npy(tmp_path / "map.npy"), _png(tmp_path / "t.png", 6)):
            pictures = _load(_records(tmp_path, followup=followup, target=target))
            np.testing.assert_array_equal(pictures["target"].pixels, FINDING)
        write_map(tmp_path / "map.nii", read_image(followup), "magnitude", like=followup)
        pictures = _load(_records(tmp_path, followup=followup, target=tmp_path / "map.nii"))
        np.testing.assert_array_equal(pictures["target"].pixels, pictures["followup"].pixels)

    @pytest.mark.parametrize("letters", [("F", "L"), ("R", "F"), ("H", "R")], ids=str)
    def test_on_dicom_as_it_is_stored(self, tmp_path, letters):
        turn = {
            ("F", "L"): lambda seen: seen.T,
            ("R", "F"): lambda seen: seen[:, ::-1],
            ("H", "R"): lambda seen: seen[::-1, ::-1].T,
        }[letters]
        followup = _dicom(tmp_path / "followup.dcm", turn(FOLLOWUP), PatientOrientation=list(letters))
        np.save(tmp_path / "map.npy", turn(FINDING))
        Image.fromarray(np.ascontiguousarray(turn(MAP))).save(tmp_path / "map.png")
        nibabel.save(nibabel.Nifti1Image(turn(FINDING).T, np.eye(4)), tmp_path / "map.nii")
        _nifti(tmp_path / "oriented.nii", FINDING, LAS)  # says itself how it lies
        for name in ("map.npy", "map.png", "map.nii", "oriented.nii"):
            pictures = _load(_records(tmp_path, followup=followup, target=tmp_path / name))
            np.testing.assert_allclose(pictures["followup"].pixels, FOLLOWUP, atol=1e-6)
            np.testing.assert_array_equal(pictures["target"].pixels, FINDING)
            assert pictures["target"].pixels.flags["C_CONTIGUOUS"]
        for suffix in (".png", ".npy", ".nii.gz"):
            write_map(tmp_path / f"written{suffix}", FINDING, "magnitude", like=followup)
            records = _records(tmp_path, followup=followup, target=tmp_path / f"written{suffix}")
            np.testing.assert_array_equal(_load(records)["target"].pixels, FINDING)

    def test_the_size_that_is_wanted_is_that_of_the_file(self, tmp_path):
        followup = _dicom(tmp_path / "followup.dcm", FOLLOWUP.T, PatientOrientation=["F", "L"])
        with pytest.raises(DataError) as caught:
            _load(_records(tmp_path, followup=followup, target=_npy(tmp_path / "map.npy")))
        assert f"is 20 x 30 but the followup {followup} is 30 x 20; resample" in str(caught.value)


def test_a_map_has_the_pixels_of_its_radiograph(tmp_path):
    """Whatever its own file says of their shape."""
    followup = _dicom(tmp_path / "followup.dcm", FOLLOWUP, PixelSpacing=[0.4, 0.2])
    tifffile.imwrite(tmp_path / "map.tif", MAP, resolution=(1, 1))
    pictures = _load(_records(tmp_path, followup=followup, target=tmp_path / "map.tif"))
    for role in ("followup", "target"):
        assert pictures[role].spacing_mm == (0.4, 0.2)
        assert pictures[role].geometry("pad").pixel_aspect == 2
