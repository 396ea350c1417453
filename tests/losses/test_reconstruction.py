import pytest
import torch
from torch.nn import functional

from losses import PIXEL_LOSSES, LossConfig, l1_loss, masked_l1_loss
from losses.reconstruction import (
    charbonnier_loss,
    focal_frequency_loss,
    gradient_difference_loss,
    l2_loss,
    ms_ssim_loss,
    shift_tolerant_l1_loss,
    sign_loss,
    soft_dice_loss,
)


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


@pytest.mark.parametrize("name", PIXEL_LOSSES)
def test_every_term_is_least_at_the_target_and_leaves_out_what_does_not_count(name):
    loss = PIXEL_LOSSES[name](LossConfig())
    prediction, target = (2 * maps[:, :, :, None, :, None].expand(3, 1, 8, 4, 8, 4) - 1 for maps in _maps())
    prediction, target = prediction.reshape(3, 1, 32, 32), target.reshape(3, 1, 32, 32)
    assert loss(target, target, None).item() == pytest.approx(0, abs=1e-6)
    assert loss(prediction, target, None) > 1e-3
    valid = torch.ones_like(target)
    valid[..., 20:] = 0
    spoiled = torch.where(valid.bool(), prediction, torch.nan).requires_grad_()
    value = loss(spoiled, target, valid)
    torch.testing.assert_close(value, loss(torch.where(valid.bool(), prediction, 7.0), target, valid))
    value.backward()
    assert not spoiled.grad[..., 20:].any()
    assert spoiled.grad[..., :20].isfinite().all()
    assert spoiled.grad[..., :20].any()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = loss(prediction.bfloat16(), target.bfloat16(), valid)
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, loss(prediction.bfloat16().float(), target.bfloat16().float(), valid))


def test_l2_is_the_weighted_mean_of_squares():
    target = torch.tensor([0.0, 0.5, -1.0, 0.0]).view(1, 1, 2, 2)
    prediction = target + torch.tensor([0.1, 0.2, -0.3, 0.4]).view(1, 1, 2, 2)
    assert l2_loss(prediction, target, foreground_weight=0).item() == pytest.approx(0.3 / 4)
    assert l2_loss(prediction, target).item() == pytest.approx((0.01 + 2.5 * 0.04 + 2.5 * 0.09 + 0.16) / 4)


def test_a_shift_within_the_radius_costs_nothing():
    target = torch.zeros(2, 1, 12, 12)
    target[0, :, 4:7, 5:8] = 0.8
    target[1, :, 3:6, 3:6] = 0.5
    moved = torch.stack([target[0].roll((1, -1), (1, 2)), target[1].roll(2, 1)])
    assert shift_tolerant_l1_loss(moved, target, radius=2) == 0
    # Of the second map a row of three pixels is missing and one too many, on the 11 x 12 that overlap.
    expected = (2.5 + 1) * 3 * 0.5 / (11 * 12) / 2
    assert shift_tolerant_l1_loss(moved, target, radius=1).item() == pytest.approx(expected)
    unmoved = shift_tolerant_l1_loss(moved, target, radius=0)
    torch.testing.assert_close(unmoved, l1_loss(moved, target))


def test_what_is_moved_in_from_padding_does_not_count():
    target, valid = torch.zeros(1, 1, 8, 8), torch.ones(1, 1, 8, 8)
    valid[..., 4:] = 0
    target[..., 3] = 1
    spoiled = torch.where(valid.bool(), target.roll(-1, 3), torch.nan)
    assert shift_tolerant_l1_loss(spoiled, torch.where(valid.bool(), target, torch.nan), valid) == 0


def test_soft_dice_is_its_closed_form_and_a_wrong_sign_is_worse_than_silence():
    target = torch.tensor([1.0, 0.5, 0.0, 0.0]).view(1, 1, 2, 2)
    prediction = torch.tensor([0.5, 0.5, 0.2, 0.0]).view(1, 1, 2, 2)
    expected = 1 - (2 * 0.75 + 1) / (1.25 + 0.54 + 1)
    assert soft_dice_loss(prediction, target).item() == pytest.approx(expected)
    silent = soft_dice_loss(torch.zeros_like(target), target)
    assert soft_dice_loss(-target, target) > silent > soft_dice_loss(prediction, target)
    empty = torch.zeros_like(target)
    assert soft_dice_loss(prediction, empty).item() == pytest.approx(1 - 1 / 1.54)


def test_gradient_difference_is_its_closed_form():
    target = torch.tensor([[0.0, 1.0], [0.0, 1.0]]).view(1, 1, 2, 2)
    prediction = torch.tensor([[0.0, 0.5], [0.25, 0.5]]).view(1, 1, 2, 2)
    # Steps along columns: 0.25 and 0 against 0 and 0; along rows: 0.5 and 0.25 against 1 and 1.
    assert gradient_difference_loss(prediction, target).item() == pytest.approx((0.25 + 0.5 + 0.75) / 4)
    assert gradient_difference_loss(prediction + 0.3, prediction).item() == pytest.approx(0, abs=1e-6)
    valid = torch.tensor([[1.0, 1.0], [0.0, 1.0]]).view(1, 1, 2, 2)
    assert gradient_difference_loss(prediction, target, valid).item() == pytest.approx(0.5 / 2)


def test_the_sign_penalty_is_how_far_changed_pixels_lie_on_the_wrong_side():
    target = torch.tensor([0.5, -0.5, 0.5, 0.04]).view(1, 1, 2, 2)
    prediction = torch.tensor([-0.3, -0.9, 0.1, -1.0]).view(1, 1, 2, 2).requires_grad_()
    loss = sign_loss(prediction, target)
    assert loss.item() == pytest.approx(0.3 / 3)
    loss.backward()
    assert prediction.grad.flatten().tolist() == pytest.approx([-1 / 3, 0, 0, 0])


@pytest.mark.parametrize(("side", "share"), [(16, 0.2856 / 0.3304), (64, 0.3001 / 0.6305), (176, 0.1333)])
def test_of_constant_maps_ms_ssim_compares_the_brightness_at_the_coarsest_scale(side, share):
    """In between only contrast and structure are compared, which are those of the target."""
    prediction, target = torch.full((2, 1, 1, side, side), 0.25) * torch.tensor([1, 3]).view(2, 1, 1, 1, 1)
    brightness = (2 * 0.25 * 0.75 + 1e-4) / (0.25**2 + 0.75**2 + 1e-4)
    expected = 1 - ((1 + brightness) / 2) ** share
    assert ms_ssim_loss(prediction, target).item() == pytest.approx(expected, rel=1e-2)  # float32 variances


def test_ms_ssim_has_a_gradient_where_nothing_is_alike():
    target = torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    prediction = (1 - target).requires_grad_()
    ms_ssim_loss(prediction, target).backward()
    assert prediction.grad.isfinite().all()
    assert prediction.grad.any()


def test_focal_frequency_is_its_closed_form():
    target = torch.zeros(2, 1, 8, 8)
    flat, dot = torch.full((1, 1, 8, 8), 0.3), torch.zeros(1, 1, 8, 8)
    dot[..., 2, 5] = 0.3
    # All of a constant is in one frequency, with weight 1; a dot is in all of them alike.
    assert focal_frequency_loss(flat, target[:1]).item() == pytest.approx(0.3**2, rel=1e-5)
    assert focal_frequency_loss(dot, target[:1]).item() == pytest.approx(0.3**2 / 64, rel=1e-5)
    maps = _maps()
    torch.testing.assert_close(focal_frequency_loss(*maps, alpha=0), functional.mse_loss(*maps))
