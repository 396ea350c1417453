from math import exp, log
from typing import get_args

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, mse_loss

from losses import ADVERSARIAL, hinge_discriminator_loss, hinge_generator_loss, shares_right
from losses.config import Adversarial

LOGITS = (torch.tensor([[2.0, 0.5], [-1.0, 0.0]]), torch.tensor([[-2.0, -0.5], [1.0, 0.0]]))

EXPECTED = {  # at logits of 0: what an undecided discriminator costs
    "hinge": (2.0, 0.0),
    "least_squares": (0.5, 0.5),
    "non_saturating": (2 * log(2), log(2)),
    "relativistic": (log(2), log(2)),
    "wasserstein": (0.0, 0.0),
}


def generator_loss(kind, fake, real=None):
    """That of an objective, beside the logits of real maps (0 by default) where it is relative."""
    loss = ADVERSARIAL[kind]
    if not loss.relative:
        return loss.generator(fake)
    if real is None:
        real = torch.zeros_like(fake) if isinstance(fake, torch.Tensor) else [0 * scale for scale in fake]
    return loss.generator(fake, real)


def test_table_covers_every_option():
    assert set(ADVERSARIAL) == set(get_args(Adversarial)) == set(EXPECTED)


@pytest.mark.parametrize("kind", ADVERSARIAL)
class TestEveryObjective:
    def test_value_of_an_undecided_discriminator(self, kind):
        undecided = torch.zeros(2, 1, 3, 3)
        discriminator, generator = EXPECTED[kind]
        assert ADVERSARIAL[kind].discriminator(undecided, undecided).item() == pytest.approx(discriminator)
        assert generator_loss(kind, undecided).item() == pytest.approx(generator)

    def test_descent_pulls_real_up_and_fake_down_for_d_and_fake_up_for_g(self, kind):
        real, fake = (torch.zeros(4, requires_grad=True) for _ in range(2))
        ADVERSARIAL[kind].discriminator(real, fake).backward()
        assert (real.grad < 0).all()
        assert (fake.grad >= 0).all()
        # At 0, least squares already has what it wants of a fake; away from it, it pulls back.
        above = torch.full((4,), 0.5, requires_grad=True)
        ADVERSARIAL[kind].discriminator(torch.zeros(4), above).backward()
        assert (above.grad > 0).all()
        wanted = torch.zeros(4, requires_grad=True)
        generator_loss(kind, wanted).backward()
        assert (wanted.grad < 0).all()

    def test_several_scales_weigh_the_same_whatever_their_size(self, kind):
        large, small = torch.randn(2, 1, 8, 8), torch.randn(2, 1, 2, 2)
        loss = ADVERSARIAL[kind]
        torch.testing.assert_close(
            generator_loss(kind, [large, small]),
            (generator_loss(kind, large) + generator_loss(kind, small)) / 2,
        )
        torch.testing.assert_close(
            loss.discriminator([large, small], [-large, -small]),
            (loss.discriminator(large, -large) + loss.discriminator(small, -small)) / 2,
        )

    def test_float32_under_autocast(self, kind):
        logits = torch.randn(2, 1, 4, 4)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            discriminator = ADVERSARIAL[kind].discriminator(logits, -logits)
            generator = generator_loss(kind, logits.bfloat16())
        assert discriminator.dtype == generator.dtype == torch.float32
        torch.testing.assert_close(discriminator, ADVERSARIAL[kind].discriminator(logits, -logits))
        torch.testing.assert_close(generator, generator_loss(kind, logits.bfloat16().float()))

    def test_gradcheck(self, kind):
        real, fake = (torch.randn(2, 3, dtype=torch.float64, requires_grad=True) for _ in range(2))
        assert torch.autograd.gradcheck(ADVERSARIAL[kind].discriminator, (real, fake))
        assert torch.autograd.gradcheck(lambda *logits: generator_loss(kind, *logits), (fake, real))


def test_hinge_by_hand():
    real, fake = LOGITS
    # real: 0, 0.5, 2, 1; fake: 0, 0.5, 2, 1
    assert hinge_discriminator_loss(real, fake).item() == pytest.approx(3.5 / 4 + 3.5 / 4)
    assert hinge_generator_loss(fake).item() == pytest.approx(1.5 / 4)


