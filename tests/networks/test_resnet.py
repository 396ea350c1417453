"""ResNets as encoders: torchvision's own features, from grey images, at the scales of the contract."""

from pathlib import Path

import pytest
import torch
from torch import nn
from torchvision.models import resnet

from networks import (
    PRESETS,
    LongitudinalMIMModelBig,
    NetworkConfig,
    ResNet50Encoder,
    ResNetEncoder,
)

BATCH = NetworkConfig(norm="batch")


def image(height=64, width=96, channels=1):
    return torch.rand(2, channels, height, width, generator=torch.Generator().manual_seed(0))


def torchvision_weights(folder: Path, depth: int) -> tuple[resnet.ResNet, Path]:
    """A ResNet whose norms have seen data, and its state dict in a file, as torchvision publishes them."""
    torch.manual_seed(depth)
    model = getattr(resnet, f"resnet{depth}")()
    with torch.no_grad():
        model.train()(torch.randn(2, 3, 64, 64))
    torch.save(model.state_dict(), folder / "weights.pth")
    return model.eval(), folder / "weights.pth"


@pytest.mark.parametrize("depth", [18, 50])
@pytest.mark.parametrize("channels", [1, 3])
def test_features_are_those_of_torchvision(depth, channels, tmp_path):
    model, file = torchvision_weights(tmp_path, depth)
    encoder = ResNetEncoder(in_channels=channels, depth=depth)
    encoder.load_imagenet_weights(file)
    pixels = image(channels=channels)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    with torch.no_grad():
        x = (pixels.expand(-1, 3, -1, -1) - mean.view(3, 1, 1)) / std.view(3, 1, 1)
        stem = model.relu(model.bn1(model.conv1(x)))
        quarter = model.layer1(model.maxpool(stem))
        eighth = model.layer2(quarter)
        coarsest = model.layer4(model.layer3(eighth))
        *skips, bottleneck = encoder.eval().forward_features(pixels)
    assert [skip.shape[1] for skip in skips] == encoder.skip_channels
    torch.testing.assert_close(skips, [pixels, stem, quarter, eighth])
    assert bottleneck.shape == (2, encoder.out_channels, 4, 6)
    torch.testing.assert_close(bottleneck[..., ::2, ::2], coarsest)


@pytest.mark.parametrize("kind", [ResNetEncoder, ResNet50Encoder])
def test_norms_are_those_of_the_options_and_every_parameter_learns(kind):
    torch.manual_seed(0)
    encoder = kind(PRESETS["tiny"])
    groups = {layer.num_groups for layer in encoder.modules() if isinstance(layer, nn.GroupNorm)}
    assert groups == {4}
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in encoder.modules())
    features = encoder.forward_features(image())
    sum((scale * torch.randn_like(scale)).sum() for scale in features).backward()
    assert all(parameter.grad.abs().max() > 0 for parameter in encoder.parameters())
    assert any(isinstance(layer, nn.BatchNorm2d) for layer in kind(BATCH).modules())


def test_recomputed_activations_change_nothing():
    torch.manual_seed(0)
    kept, recomputed = ResNetEncoder(), ResNetEncoder(NetworkConfig(checkpoint_activations=True))
    recomputed.load_state_dict(kept.state_dict())
    for encoder in (kept, recomputed):
        encoder(image()).square().mean().backward()
    for one, other in zip(kept.parameters(), recomputed.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)


def test_a_generator_around_it_takes_any_size_and_comes_back_from_its_folder(tmp_path):
    _, file = torchvision_weights(tmp_path, 18)
    encoder = ResNetEncoder(PRESETS["tiny"])
    encoder.load_imagenet_weights(file)
    model = LongitudinalMIMModelBig(config=PRESETS["tiny"], encoder=encoder).eval()
    model.save_pretrained(tmp_path / "generator")
    again = LongitudinalMIMModelBig.from_pretrained(tmp_path / "generator")
    pair = image(33, 50)[:1], image(33, 50)[1:]
    with torch.no_grad():
        assert again(*pair).shape == (1, 1, 33, 50)
        assert torch.equal(again(*pair), model(*pair))


def test_wrong_files_are_named_and_change_nothing(tmp_path):
    _, file = torchvision_weights(tmp_path, 18)
    (tmp_path / "broken.pth").write_bytes(b"no weights")
    torch.save([1], tmp_path / "list.pth")
    encoder = ResNetEncoder(depth=34)
    for name, complaint in {
        file.name: "not the weights of this ResNet",
        "broken.pth": "not a state dict of torchvision's ResNet",
        "list.pth": "not a state dict of torchvision's ResNet",
        "absent.pth": "No such file",
    }.items():
        with pytest.raises(ValueError, match=complaint) as error:
            encoder.load_imagenet_weights(tmp_path / name)
        assert name in str(error.value)
        assert "\n" not in str(error.value)
    assert encoder.config.norm == "group"
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in encoder.modules())


def test_a_depth_or_a_colour_that_there_is_not_is_refused():
    with pytest.raises(ValueError, match="depth=20 is not one of 18, 34, 50, 101"):
        ResNetEncoder(depth=20)
    with pytest.raises(ValueError, match="in_channels=2 is not 1 or 3"):
        ResNetEncoder(in_channels=2)
