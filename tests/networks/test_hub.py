"""Folders written by save_pretrained: every argument survives, mistakes are named."""

import copy
import functools
import json
import types
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from networks import (
    PRESETS,
    BottleneckEncoder,
    ClassificationModel,
    Discriminator,
    LongitudinalMIMModel,
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
    LongitudinalMIMModel(config=TINY).save_pretrained(tmp_path)  # of the same arguments
    with pytest.raises(
        ValueError, match=r"not the weights of this LongitudinalMIMModelBig .*size mismatch"
    ) as error:
        LongitudinalMIMModelBig.from_pretrained(tmp_path)
    assert "\n" not in str(error.value)


def test_a_tensor_too_few_or_too_many_is_named(tmp_path: Path) -> None:
    Discriminator(base_channels=4).save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    weights["surplus"] = weights.pop("scales.0.head.bias")
    save_file(weights, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"Missing .*scales.0.head.bias.* Unexpected .*surplus") as error:
        Discriminator.from_pretrained(tmp_path)
    assert "\n" not in str(error.value)


def test_broken_weights_are_named(tmp_path: Path) -> None:
    BottleneckEncoder(TINY).save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(ValueError, match=r"model\.safetensors: not the weights of this BottleneckEncoder"):
        BottleneckEncoder.from_pretrained(tmp_path)


@pytest.mark.parametrize("text", ["{", "3", "[1]"])
def test_a_broken_config_is_named(text: str, tmp_path: Path) -> None:
    BottleneckEncoder(TINY).save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ValueError, match=r"config\.json: ") as error:
        BottleneckEncoder.from_pretrained(tmp_path)
    assert "\n" not in str(error.value)


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / "config.json"
    written = json.loads(path.read_text())
    change(written)
    path.write_text(json.dumps(written))


@pytest.mark.parametrize("part", [[], ["config"]], ids=["argument", "config"])
def test_keys_that_nothing_knows_are_refused(part: list[str], tmp_path: Path) -> None:
    LongitudinalMIMModel(config=TINY).save_pretrained(tmp_path)
    edit(tmp_path, lambda written: functools.reduce(dict.get, part, written).update(colour=1))
    with pytest.raises(ValueError, match=r"config\.json: .*unexpected keyword argument 'colour'") as error:
        LongitudinalMIMModel.from_pretrained(tmp_path)
    assert "\n" not in str(error.value)


def test_an_impossible_size_is_named_with_its_file(tmp_path: Path) -> None:
    BottleneckEncoder(TINY).save_pretrained(tmp_path)
    edit(tmp_path, lambda written: written["config"].update(attention_heads=5))
    with pytest.raises(ValueError, match=r"config\.json: attention_heads=5 does not divide"):
        BottleneckEncoder.from_pretrained(tmp_path)


def test_a_folder_of_before_there_were_other_encoders_loads(tmp_path: Path) -> None:
    model = ClassificationModel(labels_num=2, config=TINY)
    model.save_pretrained(tmp_path)
    edit(tmp_path, lambda written: [written.pop(name) for name in ("encoder", "labels")])
    loaded = ClassificationModel.from_pretrained(tmp_path)
    assert all(torch.equal(tensor, loaded.state_dict()[name]) for name, tensor in model.state_dict().items())


def test_a_classifier_knows_its_labels(tmp_path: Path) -> None:
    ClassificationModel(labels_num=2, config=TINY, labels=("effusion", "device")).save_pretrained(tmp_path)
    assert ClassificationModel.from_pretrained(tmp_path).labels == ("effusion", "device")
    with pytest.raises(ValueError, match=r"labels=\['a', 'a'\] are not labels_num=2 different names"):
        ClassificationModel(labels_num=2, config=TINY, labels=["a", "a"])
    with pytest.raises(ValueError, match=r"labels=\['a'\] are not labels_num=14 different names"):
        ClassificationModel(config=TINY, labels=["a"])


def test_nothing_of_the_mixin_is_lost_on_the_way_to_the_hub(monkeypatch) -> None:
    """`push_to_hub` saves into a folder of its own; what it would upload is a saved model."""
    saved: dict[str, Any] = {}

    class Api:
        def __init__(self, **_: Any) -> None: ...

        def create_repo(self, repo_id: str, **_: Any) -> Any:
            return types.SimpleNamespace(repo_id=repo_id)

        def upload_folder(self, *, folder_path: Path, **_: Any) -> str:
            saved["config"] = BottleneckEncoder.from_pretrained(folder_path).config
            return "done"

    monkeypatch.setattr("huggingface_hub.hub_mixin.HfApi", Api)
    assert BottleneckEncoder(TINY).push_to_hub("owner/name") == "done"
    assert saved["config"] == TINY


def test_a_hub_id_is_downloaded_with_the_options_for_the_hub(tmp_path: Path, monkeypatch) -> None:
    BottleneckEncoder(TINY).save_pretrained(tmp_path)
    asked: list[tuple[Any, Any]] = []

    def download(repo_id: str, **options: Any) -> str:
        asked.append((repo_id, options))
        return str(tmp_path)

    monkeypatch.setattr("networks.hub.snapshot_download", download)
    assert BottleneckEncoder.from_pretrained("owner/name", revision="v1").config == TINY
    files = ["config.json", "model.safetensors"]
    assert asked == [("owner/name", {"revision": "v1", "allow_patterns": files})]