def test_hinge_stops_at_the_margin_on_both_sides():
    real = torch.tensor([0.9, 1.1], requires_grad=True)
    fake = torch.tensor([-0.9, -1.1], requires_grad=True)
    hinge_discriminator_loss(real, fake).backward()
    assert real.grad.tolist() == [-0.5, 0.0]
    assert fake.grad.tolist() == [0.5, 0.0]


def test_non_saturating_is_cross_entropy_with_logits():
    real, fake = LOGITS
    ones, zeros = torch.ones_like(real), torch.zeros_like(real)
    loss = ADVERSARIAL["non_saturating"]
    torch.testing.assert_close(
        loss.discriminator(real, fake),
        binary_cross_entropy_with_logits(real, ones) + binary_cross_entropy_with_logits(fake, zeros),
    )
    torch.testing.assert_close(loss.generator(fake), binary_cross_entropy_with_logits(fake, ones))


def test_non_saturating_generator_still_learns_where_d_is_certain():
    fake = torch.tensor([-50.0], requires_grad=True)
    ADVERSARIAL["non_saturating"].generator(fake).backward()
    assert fake.grad.item() == pytest.approx(-1)


def test_least_squares_is_half_the_squared_error():
    real, fake = LOGITS
    ones, zeros = torch.ones_like(real), torch.zeros_like(real)
    loss = ADVERSARIAL["least_squares"]
    torch.testing.assert_close(
        loss.discriminator(real, fake), (mse_loss(real, ones) + mse_loss(fake, zeros)) / 2
    )
    torch.testing.assert_close(loss.generator(fake), mse_loss(fake, ones) / 2)


FORMULAS = {  # of one logit each, with nothing from torch
    "hinge": (lambda r, f: max(0, 1 - r) + max(0, 1 + f), lambda _, f: -f),
    "least_squares": (lambda r, f: 0.5 * (r - 1) ** 2 + 0.5 * f**2, lambda _, f: 0.5 * (f - 1) ** 2),
    "non_saturating": (lambda r, f: log(1 + exp(-r)) + log(1 + exp(f)), lambda _, f: log(1 + exp(-f))),
    "relativistic": (lambda r, f: log(1 + exp(f - r)), lambda r, f: log(1 + exp(r - f))),
    "wasserstein": (lambda r, f: f - r, lambda _, f: -f),
}


@pytest.mark.parametrize("kind", ADVERSARIAL)
def test_every_objective_is_its_formula_in_float64(kind):
    real, fake = torch.randn(2, 5, 1, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    pairs = list(zip(real.flatten().tolist(), fake.flatten().tolist(), strict=True))
    for ours, formula in zip(
        (ADVERSARIAL[kind].discriminator(real, fake), generator_loss(kind, fake, real)),
        FORMULAS[kind],
        strict=True,
    ):
        assert ours.dtype == torch.float64
        assert ours.item() == pytest.approx(sum(formula(*pair) for pair in pairs) / len(pairs), rel=1e-12)


def test_only_differences_count_where_fakes_are_judged_beside_real_maps():
    real, fake = LOGITS
    loss = ADVERSARIAL["relativistic"]
    torch.testing.assert_close(loss.discriminator(real, fake), loss.discriminator(real + 7, fake + 7))
    torch.testing.assert_close(loss.generator(fake, real), loss.discriminator(fake, real))


def test_shares_right_by_hand():
    real, fake = LOGITS  # 2, 0.5, -1, 0 and -2, -0.5, 1, 0
    shares = [share.item() for share in shares_right(real, fake, 0.0)]
    assert shares == [(1 + 1 + 0 + 0.5) / 4, (1 + 1 + 0 + 0.5) / 4]
    assert [share.item() for share in shares_right(real, fake, 0.5)] == [1.5 / 4, 3 / 4]
    assert [share.item() for share in shares_right(real, fake, None)] == [(1 + 1 + 0 + 0.5) / 4] * 2
    several = shares_right([real, real[:1]], [fake, fake[:1]], 0.0)
    assert [share.item() for share in several] == [(2.5 / 4 + 1) / 2] * 2


@pytest.mark.parametrize("kind", ADVERSARIAL)
def test_a_discriminator_that_says_the_same_of_everything_gets_half_right(kind):
    alike = torch.full((2, 1, 3, 3), 0.3)
    right = shares_right(alike, alike, ADVERSARIAL[kind].threshold)
    assert sum(right).item() / 2 == 0.5
