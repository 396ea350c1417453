"""Initialisation, its switch, and a frozen encoder."""

import math

import pytest
import torch
from torch import nn

import networks
from networks import PRESETS, BottleneckEncoder, LongitudinalMIMModelBig

TINY = PRESETS["tiny"]


@pytest.fixture
def model() -> LongitudinalMIMModelBig:
    torch.manual_seed(0)
    return LongitudinalMIMModelBig(config=TINY)


def test_weights_start_as_documented(model: LongitudinalMIMModelBig) -> None:
    convolution = model.fusion.local.weight  # fan_in 256 * 9
    assert convolution.std().item() == pytest.approx(math.sqrt(2 / convolution[0].numel()), rel=0.02)
    assert convolution.abs().max() > 3 * convolution.std()  # normal, not uniform
    depthwise = model.encoder.efficientnet.blocks[5].depthwise_conv.depthwise_conv.weight
    assert depthwise.std().item() == pytest.approx(math.sqrt(2 / depthwise[0].numel()), rel=0.1)
    linear = model.encoder.bottleneck.transformer.layers[0].mlp.fc1.weight
    assert linear.std().item() == pytest.approx(networks.INIT_STD, rel=0.02)
    positions = model.encoder.bottleneck.transformer.embeddings.positions
    assert positions.std().item() == pytest.approx(networks.INIT_STD, rel=0.05)
    for module in model.modules():
        if isinstance(module, nn.GroupNorm | nn.LayerNorm):
            assert (module.weight == 1).all()
            assert (module.bias == 0).all()


def test_switch_keeps_the_defaults_of_the_layers(monkeypatch) -> None:
    monkeypatch.setattr("networks.constants.INIT_WEIGHTS", False)
    torch.manual_seed(0)
    model = LongitudinalMIMModelBig(config=TINY)
    convolution = model.fusion.local.weight  # torch: uniform within 1 / sqrt(fan_in)
    bound = 1 / math.sqrt(convolution[0].numel())
    assert convolution.abs().max() <= bound
    assert convolution.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.02)
    assert model.head.pointwise.bias.item() > -1


def test_a_frozen_encoder_gets_no_gradients_and_passes_them_on(model: LongitudinalMIMModelBig) -> None:
    for parameter in model.encoder.parameters():
        parameter.requires_grad = False
    model(*torch.rand(2, 1, 1, 64, 64)).mean().backward()
    frozen = {name for name, p in model.named_parameters() if p.grad is None}
    assert frozen == {name for name, _ in model.named_parameters() if name.startswith("encoder.")}

    model.encoder.requires_grad_(True)
    model(*torch.rand(2, 1, 1, 64, 64)).mean().backward()
    assert all(p.grad is not None for p in model.parameters())


def test_same_seed_same_weights() -> None:
    states = []
    for _ in range(2):
        torch.manual_seed(3)
        states.append(BottleneckEncoder(TINY).state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
