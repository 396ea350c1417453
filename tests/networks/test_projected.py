"""Heads on the features of frozen networks: what is judged, what learns, what stays."""

import copy
import json

import pytest
import torch
from transformers import ViTConfig, ViTModel

from networks import (
    BottleneckEncoder,
    NetworkConfig,
    ProjectedDiscriminator,
    ViTFeatures,
    perceptual_features,
)
from tests.micro import MICRO_SIZES


def draw(*shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    return BottleneckEncoder(NetworkConfig(**MICRO_SIZES))


@pytest.fixture(scope="module")
def vit_folder(tmp_path_factory):
    """A tiny random ViT as the hub lays one out."""
    folder = tmp_path_factory.mktemp("vit")
    sizes = {"hidden_size": 8, "num_hidden_layers": 4, "num_attention_heads": 2, "intermediate_size": 8}
    torch.manual_seed(0)
    ViTModel(ViTConfig(image_size=32, patch_size=8, **sizes)).save_pretrained(folder)
    known = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.25, 0.25, 0.25]}
    (folder / "preprocessor_config.json").write_text(json.dumps(known))
    return folder


def test_every_layer_of_an_encoder_is_judged(encoder):
    model = ProjectedDiscriminator(perceptual_features(encoder), base_channels=4)
    logits = model(*draw(3, 2, 1, 32, 32))
    assert [tuple(scale.shape) for scale in logits] == [(2, 1, side, side) for side in (32, 16, 8, 4, 2)]


def test_a_transformer_from_a_folder_serves_as_well(vit_folder):
    model = ProjectedDiscriminator(ViTFeatures(vit_folder), base_channels=4)
    logits = model(*draw(3, 2, 1, 48, 32))
    assert [tuple(scale.shape) for scale in logits] == [(2, 1, 6, 4)] * 4
    model(*draw(3, 2, 1, 48, 32))[0].sum().backward()
    assert all(parameter.grad is not None for parameter in model.heads[0].parameters())


def test_heads_learn_and_features_stay(encoder):
    model = ProjectedDiscriminator(perceptual_features(encoder), base_channels=4)
    before = copy.deepcopy(model.network.state_dict())
    assert not any(parameter.requires_grad for parameter in model.network.parameters())
    assert all(parameter.requires_grad for parameter in model.heads.parameters())
    assert model.training
    assert not model.network.training
    assert not model.train().network.training
    change = draw(2, 1, 32, 32).requires_grad_()
    sum(scale.mean() for scale in model(*draw(2, 2, 1, 32, 32), change)).backward()
    assert change.grad.abs().sum() > 0, "the generator learns through the features"
    assert all(torch.equal(before[name], value) for name, value in model.network.state_dict().items())


def test_all_three_images_count(encoder):
    model = ProjectedDiscriminator(perceptual_features(encoder), base_channels=4).eval()
    images = list(draw(3, 2, 1, 32, 32))
    judged = model(*images)
    for position in range(3):
        other = [image.flip(-1) if number == position else image for number, image in enumerate(images)]
        assert not torch.equal(model(*other)[0], judged[0])


def test_it_comes_back_from_its_state_whatever_it_looks_through(encoder):
    model = ProjectedDiscriminator(perceptual_features(encoder), base_channels=4).eval()
    other = BottleneckEncoder(NetworkConfig(**MICRO_SIZES))
    again = ProjectedDiscriminator(perceptual_features(other), base_channels=4).eval()
    again.load_state_dict(model.state_dict())
    images = draw(3, 2, 1, 32, 32)
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(model(*images), again(*images), strict=True))
