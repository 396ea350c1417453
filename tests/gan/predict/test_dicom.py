"""DICOM maps lie on the followup, refer to both radiographs, and are what other programs take them for."""

import shutil
import subprocess

import highdicom
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from data import Radiograph
from data.base.errors import DataError
from gan.predict.dicom import Algorithm, Sources
from gan.predict.ensemble import Ensemble
from gan.predict.places import places_beside
from gan.predict.predict import predict_pair
from gan.predict.writing import Writer
from gan.run.feeding import NATIVE
from tests.gan.predict.models import Difference, Magnitude, model

ALGORITHM = Algorithm(name="Difference", version="1.2", weights="abc123", parameters={"align": "False"})
IDENTITY = {
    "PatientID": "P1",
    "PatientName": "Doe^Jane",
    "PatientBirthDate": "19500101",
    "PatientSex": "F",
    "AccessionNumber": "A1",
    "StudyID": "1",
    "StudyDate": "20240102",
    "StudyTime": "101112",
    "ReferringPhysicianName": "",
}
VALIDATOR = shutil.which("dciodvfy")


def write_radiograph(path, pixels, *, spacing=(0.2, 0.1), orientation=("L", "F"), bits=16, **further):
    """A computed radiograph as a device writes it; what is None is left out."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    values = {
        "SOPClassUID": "1.2.840.10008.5.1.4.1.1.1",
        **{name: generate_uid() for name in ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")},
        **IDENTITY,
        **{"Modality": "CR", "BodyPartExamined": "CHEST", "ViewPosition": "PA", "Manufacturer": "Maker"},
        **{"SeriesNumber": 1, "InstanceNumber": 1, "InstitutionName": "Hospital"},
        "PatientOrientation": list(orientation),
        "ImagerPixelSpacing": spacing and list(spacing),
        "StationName": "Room 1",
        **further,
    }
    for name, value in values.items():
        if value is not None:
            setattr(dataset, name, value)
    dataset.set_pixel_data(pixels, "MONOCHROME2", bits, generate_instance_uid=False)
    dataset.save_as(path, enforce_file_format=True)
    return path


def film(height, width, *, phase=0.0):
    down = np.sin(np.linspace(0, 9, height, dtype=np.float32) + phase)
    across = np.cos(np.linspace(0, 7, width, dtype=np.float32))
    return (32768 + 20000 * np.outer(down, across)).astype(np.uint16)


@pytest.fixture
def pair(tmp_path):
    """Two studies of one patient, the later one with a spot that was not there and one that went."""
    before = film(60, 48)
    after = before.copy()
    after[10:20, 8:18] += 15000
    after[40:50, 30:40] -= 15000
    return tuple(
        write_radiograph(tmp_path / f"{name}.dcm", pixels)
        for name, pixels in (("before", before), ("after", after))
    )


def predict(pair, output, *, network=Difference, size=64, passes=0, tiles=1):
    """All DICOM objects of a pair, by what they are."""
    ensemble = Ensemble({"a": model(network, size=size)}, passes)
    writer = Writer(change=ensemble.preprocessing.change, threshold=0.1, algorithm=ALGORITHM)
    places = places_beside(output, uncertainty=ensemble.is_several)
    predict_pair(ensemble, writer, pair, places, tiles=tiles)
    files = {kind: path for kind, path in vars(places).items() if path is not None and kind != "findings"}
    return {kind: pydicom.dcmread(path) for kind, path in files.items()}


def test_all_objects_lie_on_the_followup_and_refer_to_both(pair, tmp_path):
    before, after = (pydicom.dcmread(path) for path in pair)
    made = predict(pair, tmp_path / "map.dcm", passes=1)
    classes = {kind: each.SOPClassUID.rpartition("1.1.")[2] for kind, each in made.items()}
    assert classes == {"map": "30", "uncertainty": "30", "segmentation": "66.4", "overlay": "7"}
    names = ("SOPInstanceUID", "SeriesInstanceUID")
    uids = [each[name].value for each in made.values() for name in names]
    assert len(set(uids)) == 8
    for each in made.values():
        assert {name: str(each[name].value) for name in IDENTITY} == IDENTITY
        assert each.StudyInstanceUID == after.StudyInstanceUID
        assert (each.Rows, each.Columns) == (60, 48)
        assert list(each.PatientOrientation) == ["L", "F"]
        referred = [item.ReferencedSOPInstanceUID for item in each.SourceImageSequence]
        assert referred == [after.SOPInstanceUID, before.SOPInstanceUID]
        (other,) = each.StudiesContainingOtherReferencedInstancesSequence
        assert other.StudyInstanceUID == before.StudyInstanceUID
        assert (each.ManufacturerModelName, each.SoftwareVersions) == ("Difference", "1.2")
        assert "abc123" in each.DerivationDescription
        assert "Room 1" not in str(each.get("StationName", ""))
    (segments,) = {each.FrameOfReferenceUID for kind, each in made.items() if kind != "overlay"}
    assert segments


def test_the_map_is_float_and_signed_and_its_segments_are_where_it_changed(pair, tmp_path):
    made = predict(pair, tmp_path / "map.dcm")
    parametric = highdicom.pm.ParametricMap.from_dataset(made["map"])
    (change,) = parametric.get_frames(apply_real_world_transform=True)
    before, after = (pydicom.dcmread(path).pixel_array.astype(float) for path in pair)
    exact = (after - before) / 65535
    assert made["map"].FloatPixelData
    assert np.abs(change - exact)[12:18, 10:16].max() < 0.01
    assert np.abs(change - exact)[42:48, 32:38].max() < 0.01
    assert change.min() < -0.2
    shared = made["map"].SharedFunctionalGroupsSequence[0]
    assert list(shared.PixelMeasuresSequence[0].PixelSpacing) == [0.2, 0.1]
    assert list(shared.PlaneOrientationSequence[0].ImageOrientationPatient) == [1, 0, 0, 0, 0, -1]
    seg = highdicom.seg.Segmentation.from_dataset(made["segmentation"])
    more, less = seg.get_frames()
    assert np.array_equal(more > 0, change >= 0.1)
    assert np.array_equal(less > 0, change <= -0.1)
    described = seg.get_segment_description(1)
    assert described.SegmentAlgorithmType == "AUTOMATIC"
    (algorithm,) = described.SegmentationAlgorithmIdentificationSequence
    assert (algorithm.AlgorithmName, "abc123" in algorithm.AlgorithmVersion) == ("Difference", True)
    assert "threshold=0.1000" in algorithm.AlgorithmParameters
    assert made["overlay"].pixel_array.shape == (60, 48, 3)


def test_a_film_that_lies_on_its_side_has_its_map_on_its_side(tmp_path):
    before, after = film(48, 60), film(48, 60)
    after[5:15, 40:50] += 15000
    pair = [
        write_radiograph(tmp_path / f"{name}.dcm", pixels, orientation=("H", "R"), spacing=(0.1, 0.2))
        for name, pixels in (("before", before), ("after", after))
    ]
    made = predict(pair, tmp_path / "map.dcm", network=Magnitude)
    change = made["map"].pixel_array
    assert change.shape == (48, 60)
    assert change[7:13, 42:48].min() > 0.2
    assert change[30:, :30].max() < 0.01
    assert list(made["map"].SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing) == [
        0.1,
        0.2,
    ]


@pytest.mark.skipif(VALIDATOR is None, reason="dciodvfy of dicom3tools is not installed")
@pytest.mark.parametrize(
    "further",
    [
        {},
        {"BodyPartExamined": None, "PatientOrientation": None},
        {"StudyID": None, "PatientSex": None, "AccessionNumber": None, "InstitutionName": None},
        {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.1", "Modality": "DX", "ImageLaterality": "U"},
        {"PixelSpacing": [0.15, 0.15], "Laterality": "L", "BodyPartExamined": "HAND"},
    ],
    ids=["usual", "bare", "anonymous", "digital", "hand"],
)
@pytest.mark.parametrize("network", [Difference, Magnitude])
def test_an_independent_validator_finds_no_error(tmp_path, further, network):
    pair = [
        write_radiograph(tmp_path / f"{name}.dcm", film(60, 48, phase=phase), **further)
        for name, phase in (("before", 0.0), ("after", 1.0))
    ]
    for kind in predict(pair, tmp_path / "map.dcm", network=network, passes=1):
        name = "map.dcm" if kind == "map" else f"map_{kind}.dcm"
        done = subprocess.run([VALIDATOR, tmp_path / name], capture_output=True, text=True, check=False)
        assert "Error" not in done.stdout + done.stderr, f"{kind}: {done.stderr}"


def test_another_library_reads_what_it_knows(pair, tmp_path):
    simpleitk = pytest.importorskip("SimpleITK")
    predict(pair, tmp_path / "map.dcm", network=Magnitude)
    for kind in ("segmentation", "overlay"):
        image = simpleitk.ReadImage(str(tmp_path / f"map_{kind}.dcm"))
        assert image.GetSize()[:2] == (48, 60)
        assert image.GetSpacing()[:2] == (0.1, 0.2)


def test_a_large_pair_in_tiles_keeps_size_spacing_and_orientation_and_follows_a_shift(tmp_path):
    """2,500 x 2,048 pixels of 16 bits: the map is that of the files' own pixels, and moves with them."""
    before, after = film(2500, 2048), film(2500, 2048)
    after[600:900, 500:700] += 9000
    pair = [
        write_radiograph(tmp_path / f"{name}.dcm", pixels, spacing=(0.14, 0.14))
        for name, pixels in (("before", before), ("after", after))
    ]
    made = predict(pair, tmp_path / "map.dcm", size=1280, tiles=NATIVE)["map"]
    assert (made.Rows, made.Columns) == (2500, 2048)
    shared = made.SharedFunctionalGroupsSequence[0]
    assert list(shared.PixelMeasuresSequence[0].PixelSpacing) == [0.14, 0.14]
    assert list(made.PatientOrientation) == ["L", "F"]
    exact = (after.astype(np.float32) - before) / 65535
    assert np.abs(made.pixel_array - exact).max() < 1e-4
    films = [
        Radiograph(pixels=np.roll(pixels, 64, 0).astype(np.float32) / 65535, spacing_mm=None)
        for pixels in (before, after)
    ]
    moved = model(Difference, size=1280)(*films, tiles=NATIVE)[0].numpy()
    assert np.abs(np.roll(made.pixel_array, 64, 0) - moved).max() < 1e-4


