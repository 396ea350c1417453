"""Folders written by save_pretrained: every argument survives, mistakes are named."""

import copy
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from networks import (
    PRESETS,
    BottleneckEncoder,
    ClassificationModel,
    Discriminator,
    LongitudinalMIMModelBig,
    MaskedReconstructionModel,
)

TINY = PRESETS["tiny"]


def test_arguments_beside_the_config_survive(tmp_path: Path) -> None:
    config = replace(TINY, residual_blocks=1, block_idxs=(0, 4, 11, 18, 28, 38, 39, 51))
    LongitudinalMIMModelBig(1, config, change="signed").save_pretrained(tmp_path)
    loaded = LongitudinalMIMModelBig.from_pretrained(tmp_path)
    assert loaded.config == config
    assert isinstance(loaded.head.squash, torch.nn.Tanh)
    written = json.loads((tmp_path / "config.json").read_text())
    assert written["change"] == "signed"
    assert written["config"]["stage_channels"] == list(config.stage_channels)


def test_defaults_are_written_out_in_full(tmp_path: Path) -> None:
    model = MaskedReconstructionModel(config=TINY)
    model.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["patch_size"] == 32
    with torch.device("meta"):
        assert BottleneckEncoder().hub_config()["config"]["hidden_channels"] == 768


def test_an_argument_can_be_replaced_while_loading(tmp_path: Path) -> None:
    LongitudinalMIMModelBig(config=TINY).save_pretrained(tmp_path)
    recomputing = replace(TINY, checkpoint_activations=True)
    assert LongitudinalMIMModelBig.from_pretrained(tmp_path, config=recomputing).config.checkpoint_activations


def test_copies_save_like_the_original(tmp_path: Path) -> None:
    model = ClassificationModel(labels_num=3, config=TINY)
    copy.deepcopy(model).save_pretrained(tmp_path)
    assert ClassificationModel.from_pretrained(tmp_path).head.out_features == 3


def test_spectral_norm_state_survives_training(tmp_path: Path) -> None:
    model = Discriminator(base_channels=4, num_scales=2)
    for _ in range(3):
        model(torch.rand(1, 3, 64, 64))
    model.eval().save_pretrained(tmp_path)
    image = torch.rand(1, 3, 64, 64)
    loaded = Discriminator.from_pretrained(tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(loaded(image), model(image), strict=True))


def test_missing_folder_is_named_and_nothing_is_fetched(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nowhere: no such folder"):
        BottleneckEncoder.from_pretrained(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="nowhere: no such folder"):
        BottleneckEncoder.from_pretrained(str(tmp_path / "nowhere"))


def test_incomplete_folder_says_what_it_lacks(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"lacks config\.json and model\.safetensors"):
        BottleneckEncoder.from_pretrained(tmp_path)


def test_weights_of_another_width_are_refused_in_one_line(tmp_path: Path) -> None:
    BottleneckEncoder(TINY).save_pretrained(tmp_path)
    wider = replace(TINY, mlp_channels=512)
    with pytest.raises(ValueError, match=r"not the weights of this BottleneckEncoder") as error:
        BottleneckEncoder.from_pretrained(tmp_path, config=wider)
    assert "\n" not in str(error.value)


def test_weights_of_another_class_are_refused(tmp_path: Path) -> None:
    MaskedReconstructionModel(config=TINY).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"missing .* unexpected"):
        LongitudinalMIMModelBig.from_pretrained(tmp_path)


def test_broken_weights_are_named(tmp_path: Path) -> None:
    BottleneckEncoder(TINY).save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(ValueError, match=r"model\.safetensors: not a safetensors file"):
        BottleneckEncoder.from_pretrained(tmp_path)
