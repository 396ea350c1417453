"""Any encoder that meets the contract, under every model."""

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import networks
from networks import PRESETS, BottleneckEncoder, Encoder, LongitudinalMIMModelBig, perceptual_features
from tests.networks import encoders

TINY = replace(PRESETS["tiny"], decoder_channels=(12, 8, 8, 4), residual_blocks=1)
WIDTHS = (4, 6, 8, 10, 12)
MODELS: dict[str, Callable[..., nn.Module]] = {
    "big": networks.LongitudinalMIMModelBig,
    "longitudinal": networks.LongitudinalMIMModel,
    "masked": networks.MaskedReconstructionModel,
    "classification": networks.ClassificationModel,
    "contrastive": networks.ContrastiveEncoder,
}
ENCODERS: dict[str, Callable[[], Any]] = {
    "strided": lambda: encoders.Strided(WIDTHS),
    "shrinking": encoders.Shrinking,
    "bottleneck": lambda: BottleneckEncoder(TINY),
}
every_model = pytest.mark.parametrize("name", MODELS)
every_encoder = pytest.mark.parametrize("encoder", ENCODERS.values(), ids=ENCODERS.keys())


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def build(name: str, encoder: Callable[[], Any]) -> nn.Module:
    return MODELS[name](config=TINY, encoder=encoder())


def run(name: str, model: nn.Module, height: int, width: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(2, 2, 1, height, width, generator=generator)
    if name == "masked":
        return model(images[0], images[1] > 0.5)
    return model(*images[: 2 if name in ("big", "longitudinal") else 1])


@every_model
@every_encoder
@pytest.mark.parametrize("size", [(64, 64), (33, 50), (7, 20)], ids=str)
def test_every_size_gives_finite_output_of_the_documented_shape(name, encoder, size) -> None:
    with torch.no_grad():
        output = run(name, build(name, encoder), *size)
    vectors = {"classification": (2, 14), "contrastive": (2, 128)}
    assert output.shape == vectors.get(name, (2, 1, *size))
    assert output.isfinite().all()
    assert output.std() > 0


@every_model
@every_encoder
def test_gradients_reach_every_parameter(name, encoder) -> None:
    model = build(name, encoder)
    output = run(name, model, 64, 64)
    (output * torch.randn_like(output)).sum().backward()
    for parameter_name, parameter in model.named_parameters():
        assert parameter.grad is not None, parameter_name
        # Softmax does not feel a constant added to every key, nor a difference one added to both features.
        unfelt = parameter_name.endswith(("k_proj.bias", "mix.bias"))
        assert unfelt or parameter.grad.abs().max() > 0, parameter_name


@every_model
@every_encoder
def test_save_and_load_build_the_same_encoder_again(name, encoder, tmp_path: Path) -> None:
    model = build(name, encoder).eval()
    model.save_pretrained(tmp_path)
    loaded = type(model).from_pretrained(tmp_path, trust_remote_code=True)
    assert type(loaded.encoder) is type(model.encoder)
    assert json.loads(json.dumps(loaded.hub_config())) == json.loads(json.dumps(model.hub_config()))
    with torch.no_grad():
        assert torch.equal(run(name, loaded, 33, 50), run(name, model, 33, 50))


def test_a_saved_folder_names_the_encoder_and_its_arguments(tmp_path: Path) -> None:
    build("big", ENCODERS["strided"]).save_pretrained(tmp_path / "strided")
    build("big", ENCODERS["bottleneck"]).save_pretrained(tmp_path / "ours")
    strided, ours = (
        json.loads((tmp_path / folder / "config.json").read_text())["encoder"]
        for folder in ("strided", "ours")
    )
    assert strided == {"class": "tests.networks.encoders:Strided", "widths": list(WIDTHS), "in_channels": 1}
    assert ours["class"] == "networks:BottleneckEncoder"
    assert networks.NetworkConfig(**ours["config"]) == TINY
    LongitudinalMIMModelBig.from_pretrained(tmp_path / "ours")  # needs no trust


def test_code_from_elsewhere_runs_only_if_allowed(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "intruder.py").write_text("raise SystemExit('ran')")
    monkeypatch.syspath_prepend(tmp_path)
    model = build("big", ENCODERS["strided"])
    model.save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(path.read_text().replace("tests.networks.encoders:Strided", "intruder:Strided"))
    with pytest.raises(ValueError, match=r"config\.json: intruder:Strided is not of networks") as error:
        LongitudinalMIMModelBig.from_pretrained(tmp_path)
    assert "\n" not in str(error.value)
    loaded = LongitudinalMIMModelBig.from_pretrained(tmp_path, encoder=encoders.Strided(WIDTHS))
    assert torch.equal(loaded.encoder.layers[0].weight, model.encoder.layers[0].weight)
    with pytest.raises(SystemExit, match="ran"):
        LongitudinalMIMModelBig.from_pretrained(tmp_path, trust_remote_code=True)


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        ("tests.networks.encoders:Absent", "has no attribute 'Absent'"),
        ("absent.module:Net", "No module named 'absent'"),
        ("json:loads", "json:loads is not a torch.nn.Module class"),
        ("networks:load_imagenet_weights", "networks:load_imagenet_weights is not a torch.nn.Module class"),
        ("networks:DecoderBlock", "unexpected keyword argument 'widths'"),
        ("", " is not of networks"),
    ],
)
def test_a_class_that_cannot_be_had_is_named(spec: str, complaint: str, tmp_path: Path) -> None:
    build("big", ENCODERS["strided"]).save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(path.read_text().replace("tests.networks.encoders:Strided", spec))
    trusted = {"trust_remote_code": bool(spec)}
    with pytest.raises(ValueError, match=rf"config\.json: .*{complaint}") as error:
        LongitudinalMIMModelBig.from_pretrained(tmp_path, **trusted)
    assert "\n" not in str(error.value)


