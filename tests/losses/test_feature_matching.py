import pytest
import torch

from losses import feature_matching_loss


def test_it_is_the_mean_over_layers_of_the_distance_and_moves_the_fake_only():
    real = [torch.zeros(2, 3, 4, 4, requires_grad=True), torch.ones(2, 5, 2, 2, requires_grad=True)]
    fake = [torch.full((2, 3, 4, 4), 0.5, requires_grad=True), torch.zeros(2, 5, 2, 2, requires_grad=True)]
    loss = feature_matching_loss(real, fake)
    assert loss.item() == pytest.approx((0.5 + 1) / 2)
    loss.backward()
    assert all(layer.grad is None for layer in real)
    assert (fake[0].grad > 0).all()
    assert (fake[1].grad < 0).all()


def test_all_layers_of_all_scales_weigh_alike():
    fake = [[torch.full((1, 1, 8, 8), 0.1), torch.full((1, 1, 4, 4), 0.2)], [torch.full((1, 1, 2, 2), 0.6)]]
    real = [[torch.zeros_like(layer) for layer in scale] for scale in fake]
    assert feature_matching_loss(real, fake).item() == pytest.approx(0.3)
    halves = [[layer.bfloat16() for layer in scale] for scale in fake]
    assert feature_matching_loss(real, halves).dtype == torch.float32
