"""A step is judged by which parameters moved, and where to."""

import copy
import itertools
from dataclasses import replace

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import GradientState
from torch import nn
from torch.optim.swa_utils import AveragedModel

from data import PairBatch
from gan.adversarial.game import NORM_ADVERSARIAL, NORM_OTHERS, REST, Turn
from gan.adversarial.gradients import shares_of
from gan.adversarial.objective import Objective, pixel_term
from gan.adversarial.options import GameConfig
from gan.adversarial.penalties import PENALTIES, penalties_of
from gan.adversarial.step import AdversarialState, adversarial_step, ema_update, split_batch
from losses import ADVERSARIAL, LossConfig, l1_loss, shares_right
from networks.map_scale import MapScale


class Generator(nn.Module):
    """Counts its passes, and has a buffer that moves with them."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(2, 1, 3, padding=1)
        self.register_buffer("passes", torch.zeros(1))

    def forward(self, baseline, followup):
        self.passes += 1
        return torch.sigmoid(self.layer(torch.cat([baseline, followup], dim=1)))


class Discriminator(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(3, 1, 3)
        self.batches = []

    def forward(self, *images):
        self.batches.append(len(images[0]))
        return self.layer(torch.cat(images, dim=1))


def pair_batch(size=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(3, size, 1, 8, 8, generator=generator)
    return PairBatch(
        id=[str(k) for k in range(size)],
        baseline=images[0],
        followup=images[1],
        target=images[2],
        findings=[()] * size,
    )


def adversarial_state(*, weights=None, rate=0.1, adversarial="hinge", **options):
    torch.manual_seed(0)
    GradientState._reset_state()  # accelerators of one process share it
    accelerator = Accelerator(cpu=True)
    generator, discriminator = Generator(), Discriminator()
    weights = weights or {"l1": 2.0, "adversarial": 0.5}
    terms = {"l1": lambda batch, fake: l1_loss(fake, batch.target, foreground_weight=0)}
    optimizers = [torch.optim.SGD(net.parameters(), lr=rate) for net in (generator, discriminator)]
    ema = AveragedModel(generator, use_buffers=True)
    generator, discriminator, *optimizers = accelerator.prepare(generator, discriminator, *optimizers)
    return AdversarialState(
        accelerator=accelerator,
        generator=generator,
        discriminator=discriminator,
        ema=ema,
        optimizer_generator=optimizers[0],
        optimizer_discriminator=optimizers[1],
        objective=Objective(
            pair_terms={name: term for name, term in terms.items() if weights[name] > 0},
            adversarial=ADVERSARIAL[adversarial],
            weights=weights,
            penalties={name: penalty for name, penalty in PENALTIES.items() if name in weights},
        ),
        clip_norm=0,
        **options,
    )


def parameters_of(model):
    return [parameter.detach().clone() for parameter in model.parameters()]


def moved(before, model):
    return [not torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True)]


def test_a_full_step_moves_both_networks_by_the_gradient_of_the_formula():
    state, batch = adversarial_state(), pair_batch()
    generator, discriminator = copy.deepcopy(state.generator), copy.deepcopy(state.discriminator)

    adversarial_step(state, [batch], Turn())

    fake = generator(batch.baseline, batch.followup)
    real_logits = discriminator(batch.baseline, batch.followup, batch.target)
    fake_logits = discriminator(batch.baseline, batch.followup, fake.detach())
    loss = torch.relu(1 - real_logits).mean() + torch.relu(1 + fake_logits).mean()
    judged = discriminator(batch.baseline, batch.followup, fake)  # by D as it was before its step
    total = 2 * (fake - batch.target).abs().mean() - 0.5 * judged.mean()
    networks = ((discriminator, loss), (generator, total))
    gradients = [
        torch.autograd.grad(objective, [*network.parameters()], retain_graph=True)
        for network, objective in networks
    ]
    for (network, _), of_network in zip(networks, gradients, strict=True):
        for parameter, gradient in zip(network.parameters(), of_network, strict=True):
            parameter.data -= 0.1 * gradient
    for ours, expected in zip(
        [*state.discriminator.parameters(), *state.generator.parameters()],
        [*discriminator.parameters(), *generator.parameters()],
        strict=True,
    ):
        torch.testing.assert_close(ours, expected)


def test_the_generator_runs_once_and_d_sees_real_and_fake_in_one_pass():
    state = adversarial_state()
    adversarial_step(state, [pair_batch(size=3)], Turn())
    assert state.generator.passes.item() == 1
    assert state.discriminator.batches == [6, 3]


def test_without_the_adversarial_term_d_rests():
    state = adversarial_state()
    generator, discriminator = parameters_of(state.generator), parameters_of(state.discriminator)
    terms = adversarial_step(state, [pair_batch()], REST)
    assert all(moved(generator, state.generator))
    assert not any(moved(discriminator, state.discriminator))
    assert state.discriminator.batches == []
    assert set(terms) == {"l1", "generator", "area", "area_target"}


def test_a_term_that_needs_the_discriminator_joins_g_s_loss_while_d_s_weights_rest():
    def term(discriminator, batch, fake):
        assert not any(parameter.requires_grad for parameter in discriminator.parameters())
        return discriminator(batch.baseline, batch.followup, fake).square().mean()

    alone, state = adversarial_state(), adversarial_state()
    weights = {"l1": 2.0, "adversarial": 0.5, "judged": 3.0}
    state.objective = replace(state.objective, judged_terms={"judged": term}, weights=weights)
    without = adversarial_step(alone, [pair_batch()], Turn())
    terms = adversarial_step(state, [pair_batch()], Turn())
    torch.testing.assert_close(terms["generator"], without["generator"] + 3 * terms["judged"])
    for ours, expected in zip(
        state.discriminator.parameters(), alone.discriminator.parameters(), strict=True
    ):
        assert torch.equal(ours, expected)
    assert all(moved(parameters_of(alone.generator), state.generator))


def test_the_g_phase_leaves_no_gradient_in_d_and_gives_it_back_trainable():
    state = adversarial_state()
    adversarial_step(state, [pair_batch()], Turn())
    assert all(parameter.grad is None for parameter in state.discriminator.parameters())
    assert all(parameter.requires_grad for parameter in state.discriminator.parameters())


def test_terms_are_raw_named_and_detached():
    state, batch = adversarial_state(), pair_batch()
    fake = state.generator(batch.baseline, batch.followup)
    terms = adversarial_step(state, [batch], Turn())
    assert set(terms) == {
        *("discriminator", "logits_real", "logits_fake"),
        *("right_real", "right_fake", "adversarial_weight"),
        *("l1", "adversarial", "generator", "area", "area_target"),
    }
    assert not any(term.requires_grad for term in terms.values())
    torch.testing.assert_close(terms["l1"], (fake - batch.target).abs().mean().detach())
    torch.testing.assert_close(terms["generator"], 2 * terms["l1"] + 0.5 * terms["adversarial"])


def test_a_term_with_weight_zero_is_not_computed():
    state = adversarial_state(weights={"l1": 0.0, "adversarial": 1.0})
    assert "l1" not in adversarial_step(state, [pair_batch()], Turn())


def test_what_was_frozen_in_d_stays_frozen():
    state = adversarial_state()
    state.discriminator.layer.bias.requires_grad_(False)
    adversarial_step(state, [pair_batch()], Turn())
    assert not state.discriminator.layer.bias.requires_grad
    assert state.discriminator.layer.weight.requires_grad


def test_padding_reaches_neither_network_nor_any_term():
    batch = pair_batch()
    valid = torch.ones_like(batch.target)
    valid[..., 5:, :] = 0
    outcomes = []
    for value in (0.0, 1.0):
        target = torch.where(valid.bool(), batch.target, value)
        state = adversarial_state()
        terms = adversarial_step(state, [replace(batch, target=target, valid=valid)], Turn())
        outcomes.append((terms, parameters_of(state.generator), parameters_of(state.discriminator)))
    (terms, *parameters), (other_terms, *other_parameters) = outcomes
    assert all(torch.equal(terms[name], other_terms[name]) for name in terms)
    for ours, theirs in zip(parameters, other_parameters, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def part_of(batch, rows):
    return PairBatch(
        id=batch.id[rows],
        baseline=batch.baseline[rows],
        followup=batch.followup[rows],
        target=batch.target[rows],
        findings=batch.findings[rows],
    )


@pytest.mark.parametrize("sizes", [(2, 2, 2), (1, 5), (4, 2), (1, 1, 1, 1, 1, 1)])
def test_several_batches_make_the_step_of_one_large_one_for_both_networks(sizes):
    """Whatever their sizes, also where the adversarial term and a D that learns fast decide."""
    batch, ends = pair_batch(size=6), [sum(sizes[:count]) for count in range(len(sizes) + 1)]
    parts = [part_of(batch, slice(start, end)) for start, end in itertools.pairwise(ends)]
    states = [adversarial_state(weights={"l1": 0.1, "adversarial": 50.0}, rate=3.0) for _ in range(2)]
    for state, batches in zip(states, ([batch], parts), strict=True):
        terms = adversarial_step(state, batches, Turn())
        torch.testing.assert_close(
            terms["generator"], 0.1 * terms["l1"] + 50 * terms["adversarial"], rtol=1e-4, atol=1e-4
        )
    for network in ("generator", "discriminator"):
        pairs = zip(*(getattr(state, network).parameters() for state in states), strict=True)
        for large, small in pairs:
            torch.testing.assert_close(small, large, rtol=1e-4, atol=1e-5)


def test_with_a_scale_both_networks_step_as_without_one():
    """The scale changes with every step here; gradients must be divided by the one they were made with."""
    batch, states = pair_batch(), [adversarial_state(), adversarial_state()]
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10, growth_factor=4.0, growth_interval=1)
    states[1].accelerator.scaler = scaler
    states[1].accelerator.backward = lambda loss: scaler.scale(loss).backward()
    for state in states:
        for _ in range(3):
            adversarial_step(state, [batch], Turn())
    assert scaler.get_scale() == 2.0**10 * 4**3, "one change a step"
    for network in ("generator", "discriminator"):
        pairs = zip(*(getattr(state, network).parameters() for state in states), strict=True)
        for plain, scaled in pairs:
            torch.testing.assert_close(scaled, plain)


def test_gradients_are_clipped_to_the_norm():
    state = adversarial_state(rate=1.0)
    state.clip_norm = 1e-3
    before = parameters_of(state.generator)
    adversarial_step(state, [pair_batch()], REST)
    step = torch.cat(
        [(old - new).flatten() for old, new in zip(before, state.generator.parameters(), strict=True)]
    )
    assert step.norm().item() == pytest.approx(1e-3, rel=1e-3)


def test_the_average_follows_its_formula_buffers_included():
    state = adversarial_state()
    start = [tensor.clone() for tensor in state.generator.state_dict().values()]
    ema_update(state, 0.75)  # the first update copies
    with torch.no_grad():
        for tensor in state.generator.state_dict().values():
            tensor += 1
    ema_update(state, 0.75)
    for average, first in zip(state.ema.module.state_dict().values(), start, strict=True):
        torch.testing.assert_close(average, first + 0.25)


def test_what_is_no_quantity_is_copied_into_the_average():
    state = adversarial_state()
    for name, values in {"index": torch.arange(64), "flags": torch.tensor([True, False])}.items():
        for model in (state.generator, state.ema.module):
            model.register_buffer(name, values.clone())
    for step in range(24):
        state.generator.index += step % 2
        ema_update(state, 0.9)
        assert torch.equal(state.ema.module.index, state.generator.index)
        assert torch.equal(state.ema.module.flags, state.generator.flags)


def test_without_decay_the_average_is_the_generator():
    state = adversarial_state()
    for _ in range(2):
        adversarial_step(state, [pair_batch()], REST)
        ema_update(state, 0.0)
    for average, now in zip(
        state.ema.module.state_dict().values(), state.generator.state_dict().values(), strict=True
    ):
        assert torch.equal(average, now)


def test_logits_of_every_scale_are_split_in_halves():
    scales = [torch.arange(4.0).view(4, 1, 1, 1), torch.arange(4.0, 8).view(4, 1, 1, 1)]
    real, fake = split_batch(scales)
    assert [scale.flatten().tolist() for scale in real] == [[0, 1], [4, 5]]
    assert [scale.flatten().tolist() for scale in fake] == [[2, 3], [6, 7]]


def test_while_d_learns_alone_g_does_not_hear_of_it():
    batch = pair_batch()
    alone, together, without = (adversarial_state() for _ in range(3))
    terms = adversarial_step(alone, [batch], Turn(volume=0.0))
    adversarial_step(together, [batch], Turn())
    adversarial_step(without, [batch], REST)
    assert "adversarial" not in terms
    assert same(alone.discriminator, together.discriminator)
    assert same(alone.generator, without.generator)


def same(network, other):
    return all(torch.equal(a, b) for a, b in zip(network.parameters(), other.parameters(), strict=True))


def test_g_hears_as_much_as_the_turn_says():
    batch, quiet, weighted = (
        pair_batch(),
        adversarial_state(),
        adversarial_state(weights={"l1": 2.0, "adversarial": 0.125}),
    )
    adversarial_step(quiet, [batch], Turn(volume=0.25))
    adversarial_step(weighted, [batch], Turn())
    assert same(quiet.generator, weighted.generator)


def test_a_d_that_waits_judges_and_does_not_move():
    state, batch = adversarial_state(), pair_batch()
    before = parameters_of(state.discriminator)
    terms = adversarial_step(state, [batch], Turn(learns=False))
    assert not any(moved(before, state.discriminator))
    assert {"discriminator", "right_real", "right_fake", "adversarial"} <= set(terms)


def test_d_makes_its_further_steps_on_the_same_maps():
    state, batch = adversarial_state(disc_steps=3), pair_batch()
    generator, discriminator = copy.deepcopy(state.generator), copy.deepcopy(state.discriminator)
    adversarial_step(state, [batch], Turn())
    assert state.generator.passes.item() == 1
    fake = generator(batch.baseline, batch.followup).detach()
    for _ in range(3):
        real_logits = discriminator(batch.baseline, batch.followup, batch.target)
        fake_logits = discriminator(batch.baseline, batch.followup, fake)
        loss = torch.relu(1 - real_logits).mean() + torch.relu(1 + fake_logits).mean()
        gradients = torch.autograd.grad(loss, [*discriminator.parameters()])
        for parameter, gradient in zip(discriminator.parameters(), gradients, strict=True):
            parameter.data -= 0.1 * gradient
    for ours, expected in zip(state.discriminator.parameters(), discriminator.parameters(), strict=True):
        torch.testing.assert_close(ours, expected)


def test_a_relative_objective_judges_fakes_beside_real_maps_in_both_phases():
    state, batch = (
        adversarial_state(adversarial="relativistic", weights={"l1": 0.0, "adversarial": 1.0}),
        (pair_batch()),
    )
    generator, discriminator = copy.deepcopy(state.generator), copy.deepcopy(state.discriminator)
    terms = adversarial_step(state, [batch], Turn())
    fake = generator(batch.baseline, batch.followup)
    difference = discriminator(batch.baseline, batch.followup, fake) - discriminator(
        batch.baseline, batch.followup, batch.target
    )
    loss = -torch.log(torch.sigmoid(difference)).mean()
    torch.testing.assert_close(terms["adversarial"], loss.detach())
    torch.testing.assert_close(terms["right_real"], (difference < 0).float().mean())
    gradients = torch.autograd.grad(loss, [*generator.parameters()])
    for ours, parameter, gradient in zip(
        state.generator.parameters(), generator.parameters(), gradients, strict=True
    ):
        torch.testing.assert_close(ours, parameter - 0.1 * gradient)


def test_a_look_takes_the_gradient_at_the_last_layer_apart_and_changes_nothing():
    batch, looking, blind = pair_batch(), adversarial_state(), adversarial_state()
    generator, discriminator = copy.deepcopy(looking.generator), copy.deepcopy(looking.discriminator)
    terms = adversarial_step(looking, [batch], Turn(looks=True))
    assert "gradient/l1" not in adversarial_step(blind, [batch], Turn())
    assert same(looking.generator, blind.generator)
    assert same(looking.discriminator, blind.discriminator)

    fake = generator(batch.baseline, batch.followup)
    raw = {
        "l1": (fake - batch.target).abs().mean(),
        "adversarial": -discriminator(batch.baseline, batch.followup, fake).mean(),
    }
    layer = generator.layer.weight
    norms = {
        name: torch.autograd.grad(term, layer, retain_graph=True)[0].norm() for name, term in raw.items()
    }
    total = 2 * norms["l1"] + 0.5 * norms["adversarial"]
    torch.testing.assert_close(terms["gradient/l1"], 2 * norms["l1"] / total)
    torch.testing.assert_close(terms["gradient/adversarial"], 0.5 * norms["adversarial"] / total)
    torch.testing.assert_close(looking.averages.mean(NORM_OTHERS), 2 * norms["l1"])
    torch.testing.assert_close(looking.averages.mean(NORM_ADVERSARIAL), norms["adversarial"])


def test_the_adversarial_term_gets_its_share_of_the_gradient():
    """Once there are averages, and not before; what the fixed weight says does not count."""
    game = GameConfig(gradient_share=0.25, look_every=1)
    state, batch = (
        adversarial_state(weights={"l1": 1.0, "adversarial": 77.0}, rate=1e-4, game=game),
        pair_batch(),
    )
    shares = [
        adversarial_step(state, [batch], Turn(looks=True))["gradient/adversarial"].item() for _ in range(12)
    ]
    assert shares[:5] == [0.0] * 5
    assert shares[5:] == pytest.approx([0.25] * 7, rel=0.02)


class Scaled(Discriminator):
    """One whose maps are standardised."""

    def __init__(self):
        super().__init__()
        self.map_scale = MapScale(standardise=True)

    def forward(self, *images):
        return super().forward(*images[:-1], self.map_scale(images[-1]))


@pytest.mark.parametrize("adversarial", ["hinge", "relativistic", "wasserstein"])
@pytest.mark.parametrize("sizes", [(2, 2, 2), (1, 5)])
def test_accumulation_is_exact_whatever_is_played(sizes, adversarial, monkeypatch):
    """Augmented, penalised, standardised, with an adaptive weight and two steps of D for one of G."""
    monkeypatch.setitem(globals(), "Discriminator", Scaled)
    batch, ends = pair_batch(size=6), [sum(sizes[:count]) for count in range(len(sizes) + 1)]
    parts = [part_of(batch, slice(start, end)) for start, end in itertools.pairwise(ends)]
    weights = {"l1": 1.0, "adversarial": 1.0, "r1": 0.1, "r2": 0.1, "gradient_penalty": 0.1}
    game = GameConfig(gradient_share=0.5, augment=("translation", "cutout", "colour"))
    outcomes = []
    for batches in ([batch], parts):
        state = adversarial_state(weights=weights, adversarial=adversarial, game=game, disc_steps=2)
        for step in range(7):
            terms = adversarial_step(state, batches, Turn(looks=True, key=str(step)))
        assert terms["gradient/adversarial"] > 0.1
        outcomes.append((terms, state))
    (whole, large), (summed, small) = outcomes
    assert whole.keys() == summed.keys()
    for name, value in whole.items():
        torch.testing.assert_close(summed[name], value, rtol=1e-4, atol=1e-5)
    for network in ("generator", "discriminator"):
        for one, other in zip(
            getattr(large, network).state_dict().values(),
            getattr(small, network).state_dict().values(),
            strict=True,
        ):
            if one.numel() > 1:  # not the count of passes
                torch.testing.assert_close(other, one, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(large.averages.sums, small.averages.sums, rtol=1e-4, atol=1e-5)


def test_d_sees_true_maps_at_a_root_mean_square_of_1(monkeypatch):
    monkeypatch.setitem(globals(), "Discriminator", Scaled)
    state, batch = adversarial_state(), pair_batch()
    adversarial_step(state, [batch], Turn())
    seen = state.discriminator.map_scale(batch.target)
    torch.testing.assert_close(seen.square().mean(), torch.tensor(1.0))


def test_penalties_join_the_loss_of_d_by_their_weights():
    batch, state = pair_batch(), adversarial_state(weights={"l1": 1.0, "adversarial": 1.0, "r1": 3.0})
    discriminator = copy.deepcopy(state.discriminator)
    fake = state.generator(batch.baseline, batch.followup).detach()
    terms = adversarial_step(state, [batch], Turn())
    target = batch.target.clone().requires_grad_()
    real_logits = discriminator(batch.baseline, batch.followup, target)
    fake_logits = discriminator(batch.baseline, batch.followup, fake)
    loss = torch.relu(1 - real_logits).mean() + torch.relu(1 + fake_logits).mean()
    total = real_logits.sum() / real_logits[0].numel() ** 0.5
    (slope,) = torch.autograd.grad(total, target, create_graph=True)
    penalty = 0.5 * slope.square().sum((1, 2, 3)).mean()
    torch.testing.assert_close(terms["r1"], penalty.detach())
    gradients = torch.autograd.grad(loss + 3 * penalty, [*discriminator.parameters()])
    for ours, parameter, gradient in zip(
        state.discriminator.parameters(), discriminator.parameters(), gradients, strict=True
    ):
        torch.testing.assert_close(ours, parameter - 0.1 * gradient)
    assert "r1" not in adversarial_step(state, [batch], Turn(penalises=False))


def test_lazy_penalties_weigh_as_many_times_as_much():
    penalties, weights = penalties_of(LossConfig(r1=2.0, r2=1.0, penalty_every=16))
    assert list(penalties) == ["r1", "r2"]
    assert weights == {"r1": 32.0, "r2": 16.0}


@pytest.mark.parametrize("name", PENALTIES)
def test_penalties_are_in_float32_where_the_run_is_not(name):
    """Under the autocast that accelerate puts around the forward of a network it has prepared."""
    state, batch = adversarial_state(), pair_batch()
    fake, discriminator = torch.rand_like(batch.target), state.discriminator
    expected = PENALTIES[name](discriminator, batch, fake)
    discriminator.forward = torch.autocast("cpu", torch.bfloat16)(discriminator.forward)
    assert discriminator(batch.baseline, batch.followup, fake).dtype == torch.bfloat16
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(PENALTIES[name](discriminator, batch, fake), expected)
    assert expected.dtype == torch.float32


def test_what_d_gets_right_is_counted_by_patches():
    state, batch = adversarial_state(), pair_batch()
    generator, discriminator = copy.deepcopy(state.generator), copy.deepcopy(state.discriminator)
    terms = adversarial_step(state, [batch], Turn())
    fake = generator(batch.baseline, batch.followup)
    logits = [discriminator(batch.baseline, batch.followup, change) for change in (batch.target, fake)]
    real_right, fake_right = shares_right(*logits, 0.0)
    assert (terms["right_real"], terms["right_fake"]) == (real_right, fake_right)
    assert terms["area"] == (fake > 0.05).float().mean()
    assert terms["area_target"] == (batch.target > 0.05).float().mean()


def test_a_gradient_that_is_not_there_has_no_share():
    norms = {"l1": torch.tensor(0.0), "adversarial": torch.tensor(0.0)}
    assert [share.item() for share in shares_of(norms, {"l1": 1.0, "adversarial": 1.0}).values()] == [0, 0]
    norms["l1"] = torch.tensor(float("inf"))
    assert all(share.isfinite() for share in shares_of(norms, {"l1": 1.0, "adversarial": 1.0}).values())


def test_pixels_count_alike_however_much_padding_the_batches_of_a_step_have():
    """Two batches, one of them mostly padding, make the step of both together."""
    batches = [pair_batch(size=2, seed=seed) for seed in (1, 2)]
    batches = [replace(batch, valid=torch.ones_like(batch.followup)) for batch in batches]
    batches[1].valid[..., 2:] = 0
    tensors = {
        name: torch.cat([getattr(batch, name) for batch in batches])
        for name in ("baseline", "followup", "target", "valid")
    }
    together = PairBatch(id=["0", "1", "2", "3"], findings=[()] * 4, **tensors)
    made, terms = [], []
    for given in (batches, [together]):
        state = adversarial_state()
        state.objective = replace(state.objective, pair_terms={"l1": pixel_term(l1_loss)})
        terms.append(adversarial_step(state, given, Turn()))
        made.append([*state.generator.parameters(), *state.discriminator.parameters()])
    for one, other in zip(*made, strict=True):
        torch.testing.assert_close(one, other)
    torch.testing.assert_close(*terms)
