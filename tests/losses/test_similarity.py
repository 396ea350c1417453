"""LPIPS and DISTS, on random weights of VGG from a file."""

import pytest
import torch
from torchmetrics.functional.image import dists, lpips
from torchvision.models import vgg

from losses import SIMILARITIES, SimilarityLoss


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("vgg") / "vgg16.pth"
    torch.save(vgg.make_layers(vgg.cfgs["D"]).state_dict(), path)
    return path


@pytest.fixture(scope="module")
def losses(weights):
    return {name: SimilarityLoss(name, weights) for name in SIMILARITIES}


def maps():
    return torch.rand(2, 2, 1, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", SIMILARITIES)
def test_equal_maps_have_no_distance_and_descent_leads_to_the_target(name, losses):
    prediction, target = maps()
    loss = losses[name]
    assert loss(target, target).item() == pytest.approx(0, abs=1e-5)
    prediction = prediction.requires_grad_()
    before = loss(prediction, target)
    (gradient,) = torch.autograd.grad(before, prediction)
    assert loss(prediction - 0.1 * gradient / gradient.norm(), target) < before
    assert not any(parameter.requires_grad for parameter in loss.parameters())


def test_lpips_is_its_formula_with_the_published_weights(losses):
    """Zhang et al., eq. 1: squared distances of unit features, weighted a channel, averaged over pixels."""
    network = losses["lpips"].network
    published = torch.load(
        f"{lpips.__file__.removesuffix('lpips.py')}lpips_models/vgg.pth", map_location="cpu"
    )
    assert all(torch.equal(network.state_dict()[name], value) for name, value in published.items())
    shift, scale = (torch.tensor(v).view(3, 1, 1) for v in ([-0.03, -0.088, -0.188], [0.458, 0.448, 0.45]))
    features = [network.net((2 * image - 1 - shift) / scale) for image in maps()]
    expected = 0
    for layer, (one, other) in enumerate(zip(*features, strict=True)):
        units = [f / f.square().sum(1, keepdim=True).add(1e-8).sqrt() for f in (one, other)]
        weight = published[f"lin{layer}.model.1.weight"].view(1, -1, 1, 1)
        expected += ((units[0] - units[1]).square() * weight).sum(1).mean()
    torch.testing.assert_close(losses["lpips"](*maps()), expected)


def test_dists_uses_the_published_weights(losses):
    published = torch.load(dists._PATH_WEIGHT_DISTS)
    assert torch.equal(losses["dists"].network.alpha, published["alpha"])
    prediction, target = maps()
    alone = losses["dists"].network(prediction.expand(-1, 3, -1, -1), target.expand(-1, 3, -1, -1))
    torch.testing.assert_close(losses["dists"](prediction, target), alone.mean())


def test_signed_maps_and_half_precision(losses, weights):
    prediction, target = maps()
    signed = SimilarityLoss("lpips", weights, signed=True)
    torch.testing.assert_close(
        signed(2 * prediction - 1, 2 * target - 1), losses["lpips"](prediction, target)
    )
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = losses["lpips"](prediction, target)
    assert value.dtype == torch.float32
    assert torch.equal(value, losses["lpips"](prediction, target))


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"absent.pth does not exist; give a file"):
        SimilarityLoss("dists", tmp_path / "absent.pth")
