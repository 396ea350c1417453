"""What holds for every network: sizes, modes, batches, gradients, saving."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import networks
from networks import PRESETS, NetworkConfig

TINY = PRESETS["tiny"]


@dataclass(frozen=True)
class Case:
    build: Callable[[NetworkConfig], nn.Module]
    inputs: Callable[[int, int, int], tuple[Tensor, ...]]
    output_shape: Callable[[int, int, int], tuple[int, ...]]


def images(count: int) -> Callable[[int, int, int], tuple[Tensor, ...]]:
    def draw(batch: int, height: int, width: int) -> tuple[Tensor, ...]:
        generator = torch.Generator().manual_seed(height * 1000 + width)
        return tuple(torch.rand(batch, 1, height, width, generator=generator) for _ in range(count))

    return draw


def image_and_mask(batch: int, height: int, width: int) -> tuple[Tensor, ...]:
    image, noise = images(2)(batch, height, width)
    return image, noise > 0.5


def same_size(batch: int, height: int, width: int) -> tuple[int, ...]:
    return batch, 1, height, width


def padded_sixteenth(batch: int, height: int, width: int) -> tuple[int, ...]:
    return batch, TINY.stage_channels[-1], -(-height // 32) * 2, -(-width // 32) * 2


def patch_logits(batch: int, height: int, width: int) -> tuple[int, ...]:
    return batch, 1, max(height, 24) // 8 - 2, max(width, 24) // 8 - 2


CASES = {
    "big": Case(lambda c: networks.LongitudinalMIMModelBig(config=c), images(2), same_size),
    "big-signed": Case(
        lambda c: networks.LongitudinalMIMModelBig(config=c, change="signed"), images(2), same_size
    ),
    "longitudinal": Case(lambda c: networks.LongitudinalMIMModel(config=c), images(2), same_size),
    "unet": Case(lambda c: networks.EarlyFusionUNet(config=c), images(2), same_size),
    "unet-signed": Case(lambda c: networks.EarlyFusionUNet(config=c, change="signed"), images(2), same_size),
    "masked": Case(
        lambda c: networks.MaskedReconstructionModel(config=c, patch_size=8), image_and_mask, same_size
    ),
    "classification": Case(
        lambda c: networks.ClassificationModel(config=c), images(1), lambda b, *_: (b, 14)
    ),
    "contrastive": Case(lambda c: networks.ContrastiveEncoder(config=c), images(1), lambda b, *_: (b, 128)),
    "encoder": Case(lambda c: networks.BottleneckEncoder(c), images(1), padded_sixteenth),
    "discriminator": Case(lambda _: networks.Discriminator(base_channels=8), images(3), patch_logits),
    "discriminator-groupnorm": Case(
        lambda _: networks.Discriminator(base_channels=8, spectral_norm=False), images(3), patch_logits
    ),
}
every_model = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@every_model
@pytest.mark.parametrize("size", [(64, 64), (50, 70), (96, 33), (17, 20)], ids=str)
@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
def test_every_size_gives_finite_output_of_the_documented_shape(
    case: Case, size: tuple[int, int], training: bool
) -> None:
    model = case.build(TINY).train(training)
    with torch.no_grad():
        output = model(*case.inputs(2, *size))
    assert output.shape == case.output_shape(2, *size)
    assert output.dtype == torch.float32
    assert output.isfinite().all()
    assert output.std() > 0


@every_model
def test_batch_of_one_gives_what_the_batch_gives(case: Case) -> None:
    inputs = case.inputs(3, 64, 96)
    # Training mode would move the power iteration of spectral norm between calls, and the projection of the
    # contrastive encoder, which is not handed on, normalises over the batch; nothing else differs.
    model = case.build(TINY).train()
    for module in model.modules():
        if isinstance(module, nn.utils.parametrizations._SpectralNorm | nn.BatchNorm1d):
            module.eval()
    with torch.no_grad():
        together = model(*inputs)
        alone = torch.cat([model(*(x[i : i + 1] for x in inputs)) for i in range(3)])
    torch.testing.assert_close(alone, together, rtol=1e-4, atol=1e-5)


@every_model
def test_gradients_reach_every_parameter(case: Case) -> None:
    model = case.build(TINY)
    output = model(*case.inputs(2, 64, 64))
    (output * torch.randn_like(output)).sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        # Softmax does not feel a constant added to every key.
        assert name.endswith("k_proj.bias") or parameter.grad.abs().max() > 0, name


@every_model
def test_forward_leaves_inputs_alone_and_repeats_itself(case: Case) -> None:
    inputs = case.inputs(2, 50, 64)
    copies = [x.clone() for x in inputs]
    model = case.build(TINY).eval()
    with torch.no_grad():
        first, second = model(*inputs), model(*inputs)
    assert torch.equal(first, second)
    assert all(torch.equal(x, copy) for x, copy in zip(inputs, copies, strict=True))


@every_model
def test_save_and_load_give_the_same_network(case: Case, tmp_path, capsys) -> None:
    model = case.build(replace(TINY, residual_blocks=1)).eval()
    model.save_pretrained(tmp_path)
    assert {"config.json", "model.safetensors"} <= {path.name for path in tmp_path.iterdir()}
    loaded = type(model).from_pretrained(tmp_path)
    assert not loaded.training
    assert loaded.hub_config() == model.hub_config()
    inputs = case.inputs(1, 64, 64)
    with torch.no_grad():
        assert torch.equal(loaded(*inputs), model(*inputs))
    assert capsys.readouterr().out == ""


@every_model
def test_channels_last_changes_the_layout_only(case: Case, tmp_path) -> None:
    model = case.build(TINY).eval()
    inputs = case.inputs(2, 64, 64)
    with torch.no_grad():
        expected = model(*inputs)
        model.to(memory_format=torch.channels_last)
        torch.testing.assert_close(model(*inputs), expected, rtol=1e-2, atol=1e-4)
    model.save_pretrained(tmp_path)
    with torch.no_grad():
        torch.testing.assert_close(
            type(model).from_pretrained(tmp_path)(*inputs), expected, rtol=1e-2, atol=1e-4
        )


@pytest.mark.parametrize("name", ["big", "longitudinal", "masked"])
def test_recomputed_activations_give_the_same_gradients(name: str) -> None:
    case, gradients = CASES[name], []
    for recompute in (False, True):
        torch.manual_seed(0)
        model = case.build(replace(TINY, checkpoint_activations=recompute))
        model(*case.inputs(1, 64, 64)).sum().backward()
        gradients.append({name: p.grad for name, p in model.named_parameters()})
    for parameter, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][parameter], gradient)


@pytest.mark.parametrize("preset", ["tiny", "small"])
def test_presets_build_the_same_classes_at_their_width(preset: str) -> None:
    with torch.device("meta"):
        model = networks.LongitudinalMIMModelBig(config=PRESETS[preset])
        output = model(*(torch.empty(1, 1, 128, 96) for _ in range(2)))
    assert output.shape == (1, 1, 128, 96)


def count(build: Callable[[], nn.Module]) -> float:
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in build().parameters()) / 1e6


@pytest.mark.parametrize(
    ("build", "budget", "tolerance"),
    [
        (networks.LongitudinalMIMModelBig, 180, 0.10),
        (networks.LongitudinalMIMModel, 120, 0.10),
        (networks.MaskedReconstructionModel, 100, 0.15),
        (networks.BottleneckEncoder, 109, 0.05),
        (lambda: networks.LongitudinalMIMModelBig(config=PRESETS["small"]), 30, 0.2),
        (lambda: networks.LongitudinalMIMModelBig(config=PRESETS["tiny"]), 2, 0.3),
    ],
)
def test_parameter_budget_in_millions(build: Any, budget: float, tolerance: float) -> None:
    assert count(build) == pytest.approx(budget, rel=tolerance)


def test_base_is_the_default_and_the_reference() -> None:
    assert PRESETS["base"] == NetworkConfig()
    assert list(PRESETS) == ["tiny", "small", "base"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("build", "inputs", "shape"),
    [
        (networks.LongitudinalMIMModelBig, images(2), (1, 1, 512, 512)),
        (networks.LongitudinalMIMModel, images(2), (1, 1, 512, 512)),
        (networks.MaskedReconstructionModel, image_and_mask, (1, 1, 512, 512)),
        (networks.ClassificationModel, images(1), (1, 14)),
        (networks.ContrastiveEncoder, images(1), (1, 128)),
        (networks.BottleneckEncoder, images(1), (1, 640, 32, 32)),
        (networks.Discriminator, images(3), (1, 1, 62, 62)),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_full_size_without_arguments(build: Any, inputs: Any, shape: tuple[int, ...]) -> None:
    with torch.inference_mode():
        output = build().eval()(*inputs(1, 512, 512))
    assert output.shape == shape
    assert output.isfinite().all()
