import pytest
import torch
from torch.nn import functional

from losses import l1_loss, masked_l1_loss
from losses.reconstruction import charbonnier_loss


def _maps(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    prediction, target = torch.rand(2, 3, 1, 8, 8, generator=generator)
    return prediction, target * (target > 0.7)


def test_without_foreground_weight_it_is_l1_to_the_bit():
    prediction, target = _maps()
    prediction.requires_grad_()
    ours = l1_loss(prediction, target, foreground_weight=0)
    torchs = functional.l1_loss(prediction, target)
    assert torch.equal(ours, torchs)
    assert torch.equal(*(torch.autograd.grad(loss, prediction)[0] for loss in (ours, torchs)))


def test_changed_pixels_weigh_one_plus_the_foreground_weight():
    target = torch.tensor([0.0, 0.05, 0.06, -1.0]).view(1, 1, 2, 2)
    prediction = target + torch.tensor([0.1, 0.2, -0.3, 0.4]).view(1, 1, 2, 2)
    # The threshold itself is background; a negative change is a change.
    expected = (0.1 + 0.2 + 2.5 * 0.3 + 2.5 * 0.4) / 4
    assert l1_loss(prediction, target).item() == pytest.approx(expected)
    assert l1_loss(prediction, target, foreground_weight=1, foreground_threshold=0.5).item() == pytest.approx(
        (0.1 + 0.2 + 0.3 + 2 * 0.4) / 4
    )


def test_gradient_points_from_the_target_to_the_prediction():
    target = torch.tensor([0.0, 1.0]).view(1, 1, 1, 2)
    prediction = torch.tensor([0.5, 0.5]).view(1, 1, 1, 2).requires_grad_()
    l1_loss(prediction, target).backward()
    assert prediction.grad.flatten().tolist() == [0.5, -1.25]


def test_pixels_that_do_not_count_change_neither_value_nor_gradient():
    prediction, target = _maps()
    valid = torch.ones_like(target)
    valid[..., 4:] = 0
    expected = l1_loss(prediction[..., :4], target[..., :4])
    spoiled = prediction.clone()
    spoiled[..., 4:] = float("nan")
    spoiled.requires_grad_()
    loss = l1_loss(spoiled, target, valid=valid)
    torch.testing.assert_close(loss, expected)
    loss.backward()
    assert not spoiled.grad[..., 4:].any()
    assert spoiled.grad[..., :4].all()


def test_nothing_valid_costs_nothing():
    prediction, target = _maps()
    prediction.requires_grad_()
    loss = l1_loss(prediction, target, valid=torch.zeros_like(target))
    loss.backward()
    assert loss.item() == 0
    assert not prediction.grad.any()


def test_masked_loss_sees_masked_pixels_only():
    prediction, target = _maps()
    mask = torch.zeros(3, 1, 8, 8, dtype=torch.bool)
    mask[:, :, 2:5, 1:7] = True
    expected = (prediction - target)[mask].abs().mean()
    torch.testing.assert_close(masked_l1_loss(prediction, target, mask), expected)
    visible_changed = torch.where(mask, prediction, 100.0).requires_grad_()
    loss = masked_l1_loss(visible_changed, target, mask)
    torch.testing.assert_close(loss, expected)
    loss.backward()
    assert torch.equal(visible_changed.grad != 0, mask)


def test_masked_loss_leaves_out_masked_padding():
    prediction, target = _maps()
    mask = torch.ones(3, 1, 8, 8)
    valid = torch.zeros(3, 1, 8, 8)
    valid[:, :, 3] = 1
    torch.testing.assert_close(
        masked_l1_loss(prediction, target, mask, valid),
        functional.l1_loss(prediction[:, :, 3], target[:, :, 3]),
    )


@pytest.mark.parametrize("loss", [l1_loss, lambda p, t: masked_l1_loss(p, t, torch.ones_like(t))])
def test_float32_under_autocast(loss):
    prediction, target = _maps()
    half = prediction.bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = loss(half, target)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, loss(half.float(), target))


def test_gradcheck():
    prediction, target = (item.double() for item in _maps())
    valid = (target > 0.1) | (torch.rand(target.shape, generator=torch.Generator().manual_seed(1)) > 0.5)
    prediction.requires_grad_()
    assert torch.autograd.gradcheck(lambda p: l1_loss(p, target, valid), (prediction,))
    assert torch.autograd.gradcheck(lambda p: masked_l1_loss(p, target, valid), (prediction,))


def test_charbonnier_is_its_closed_form_over_the_pixels_that_count():
    prediction = torch.tensor([0.0, 0.3, -0.4, 9.0]).view(1, 1, 2, 2)
    valid = torch.tensor([1.0, 1.0, 1.0, 0.0]).view(1, 1, 2, 2)
    expected = sum((error**2 + 0.1**2) ** 0.5 - 0.1 for error in (0.0, 0.3, 0.4)) / 3
    loss = charbonnier_loss(prediction, torch.zeros_like(prediction), valid, epsilon=0.1)
    assert loss.item() == pytest.approx(expected, rel=1e-6)
    assert charbonnier_loss(prediction, prediction) == 0


def test_charbonnier_draws_towards_the_target_and_rests_on_it():
    prediction = torch.tensor([0.5, 0.2, 0.0], requires_grad=True)
    charbonnier_loss(prediction, torch.tensor([0.0, 0.4, 0.0])).backward()
    assert prediction.grad[0] > 0
    assert prediction.grad[1] < 0
    assert prediction.grad[2] == 0
