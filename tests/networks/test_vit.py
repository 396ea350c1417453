"""Feature maps of vision transformers from local folders, here random ones of small width."""

import json

import pytest
import torch
from transformers import Dinov2Config, Dinov2Model, ResNetConfig, ResNetModel, ViTConfig, ViTModel

from networks import ViTFeatures

SIZES = {"hidden_size": 8, "num_hidden_layers": 3, "num_attention_heads": 2}
MEAN, STD = [0.5, 0.4, 0.3], [0.2, 0.3, 0.4]


def save(model, folder, **preprocessor):
    model.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    return folder


@pytest.fixture
def vit(tmp_path):
    torch.manual_seed(0)
    config = ViTConfig(**SIZES, intermediate_size=16, image_size=32, patch_size=16)
    return save(ViTModel(config), tmp_path / "vit", image_mean=MEAN, image_std=STD)


@pytest.fixture
def dino(tmp_path):
    torch.manual_seed(0)
    config = Dinov2Config(**SIZES, mlp_ratio=2, image_size=28, patch_size=14)
    return save(Dinov2Model(config), tmp_path / "dino", image_mean=MEAN, image_std=STD)


def test_patches_of_hidden_states_lie_where_they_are_in_the_image(vit):
    features = ViTFeatures(vit, layers=2)
    image = torch.rand(2, 1, 32, 32)
    maps = features(image)
    assert [tuple(layer.shape) for layer in maps] == [(2, 8, 2, 2)] * 2
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    states = ViTModel.from_pretrained(vit)((image - mean) / std, output_hidden_states=True).hidden_states
    for layer, depth in zip(maps, (2, 3), strict=True):
        torch.testing.assert_close(layer[:, :, 0, 1], states[depth][:, 2])


def test_any_size_is_taken_and_gradients_reach_the_image_only(dino):
    features = ViTFeatures(dino)
    image = torch.rand(1, 1, 64, 40, requires_grad=True)
    maps = features(image)
    assert [tuple(layer.shape) for layer in maps] == [(1, 8, 5, 3)] * 3
    maps[0].square().sum().backward()
    assert image.grad.abs().sum() > 0
    assert not any(parameter.requires_grad for parameter in features.parameters())


def test_what_is_no_vision_transformer_is_named(tmp_path, vit):
    with pytest.raises(ValueError, match="absent: no such folder; give one in Hugging Face layout"):
        ViTFeatures(tmp_path / "absent")
    config = ResNetConfig(embedding_size=4, hidden_sizes=[4], depths=[1])
    resnet = save(ResNetModel(config), tmp_path / "resnet", image_mean=MEAN, image_std=STD)
    with pytest.raises(ValueError, match="resnet is no vision transformer"):
        ViTFeatures(resnet)
    (vit / "preprocessor_config.json").write_text("{}")
    with pytest.raises(ValueError, match=r"preprocessor_config.json does not say image_mean .*copy it from"):
        ViTFeatures(vit)
