"""A map comes back on the pixels of the followup, however its file lies."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import interpolate

from data import DataConfig, read_image, read_target
from gan.predict.dicom import Algorithm
from gan.predict.ensemble import Ensemble
from gan.predict.places import places_beside
from gan.predict.predict import predict_pair
from gan.predict.writing import Writer
from gan.run.change_model import ChangeModel
from gan.run.handover import ANY, Preprocessing, load_network, save_network


class Echo(nn.Module):
    """Calls the followup a change map."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, baseline: Tensor, followup: Tensor) -> Tensor:
        """The followup."""
        return followup + self.weight * baseline


@pytest.fixture(params=["pad", "stretch"])
def model(request):
    preprocessing = Preprocessing(
        network="tests:Echo", image_size=96, framing=request.param, intensity="dicom", change="magnitude"
    )
    return ChangeModel(Echo(), preprocessing)


@pytest.fixture
def picture():
    rows, columns = np.mgrid[:48, :32] / 10
    return np.round(255 * (0.5 + 0.4 * np.sin(rows) * np.cos(columns + rows / 3))).astype(np.uint8)


def predict_files(model, followup, output):
    """The map of a followup that did not change, and its overlay."""
    algorithm = Algorithm(name="Echo", version="1", weights="0", parameters={})
    writer = Writer(change="magnitude", threshold=0.1, algorithm=algorithm, has_colour_bar=True)
    places = places_beside(output, uncertainty=False)
    predict_pair(Ensemble({"model": model}), writer, (followup, followup), places)
    return places.map, places.overlay


@pytest.mark.parametrize("densities", [(100, 100), (200, 100), (100, 200)])
@pytest.mark.parametrize("orientation", [1, 6])
def test_a_map_lies_on_the_followup_as_it_is_shown(tmp_path, model, picture, densities, orientation):
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(picture).save(tmp_path / "followup.png", exif=exif, dpi=densities)
    seen = read_image(tmp_path / "followup.png")
    assert seen.shape == ((48, 32) if orientation == 1 else (32, 48))
    followup = tmp_path / "followup.png"
    assert model(followup, followup).shape == (1, *seen.shape)
    written, overlay = predict_files(model, followup, tmp_path / "map.png")
    change = read_target(written, "magnitude")
    assert change.shape == seen.shape
    assert np.abs(change - seen).mean() < 0.01
    assert overlay.is_file()


def test_a_map_is_written_onto_the_stored_pixels_of_a_dicom_file(tmp_path, model, picture):
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1", "1.2.3"
    dataset.set_pixel_data(picture, "MONOCHROME2", 8, generate_instance_uid=False)
    dataset.PatientOrientation, dataset.PixelSpacing = ["H", "R"], [0.2, 0.4]
    followup = tmp_path / "followup.dcm"
    dataset.save_as(followup, enforce_file_format=True)
    assert read_image(followup).shape == (32, 48)
    predict_files(model, followup, tmp_path / "map.npy")
    written = np.load(tmp_path / "map.npy")
    assert written.shape == picture.shape
    assert np.abs(written - picture / 255).mean() < 0.01


class Difference(nn.Module):
    """Calls the difference of the two a change map."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, baseline: Tensor, followup: Tensor) -> Tensor:
        """Their difference."""
        return self.weight * (followup - baseline).abs()


@pytest.fixture
def moved(tmp_path):
    """A followup, and a baseline that is the same a sixteenth of the side further to the right."""
    rows = interpolate(
        torch.rand(1, 1, 12, 12, generator=torch.Generator().manual_seed(0)), size=(64, 68), mode="bicubic"
    )
    pixels = np.round(255 * rows[0, 0].clamp(0, 1).numpy()).astype(np.uint8)
    paths = tmp_path / "baseline.png", tmp_path / "followup.png"
    for path, columns in zip(paths, (slice(0, 64), slice(4, 68)), strict=True):
        Image.fromarray(pixels[:, columns]).save(path)
    return paths


def aligning(align: bool) -> ChangeModel:
    preprocessing = Preprocessing(
        network="tests:Difference",
        image_size=64,
        framing="pad",
        intensity="dicom",
        change="magnitude",
        align=align,
    )
    return ChangeModel(Difference(), preprocessing)


def test_the_baseline_is_laid_on_the_followup_as_in_training(moved):
    apart, together = aligning(False)(*moved)[0], aligning(True)(*moved)[0]
    assert apart.mean() > 0.1
    assert together.mean() < 0.03
    assert not together[:, -4:].any()  # which the baseline does not reach


def test_without_a_good_fit_nothing_is_moved_and_it_is_said(tmp_path, moved, caplog):
    Image.fromarray(np.full((64, 64), 90, np.uint8)).save(tmp_path / "flat.png")
    change = aligning(True)(tmp_path / "flat.png", moved[1])
    assert torch.equal(change, aligning(False)(tmp_path / "flat.png", moved[1]))
    assert "not aligned" in caplog.text


def test_a_folder_says_whether_its_model_aligns(tmp_path):
    data = DataConfig(align=True, intensity="equalised")
    save_network(
        Echo(), tmp_path / "generator", Preprocessing.of("tests.gan.run.test_change_model:Echo", data)
    )
    _, preprocessing = load_network(tmp_path / "generator", trusted=ANY)
    assert (preprocessing.align, preprocessing.intensity) == (True, "equalised")
    file = tmp_path / "generator" / "preprocessing.json"
    older = {name: value for name, value in json.loads(file.read_text()).items() if name != "align"}
    file.write_text(json.dumps(older))
    file.with_name("SHA256SUMS").unlink()
    assert load_network(tmp_path / "generator", trusted=ANY)[1].align is False


def test_a_model_is_had_from_a_run_its_folder_and_the_hub(tmp_path, monkeypatch, moved):
    spec = "tests.gan.run.test_change_model:Difference"
    folder = tmp_path / "run" / "generator"
    save_network(Difference(), folder, Preprocessing.of(spec, DataConfig(image_size=64)))
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda name, **_: {"owner/name": folder}[name])
    maps = [
        ChangeModel.load(place, trust_remote_code=True)(*moved)
        for place in (tmp_path / "run", folder, str(folder), "owner/name")
    ]
    assert all(torch.equal(change, maps[0]) for change in maps)
