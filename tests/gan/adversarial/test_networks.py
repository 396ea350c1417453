"""A projected discriminator looks through the pretrained encoder, or through a transformer from a folder."""

import json
from copy import deepcopy

import pytest
import torch
from transformers import ViTConfig, ViTModel

from data.base.errors import UserError
from gan.adversarial.networks import build_discriminator
from gan.adversarial.options import PRESETS
from networks import BottleneckEncoder, NetworkConfig, ViTFeatures
from tests.micro import MICRO_SIZES


def config(**disc):
    made = deepcopy(PRESETS["tiny"])
    made.discriminator, made.network = "networks:ProjectedDiscriminator", NetworkConfig(**MICRO_SIZES)
    for name, value in disc.items():
        setattr(made.disc, name, value)
    return made


def test_it_takes_a_copy_of_the_encoder():
    encoder = BottleneckEncoder(NetworkConfig(**MICRO_SIZES))
    built = build_discriminator(config(base_channels=4, map_gain=3.0), encoder)
    assert built.map_scale.gain == 3
    assert built.network is not encoder
    assert all(parameter.requires_grad for parameter in encoder.parameters())
    ours, theirs = built.network.state_dict(), encoder.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_it_takes_a_transformer_from_a_folder(tmp_path):
    sizes = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 8}
    ViTModel(ViTConfig(image_size=32, patch_size=8, **sizes)).save_pretrained(tmp_path)
    known = {"image_mean": [0.5] * 3, "image_std": [0.25] * 3}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(known))
    built = build_discriminator(config(base_channels=4, features=tmp_path))
    assert isinstance(built.network, ViTFeatures)


@pytest.mark.parametrize(
    ("features", "words"),
    [
        (None, "--pretrained none leaves --discriminator networks:ProjectedDiscriminator without features"),
        ("absent", "--disc.features: .*absent"),
    ],
)
def test_without_features_it_cannot_be_had(features, words, tmp_path):
    with pytest.raises(UserError, match=words) as caught:
        build_discriminator(config(features=features and tmp_path / features))
    assert "\n" not in str(caught.value)
