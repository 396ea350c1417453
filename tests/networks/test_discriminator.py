"""The PatchGAN: what a logit sees, what it accepts, what it bounds."""

import pytest
import torch

from networks import Discriminator


def draw(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("num_layers", "patch"), [(1, 16), (2, 34), (3, 70)])
def test_a_logit_sees_exactly_its_patch(num_layers: int, patch: int) -> None:
    model = Discriminator(base_channels=4, num_layers=num_layers).eval()
    image = draw(1, 3, 160, 160).requires_grad_()
    logits = model(image)
    row, column = (side // 2 for side in logits.shape[-2:])
    logits[0, 0, row, column].backward()
    assert image.grad is not None
    support = image.grad[0].abs().sum(0) > 0
    rows, columns = support.any(1).nonzero(), support.any(0).nonzero()
    assert rows.max() - rows.min() + 1 == patch
    assert columns.max() - columns.min() + 1 == patch


def test_the_default_is_the_70_pixel_patchgan() -> None:
    with torch.device("meta"):
        logits, features = Discriminator(spectral_norm=False)(
            torch.empty(1, 3, 256, 256), return_features=True
        )
    assert logits.shape == (1, 1, 30, 30)
    assert [tuple(f.shape[1:]) for f in features] == [
        (64, 128, 128),
        (128, 64, 64),
        (256, 32, 32),
        (512, 31, 31),
    ]


def test_separate_images_are_the_same_as_joined_ones() -> None:
    model = Discriminator(base_channels=4).eval()
    baseline, followup, change = draw(3, 2, 1, 64, 64)
    joined = torch.cat([baseline, followup, change], dim=1)
    assert torch.equal(model(baseline, followup, change), model(joined))


def test_several_scales_judge_smaller_and_smaller_images() -> None:
    model = Discriminator(base_channels=4, num_scales=3).eval()
    logits, features = model(draw(2, 3, 128, 128), return_features=True)
    assert [tuple(m.shape) for m in logits] == [(2, 1, 14, 14), (2, 1, 6, 6), (2, 1, 2, 2)]
    assert [len(f) for f in features] == [4, 4, 4]


@pytest.mark.parametrize("num_scales", [1, 2])
def test_an_image_smaller_than_a_patch_still_gets_a_logit(num_scales: int) -> None:
    logits = Discriminator(base_channels=4, num_scales=num_scales)(draw(1, 3, 9, 17))
    for scale in [logits] if num_scales == 1 else logits:
        assert scale.numel() >= 1
        assert scale.isfinite().all()


def test_spectral_norm_bounds_every_layer_and_can_be_left_out() -> None:
    bounded = Discriminator(base_channels=8)
    for _ in range(50):  # power iterations happen in training mode
        bounded(draw(1, 3, 64, 64))
    weights = [m.weight for m in bounded.modules() if isinstance(m, torch.nn.Conv2d)]
    assert len(weights) == 5
    for weight in weights:
        assert torch.linalg.matrix_norm(weight.detach().flatten(1), ord=2).item() == pytest.approx(
            1.0, rel=0.02
        )
    free = Discriminator(base_channels=8, spectral_norm=False)
    assert not any("parametrizations" in name for name in free.state_dict())


@pytest.mark.parametrize("option", ["in_channels", "base_channels", "num_layers", "num_scales"])
def test_counts_must_be_positive(option: str) -> None:
    with pytest.raises(ValueError, match=f"{option}=0 is not a positive number"):
        Discriminator(**{option: 0})


def test_wrong_number_of_channels_is_named() -> None:
    with pytest.raises(ValueError, match="have 2 channels together, not in_channels=3"):
        Discriminator(base_channels=4)(draw(1, 1, 64, 64), draw(1, 1, 64, 64))


def test_a_gain_is_that_of_the_map_alone() -> None:
    plain, loud = (Discriminator(base_channels=4, map_gain=gain).eval() for gain in (1.0, 20.0))
    loud.load_state_dict(plain.state_dict())
    baseline, followup, change = draw(3, 2, 1, 64, 64)
    assert torch.equal(loud(baseline, followup, change), plain(baseline, followup, 20 * change))


def test_maps_are_standardised_by_all_true_ones_seen_so_far() -> None:
    plain = Discriminator(base_channels=4).eval()
    ours = Discriminator(base_channels=4, standardise=True).eval()
    ours.load_state_dict(plain.state_dict())
    baseline, followup, change = draw(3, 2, 1, 64, 64)
    judged = ours(baseline, followup, change)
    torch.testing.assert_close(judged, plain(baseline, followup, change))  # nothing known yet
    for mean_square in (0.01, 0.03, 0.08):
        ours.map_scale.observe(torch.tensor(mean_square))
    torch.testing.assert_close(ours(baseline, followup, change), plain(baseline, followup, change / 0.2))
    assert ours.state_dict()["map_scale.mean_square"].item() == pytest.approx(0.04)