def test_another_width_is_named(tmp_path: Path) -> None:
    build("longitudinal", ENCODERS["strided"]).save_pretrained(tmp_path)
    wider = encoders.Strided((8, *WIDTHS[1:]))
    with pytest.raises(
        ValueError, match=r"not the weights of this LongitudinalMIMModel .*encoder\.layers"
    ) as error:
        networks.LongitudinalMIMModel.from_pretrained(tmp_path, encoder=wider)
    assert "\n" not in str(error.value)


def test_an_encoder_with_required_arguments_can_be_copied() -> None:
    model = build("big", ENCODERS["strided"])
    twin = copy.deepcopy(model)
    assert twin.hub_config() == model.hub_config()
    assert twin.encoder is twin._arguments["encoder"]
    assert twin.encoder is not model.encoder


@every_model
@pytest.mark.parametrize(
    ("encoder", "complaint"),
    [
        (encoders.Headless, "Headless is not an nn.Module that meets networks.Encoder"),
        (lambda: nn.Conv2d(1, 1, 1), "Conv2d is not an nn.Module that meets"),
        (lambda: encoders.Strided(WIDTHS[1:]), r"skip_channels=\[6, 8, 10\] of the encoder are not 4 widths"),
    ],
)
def test_what_breaks_the_contract_is_refused(name, encoder, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        build(name, encoder)


@every_encoder
def test_the_contract_is_declared(encoder) -> None:
    assert isinstance(encoder(), Encoder)
    assert not isinstance(nn.Conv2d(1, 1, 1), Encoder)


def test_features_of_a_perceptual_distance_are_the_local_ones_where_there_are_any() -> None:
    ours, plain = BottleneckEncoder(TINY), encoders.Shrinking()
    assert perceptual_features(ours) == ours.convolutional_features
    assert perceptual_features(plain) == plain.forward_features


@every_model
def test_the_default_is_the_bottleneck_encoder_with_the_same_random_numbers(name) -> None:
    torch.manual_seed(3)
    default = MODELS[name](config=TINY)
    torch.manual_seed(3)
    if name == "masked":
        networks.init.embedding(1, 1, 32, 32)  # the mask token comes first
    expected = BottleneckEncoder(TINY).state_dict()
    found = default.encoder.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], tensor) for key, tensor in expected.items())


@pytest.mark.parametrize("name", ["classification", "contrastive"])
def test_training_and_evaluation_see_the_same_without_a_drop_rate(name) -> None:
    model = MODELS[name](config=TINY).train()
    if name == "contrastive":  # its projection normalises over the batch, and is not handed on
        model.projection.eval()
    with torch.no_grad():
        assert torch.equal(run(name, model, 64, 64), run(name, model.eval(), 64, 64))


def test_embeddings_of_images_that_are_much_alike_lie_apart_in_training() -> None:
    """Radiographs are: without the projection's norm all embeddings are one, and nothing is learnt."""
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(1, 1, 64, 64, generator=generator) + 0.02 * torch.rand(
        8, 1, 64, 64, generator=generator
    )
    with torch.no_grad():
        embeddings = networks.ContrastiveEncoder(config=TINY).train()(images)
    cosines = embeddings @ embeddings.T
    assert cosines[~torch.eye(8, dtype=torch.bool)].mean() < 0.2


def test_an_embedding_needs_a_length() -> None:
    with pytest.raises(ValueError, match="embedding_dim=0 is not a positive number"):
        networks.ContrastiveEncoder(embedding_dim=0, config=TINY)
