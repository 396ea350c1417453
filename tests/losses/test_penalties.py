import pytest
import torch
from torch import nn

from losses import relativistic_discriminator_loss, unit_slope_penalty, zero_centred_penalty

CHANNELS, SIDE = 2, 6


def network(logits=1, seed=0):
    """Smooth and small, in float64."""
    torch.manual_seed(seed)
    size = CHANNELS * SIDE**2
    return nn.Sequential(nn.Flatten(), nn.Linear(size, 5), nn.Tanh(), nn.Linear(5, logits)).double()


def maps(seed=0):
    shape = (3, CHANNELS, SIDE, SIDE)
    drawn = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return drawn.requires_grad_()


def slopes(model, images):
    """The gradient at each map, one after the other, by hand: W1' (w2 * (1 - tanh^2))."""
    first, last = model[1], model[3]
    inside = torch.tanh(first(images.flatten(1)))
    return (last.weight.sum(0) * (1 - inside**2)) @ first.weight


def test_the_zero_centred_penalty_is_half_the_squared_slope():
    model, images = network(), maps()
    ours = zero_centred_penalty(model(images), images)
    torch.testing.assert_close(ours, 0.5 * slopes(model, images).square().sum(1).mean())


def test_the_unit_slope_penalty_is_the_squared_distance_from_1():
    model, images = network(), maps()
    ours = unit_slope_penalty(model(images), images)
    torch.testing.assert_close(ours, (slopes(model, images).norm(dim=1) - 1).square().mean())


@pytest.mark.parametrize("penalty", [zero_centred_penalty, unit_slope_penalty])
def test_the_gradient_in_the_weights_is_that_of_the_formula(penalty):
    """The second derivative, against autograd through the slope written by hand."""
    model, images = network(), maps()
    ours = torch.autograd.grad(penalty(model(images), images), [model[1].weight, model[3].weight])
    norms = slopes(model, images).square().sum(1)
    by_hand = 0.5 * norms.mean() if penalty is zero_centred_penalty else (norms.sqrt() - 1).square().mean()
    for mine, expected in zip(
        ours, torch.autograd.grad(by_hand, [model[1].weight, model[3].weight]), strict=True
    ):
        torch.testing.assert_close(mine, expected)


def test_patches_that_do_not_overlap_have_the_mean_of_their_penalties():
    """However many there are: a convolution whose stride is its size sees every pixel once."""
    torch.manual_seed(0)
    layer = nn.Conv2d(1, 1, 2, stride=2).double()
    for side in (2, 8):
        images = torch.randn(4, 1, side, side, dtype=torch.float64, requires_grad=True)
        ours = zero_centred_penalty(layer(images), images)
        torch.testing.assert_close(ours, 0.5 * layer.weight.square().sum())


def test_scales_weigh_alike():
    images = maps()
    one = images.sum((1, 2, 3))[:, None]
    torch.testing.assert_close(
        zero_centred_penalty([one, one], images), 2 * zero_centred_penalty(one, images)
    )  # two that agree: their sum over the root of 2


def test_with_a_logit_a_map_it_is_the_published_r3gan_discriminator():
    """Loss plus gamma / 2 of both penalties, as Huang et al. write it, value and gradient."""
    model, real, fake, gamma = network(), maps(1), maps(2), 0.7
    logits_real, logits_fake = model(real), model(fake)
    ours = relativistic_discriminator_loss(logits_real, logits_fake) + gamma * (
        zero_centred_penalty(logits_real, real) + zero_centred_penalty(logits_fake, fake)
    )
    logits_real, logits_fake = model(real), model(fake)
    published = -torch.log(torch.sigmoid(logits_real - logits_fake)).mean()
    for logits, images in ((logits_real, real), (logits_fake, fake)):
        per_map = [
            torch.autograd.grad(logit, images, create_graph=True)[0][index].square().sum()
            for index, logit in enumerate(logits[:, 0])
        ]
        published = published + gamma / 2 * torch.stack(per_map).mean()
    torch.testing.assert_close(ours, published)
    weights = [model[1].weight, model[3].weight]
    for mine, theirs in zip(
        torch.autograd.grad(ours, weights), torch.autograd.grad(published, weights), strict=True
    ):
        torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize("penalty", [zero_centred_penalty, unit_slope_penalty])
def test_a_flat_discriminator_has_finite_gradients(penalty):
    images = maps()
    flat = nn.Linear(CHANNELS * SIDE**2, 1).double()
    nn.init.zeros_(flat.weight)
    penalty(flat(images.flatten(1)), images).backward()
    assert flat.weight.grad.isfinite().all()
