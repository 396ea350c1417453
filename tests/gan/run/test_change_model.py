"""A map comes back on the pixels of the followup, however its file lies."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from data import read_image, read_target
from gan.predict.pair import predict_files
from gan.run.change_model import ChangeModel
from gan.run.handover import Preprocessing


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
    written, overlay = predict_files(model, followup, followup, tmp_path / "map.png")
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
    predict_files(model, followup, followup, tmp_path / "map.npy")
    written = np.load(tmp_path / "map.npy")
    assert written.shape == picture.shape
    assert np.abs(written - picture / 255).mean() < 0.01