def refused(tmp_path, before, after):
    with pytest.raises(DataError) as caught:
        Sources.read(before, after)
    message = str(caught.value)
    assert "\n" not in message
    assert "Doe" not in message
    assert str(tmp_path) in message
    return message


def test_sources_of_which_no_dicom_can_be_made_are_refused(tmp_path, pair):
    small = film(20, 20)
    nameless = write_radiograph(tmp_path / "nameless.dcm", small, SeriesInstanceUID=None)
    assert "nameless.dcm has no SeriesInstanceUID" in refused(tmp_path, nameless, pair[1])
    assert "nameless.dcm has no SeriesInstanceUID" in refused(tmp_path, pair[0], nameless)
    assert "is not DICOM and has no UIDs" in refused(tmp_path, tmp_path / "before.png", pair[1])
    other = write_radiograph(tmp_path / "other.dcm", small, PatientID="P2")
    assert "name two patients" in refused(tmp_path, other, pair[1])
    assert "names no pixel spacing" in refused(
        tmp_path, pair[0], write_radiograph(tmp_path / "c.dcm", small, spacing=None)
    )


def test_two_images_of_one_study_are_referred_to_within_it(tmp_path, pair):
    study = pydicom.dcmread(pair[1]).StudyInstanceUID
    before = write_radiograph(tmp_path / "same.dcm", film(60, 48), StudyInstanceUID=study)
    for each in predict((before, pair[1]), tmp_path / "map.dcm").values():
        assert "StudiesContainingOtherReferencedInstancesSequence" not in each
        assert len(each.ReferencedSeriesSequence) == 2


def test_a_header_that_cannot_be_taken_over_is_a_mistake_of_one_line(tmp_path, pair):
    odd = write_radiograph(tmp_path / "odd.dcm", film(60, 48), PatientSex="X")
    with pytest.raises(DataError, match=r"odd\.dcm has a header of which no DICOM map can be made"):
        predict((pair[0], odd), tmp_path / "map.dcm")
    assert not list(tmp_path.glob("map*"))
