from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision.models import VGG16_Weights, vgg

from losses import PerceptualLoss, VGGFeatures


def _convolutions(layout: str) -> nn.Sequential:
    torch.manual_seed(0)
    return vgg.make_layers(vgg.cfgs[layout])


@pytest.fixture(scope="module")
def vgg16() -> nn.Sequential:
    return _convolutions("D").eval()


@pytest.fixture(scope="module")
def vgg16_file(tmp_path_factory, vgg16) -> Path:
    path = tmp_path_factory.mktemp("vgg") / "vgg16.pth"
    # As torchvision saves it: the whole model, here with a classifier of one tensor.
    state = {f"features.{name}": value for name, value in vgg16.state_dict().items()}
    torch.save(state | {"classifier.0.bias": torch.zeros(1)}, path)
    return path


def test_features_are_the_activations_before_each_pooling(vgg16, vgg16_file):
    image = torch.rand(2, 1, 32, 32)
    features = VGGFeatures("vgg16", vgg16_file)(image)
    assert [tuple(item.shape[1:]) for item in features] == [
        (64, 32, 32), (128, 16, 16), (256, 8, 8), (512, 4, 4), (512, 2, 2)
    ]  # fmt: skip
    normalised = (image - torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)) / torch.tensor(
        [0.229, 0.224, 0.225]
    ).view(3, 1, 1)
    for end, feature in zip((4, 9, 16, 23, 30), features, strict=True):
        torch.testing.assert_close(feature, vgg16[:end](normalised))


def test_vgg19_from_a_file_of_its_features_only(tmp_path):
    torch.save(_convolutions("E").state_dict(), tmp_path / "features.pth")
    features = VGGFeatures("vgg19", tmp_path / "features.pth")(torch.rand(1, 1, 32, 32))
    assert [item.shape[1] for item in features] == [64, 128, 256, 512, 512]


def test_safetensors(tmp_path, vgg16, vgg16_file):
    save_file(vgg16.state_dict(), tmp_path / "vgg16.safetensors")
    image = torch.rand(1, 1, 32, 32)
    ours, theirs = (VGGFeatures("vgg16", path) for path in (tmp_path / "vgg16.safetensors", vgg16_file))
    assert all(torch.equal(a, b) for a, b in zip(ours(image), theirs(image), strict=True))


def test_nothing_is_trained_but_the_gradient_passes(vgg16_file):
    features = VGGFeatures("vgg16", vgg16_file)
    assert not any(parameter.requires_grad for parameter in features.parameters())
    assert not features.training
    prediction = torch.rand(1, 1, 32, 32, requires_grad=True)
    PerceptualLoss(features)(prediction, torch.rand(1, 1, 32, 32)).backward()
    assert prediction.grad.abs().sum() > 0


def test_downloads_only_when_asked(vgg16, vgg16_file, monkeypatch):
    asked = []

    def download(*_args, **_kwargs):
        asked.append(True)
        return {f"features.{name}": value for name, value in vgg16.state_dict().items()}

    monkeypatch.setattr(VGG16_Weights, "get_state_dict", download)
    VGGFeatures("vgg16", vgg16_file)
    assert not asked
    VGGFeatures("vgg16", "torchvision")
    assert asked


def test_a_failed_download_names_the_remedy(monkeypatch):
    def offline(*_args, **_kwargs):
        raise OSError("no route to host")

    monkeypatch.setattr(VGG16_Weights, "get_state_dict", offline)
    with pytest.raises(
        ValueError, match=r"vgg16 could not be downloaded \(no route to host\).*give the file"
    ):
        VGGFeatures("vgg16", "torchvision")


def _write_nothing(_path: Path) -> None:
    pass


def _write_text(path: Path) -> None:
    path.write_text("no weights")


def _write_vgg19(path: Path) -> None:
    torch.save(_convolutions("E").state_dict(), path)


def _write_checkpoint(path: Path) -> None:
    torch.save({"step": 1, "model": {"0.weight": torch.zeros(1)}}, path)


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        (_write_nothing, "does not exist"),
        (_write_text, "is not a readable file of weights"),
        (_write_checkpoint, "does not hold a state dict"),
        (_write_vgg19, "holds the weights of another network than vgg16"),
    ],
)
def test_wrong_files_are_refused_in_one_line(tmp_path, write, reason):
    path = tmp_path / "weights.pth"
    write(path)
    with pytest.raises(ValueError, match=reason) as caught:
        VGGFeatures("vgg16", path)
    assert str(path) in str(caught.value)
    assert "torchvision" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unknown_name(tmp_path):
    with pytest.raises(ValueError, match="'vgg11' is no VGG network; choose one of vgg16, vgg19"):
        VGGFeatures("vgg11", tmp_path)
