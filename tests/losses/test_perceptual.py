import copy

import pytest
import torch
from torch import Tensor, nn

from losses import PerceptualLoss


class Extractor(nn.Module):
    """Two layers, a dropout and a batch norm: everything a careless loss could train or disturb."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Tanh())
        self.second = nn.Sequential(nn.Dropout(0.5), nn.Conv2d(4, 6, 3, stride=2, padding=1))

    def forward(self, image: Tensor) -> list[Tensor]:
        first = self.first(image)
        return [first, self.second(first)]

    def only_first(self, image: Tensor) -> list[Tensor]:
        return [self.first(image)]


@pytest.fixture
def extractor() -> Extractor:
    torch.manual_seed(0)
    return Extractor()


@pytest.fixture
def maps() -> tuple[Tensor, Tensor]:
    prediction, target = torch.rand(2, 2, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    return prediction, target


def _by_hand(extractor: Extractor, prediction: Tensor, target: Tensor) -> Tensor:
    frozen = copy.deepcopy(extractor).eval()
    total = 0.0
    for predicted, wanted in zip(frozen(prediction), frozen(target), strict=True):
        width = predicted.shape[1] ** 0.5
        predicted, wanted = (
            width * item / item.pow(2).sum(1, keepdim=True).sqrt() for item in (predicted, wanted)
        )
        total = total + (predicted - wanted).abs().mean()
    return total / 2


def test_equals_the_hand_written_distance(extractor, maps):
    loss = PerceptualLoss(extractor)(*maps)
    torch.testing.assert_close(loss, _by_hand(extractor, *maps), rtol=1e-4, atol=1e-5)
    assert loss.item() > 0.1


def test_equal_maps_have_no_distance(extractor, maps):
    assert PerceptualLoss(extractor)(maps[0], maps[0].clone()).item() == 0


def test_scale_of_the_features_does_not_matter(extractor, maps):
    loud = copy.deepcopy(extractor)
    with torch.no_grad():
        for tensor in loud.second[1].parameters():
            tensor.mul_(100)
    torch.testing.assert_close(
        PerceptualLoss(extractor)(*maps), PerceptualLoss(loud)(*maps), rtol=1e-3, atol=1e-4
    )


def test_gradient_reaches_the_prediction_only(extractor, maps):
    prediction, target = (item.requires_grad_() for item in maps)
    loss = PerceptualLoss(extractor)
    loss(prediction, target).backward()
    assert prediction.grad.abs().sum() > 0
    assert target.grad is None
    for network in (extractor, *loss._networks):
        assert all(parameter.grad is None for parameter in network.parameters())


def test_descent_moves_the_prediction_towards_the_target(extractor, maps):
    prediction, target = maps
    prediction = prediction.clone().requires_grad_()
    loss = PerceptualLoss(extractor)
    before = loss(prediction, target)
    (gradient,) = torch.autograd.grad(before, prediction)
    assert loss(prediction - 0.01 * gradient / gradient.norm(), target) < before


def test_extractor_is_left_as_it_was_and_its_training_does_not_move_the_loss(extractor, maps):
    loss = PerceptualLoss(extractor)
    before = loss.train()(*maps)
    assert extractor.training
    assert all(parameter.requires_grad for parameter in extractor.parameters())
    with torch.no_grad():
        for parameter in extractor.parameters():
            parameter.add_(1)
    extractor(maps[0])  # moves the batch statistics
    assert torch.equal(loss(*maps), before)


def test_holds_no_parameters_and_no_state(extractor):
    loss = PerceptualLoss(extractor)
    assert list(loss.parameters()) == []
    assert loss.state_dict() == {}


def test_copy_follows_the_module_from_type_to_type(extractor):
    loss = PerceptualLoss(extractor).to(torch.float64)
    assert {parameter.dtype for parameter in loss._networks[0].parameters()} == {torch.float64}
    assert {parameter.dtype for parameter in extractor.parameters()} == {torch.float32}


def test_takes_a_method_of_a_network(extractor, maps):
    loss = PerceptualLoss(extractor.only_first)
    prediction = maps[0].requires_grad_()
    loss(prediction, maps[1]).backward()
    assert prediction.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in extractor.parameters())
    assert loss._networks[0] is not extractor


def test_takes_a_function(maps):
    loss = PerceptualLoss(lambda image: [torch.cat([image, 1 - image], dim=1)])
    prediction, target = maps
    expected = [
        torch.cat([item, 1 - item], 1) / ((item**2 + (1 - item) ** 2) / 2).sqrt()
        for item in (prediction, target)
    ]
    torch.testing.assert_close(
        loss(prediction, target), (expected[0] - expected[1]).abs().mean(), rtol=1e-4, atol=1e-5
    )


def test_signed_maps_reach_the_extractor_in_its_range(extractor, maps):
    prediction, target = maps
    signed = PerceptualLoss(extractor, signed=True)(2 * prediction - 1, 2 * target - 1)
    torch.testing.assert_close(signed, PerceptualLoss(extractor)(prediction, target))


def test_float32_under_autocast(extractor, maps):
    loss = PerceptualLoss(extractor)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = loss(*maps)
    assert value.dtype == torch.float32
    assert torch.equal(value, loss(*maps))
