"""The method: one training step, phase by phase.

Every phase returns its raw, detached terms by name; nothing here leaves the device.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim import Adam, AdamW, Optimizer
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from data import PairBatch
from data.findings import CHANGED
from gan.adversarial.augment import augment_judged
from gan.adversarial.game import AREA, AREA_TARGET, RIGHT_FAKE, RIGHT_REAL, Averages, Turn
from gan.adversarial.gradients import ADVERSARIAL, LastLayer, last_layer, shares_of, sides_of
from gan.adversarial.objective import Objective
from gan.adversarial.options import AdversarialOptimConfig, GameConfig
from gan.run.batchnorm import synchronised
from gan.run.optim import (
    average_gradients,
    channels_last,
    decay_groups,
    emphasised,
    optimiser_step,
    shares,
)
from gan.run.progress import Terms
from losses import shares_right
from networks.map_scale import MapScale

Logits = Tensor | list[Tensor]
Tensors = tuple[Tensor, ...] | list[Tensor]


@dataclass
class AdversarialState:
    """Generator against discriminator."""

    accelerator: Accelerator
    generator: nn.Module
    discriminator: nn.Module
    ema: AveragedModel
    optimizer_generator: Optimizer
    optimizer_discriminator: Optimizer
    objective: Objective
    clip_norm: float
    disc_steps: int = 1
    game: GameConfig = field(default_factory=GameConfig)
    averages: Averages = field(default_factory=Averages)
    """What the game showed so far."""


def assemble(
    accelerator: Accelerator,
    generator: nn.Module,
    discriminator: nn.Module,
    objective: Objective,
    optim: AdversarialOptimConfig,
    game: GameConfig,
) -> AdversarialState:
    """Networks and optimisers on the devices; the average starts as a copy of the generator.

    Weights in a loss of the user's own are trained by the generator's optimiser.
    """
    generator, discriminator = (
        synchronised(accelerator, channels_last(network)) for network in (generator, discriminator)
    )
    ema = AveragedModel(generator, use_buffers=True).to(accelerator.device).eval()
    generator, discriminator, optimizer_generator, optimizer_discriminator = accelerator.prepare(
        generator,
        discriminator,
        AdamW(
            decay_groups([*generator.parameters(), *objective.modules.parameters()], optim.weight_decay),
            lr=optim.lr_generator,
            betas=(optim.beta1_generator, 0.999),
            fused=True,
        ),
        Adam(
            discriminator.parameters(),
            lr=optim.lr_discriminator,
            betas=(optim.beta1_discriminator, 0.999),
            fused=True,
        ),
    )
    return AdversarialState(
        accelerator=accelerator,
        generator=generator,
        discriminator=discriminator,
        ema=ema,
        optimizer_generator=optimizer_generator,
        optimizer_discriminator=optimizer_discriminator,
        objective=objective,
        clip_norm=optim.clip_norm,
        disc_steps=optim.disc_steps,
        game=game,
        averages=Averages().to(accelerator.device),
    )


@dataclass(frozen=True)
class Moment:
    """What holds for all batches of one step."""

    turn: Turn
    weights: Mapping[str, Tensor | float]
    """Of all terms of G."""
    last: LastLayer | None
    """Where the gradient is taken apart, if it is."""

    @classmethod
    def of(cls, state: AdversarialState, turn: Turn) -> "Moment":
        """By what the game showed before this step."""
        weights = {**state.objective.weights, ADVERSARIAL: adversarial_weight(state, turn)}
        generator = state.accelerator.unwrap_model(state.generator)
        return cls(turn, weights, LastLayer(state.accelerator, last_layer(generator)) if turn.looks else None)


def adversarial_step(state: AdversarialState, batches: Sequence[PairBatch], turn: Turn) -> Terms:
    """One optimiser step of those networks whose turn it is, on the batches together.

    All batches meet the same two networks, which step when the last has been seen, so that several small
    batches make the step of one large one. Further steps of D come after that, on the same maps.
    """
    accelerator, terms, fakes = state.accelerator, dict[str, Tensor](), list[Tensor]()
    batches = [masked(batch) for batch in emphasised(accelerator, batches)]
    moment = Moment.of(state, turn)
    observe_scale(state, batches)
    for batch, share in shares(accelerator, batches, state.generator, state.discriminator):
        fake = state.generator(batch.baseline, batch.followup)
        if batch.valid is not None:
            fake = fake * batch.valid
        fakes.append(fake.detach())
        found = discriminator_phase(state, batch, fakes[-1], share, turn) if turn.plays else {}
        found |= generator_phase(state, batch, fake, share, moment)
        found |= {AREA: changed_area(fakes[-1]), AREA_TARGET: changed_area(true_map(batch))}
        for name, value in found.items():
            terms[name] = terms[name] + share * value if name in terms else share * value
    average_gradients(accelerator, state.objective.modules)  # which nothing wraps
    optimizers = [state.optimizer_discriminator] if turn.learns else []
    optimiser_step(
        accelerator, *optimizers, state.optimizer_generator, clip=state.generator, clip_norm=state.clip_norm
    )
    for extra in range(1, state.disc_steps if turn.learns else 1):
        discriminator_step(state, batches, fakes, replace(turn, key=f"{turn.key}/{extra}"))
    return terms | observe_game(state, terms, moment)


def discriminator_step(
    state: AdversarialState, batches: Sequence[PairBatch], fakes: Sequence[Tensor], turn: Turn
) -> None:
    """One more optimiser step of D, on maps that G made before."""
    parts = shares(state.accelerator, batches, state.discriminator)
    for (batch, share), fake in zip(parts, fakes, strict=True):
        discriminator_phase(state, batch, fake, share, turn)
    optimiser_step(state.accelerator, state.optimizer_discriminator, clip=state.discriminator, clip_norm=0.0)


def discriminator_phase(
    state: AdversarialState, batch: PairBatch, fake: Tensor, share: Tensor, turn: Turn
) -> Terms:
    """D learns to tell (baseline, followup, target) from (baseline, followup, prediction).

    Real and fake go through D in one pass, so that nothing in D can tell them apart by their batch.
    """
    batch, real, fake = shown(state, batch, fake, turn)
    with torch.set_grad_enabled(turn.learns):
        logits_real, logits_fake = judge_both(state.discriminator, batch, real, fake)
    loss = state.objective.adversarial.discriminator(logits_real, logits_fake)
    discriminator = state.accelerator.unwrap_model(state.discriminator)
    used = state.objective.penalties if turn.learns and turn.penalises else {}
    penalties = {name: penalty(discriminator, batch, fake) for name, penalty in used.items()}
    total = loss + state.objective.total(penalties) if penalties else loss
    if turn.learns:
        state.accelerator.backward(share * total)
    right = shares_right(logits_real, logits_fake, state.objective.adversarial.threshold)
    return {
        **{name: penalty.detach() for name, penalty in penalties.items()},
        "discriminator": loss.detach(),
        "logits_real": mean_logit(logits_real),
        "logits_fake": mean_logit(logits_fake),
        **dict(zip((RIGHT_REAL, RIGHT_FAKE), right, strict=True)),
    }


def generator_phase(
    state: AdversarialState,
    batch: PairBatch,
    fake: Tensor,
    share: Tensor,
    moment: Moment,
) -> Terms:
    """G learns to predict the target and to pass for it before D, whose parameters rest meanwhile."""
    terms = {name: term(batch, fake) for name, term in state.objective.pair_terms.items()}
    turn = moment.turn
    if turn.plays and (turn.volume > 0 or turn.looks):
        # Past the wrapper of several processes: D's gradients are not wanted here, so none are exchanged.
        discriminator = state.accelerator.unwrap_model(state.discriminator)
        trained = [parameter for parameter in discriminator.parameters() if parameter.requires_grad]
        set_trainable(trained, False)
        judged, real, seen = shown(state, batch, fake, turn)
        terms[ADVERSARIAL] = adversarial_term(state, discriminator, judged, real, seen)
        if turn.volume > 0:  # a look before that is at the adversarial term alone
            others = state.objective.judged_terms
            terms |= {name: term(discriminator, judged, seen) for name, term in others.items()}
        set_trainable(trained, True)
    if moment.last is not None:
        moment.last.add(terms, share)
    total = state.objective.total(terms, moment.weights)
    state.accelerator.backward(share * total)
    return {name: term.detach() for name, term in terms.items()} | {"generator": total.detach()}


def adversarial_term(
    state: AdversarialState, discriminator: nn.Module, batch: PairBatch, real: Tensor, fake: Tensor
) -> Tensor:
    """What G pays for its maps before D; where the objective is relative, beside the true ones."""
    objective = state.objective.adversarial
    if objective.relative:
        logits_real, logits_fake = judge_both(discriminator, batch, real, fake)
        return objective.generator(logits_fake, logits_real)
    return objective.generator(discriminator(batch.baseline, batch.followup, fake))


def adversarial_weight(state: AdversarialState, turn: Turn) -> Tensor | float:
    """Weight of the adversarial term in this step, the same for all of its batches."""
    if state.game.gradient_share == 0:
        return turn.volume * state.objective.weights.get(ADVERSARIAL, 0.0)
    return turn.volume * state.averages.weight(state.game.gradient_share, state.game.largest_weight)


def masked(batch: PairBatch) -> PairBatch:
    """The batch with a target that is 0 where nothing counts.

    Padding counts nowhere: D could tell real from fake by it, and features would compare it.
    """
    return batch if batch.valid is None else replace(batch, target=true_map(batch) * batch.valid)


def shown(
    state: AdversarialState, batch: PairBatch, fake: Tensor, turn: Turn
) -> tuple[PairBatch, Tensor, Tensor]:
    """What D gets to see of a batch: the images, and both maps."""
    keys = [f"{turn.key}/{key}" for key in batch.keys]
    images = (batch.baseline, batch.followup, true_map(batch), fake)
    baseline, followup, real, fake = augment_judged(images, state.game.augment, keys)
    return replace(batch, baseline=baseline, followup=followup, target=real, key=keys), real, fake


def judge_both(
    discriminator: nn.Module, batch: PairBatch, real: Tensor, fake: Tensor
) -> tuple[Logits, Logits]:
    """The logits of the true and of the predicted maps, in one pass."""
    logits = discriminator(
        torch.cat([batch.baseline, batch.baseline]),
        torch.cat([batch.followup, batch.followup]),
        torch.cat([real, fake]),
    )
    return split_batch(logits)


def observe_scale(state: AdversarialState, batches: Sequence[PairBatch]) -> None:
    """Show D how large the true maps of this step are, before it sees any of them."""
    scale = getattr(state.accelerator.unwrap_model(state.discriminator), "map_scale", None)
    if isinstance(scale, MapScale) and scale.standardise:
        total = sum(map(len, batches))
        parts = [len(batch) / total * true_map(batch).square().mean() for batch in batches]
        scale.observe(state.accelerator.reduce(torch.stack(parts).sum(), reduction="mean"))


def observe_game(state: AdversarialState, terms: Terms, moment: Moment) -> Terms:
    """Take a step's numbers into the running averages of all processes; what the log gets besides terms."""
    norms = {} if moment.last is None else moment.last.norms()
    names = [name for name in (RIGHT_REAL, RIGHT_FAKE, AREA, AREA_TARGET) if name in terms]
    means = state.accelerator.reduce(torch.stack([terms[name] for name in names]), reduction="mean")
    state.averages.add({**dict(zip(names, means, strict=True)), **sides_of(norms, moment.weights)})
    weight = torch.as_tensor(moment.weights[ADVERSARIAL], device=means.device)
    return shares_of(norms, moment.weights) | ({"adversarial_weight": weight} if moment.turn.plays else {})


def true_map(batch: PairBatch) -> Tensor:
    """The target, which training data always have: data.open_pairs refuses others."""
    assert batch.target is not None
    return batch.target


def changed_area(change: Tensor) -> Tensor:
    """Share of the area of maps where something changed."""
    return (change.abs() > CHANGED).float().mean()


def ema_update(state: AdversarialState, decay: float) -> None:
    """Move the average of the generator, buffers included, towards the generator.

    What is no quantity (indices, counts, flags) is copied.

    Source: Yazici et al., ICLR 2019, equation 3.
    """
    average = get_ema_multi_avg_fn(decay)

    def follow(averages: Tensors, current: Tensors, steps: Tensor | int) -> None:
        """All tensors of a call are of one type."""
        if averages[0].is_floating_point() or averages[0].is_complex():
            average(averages, current, steps)
        else:
            torch._foreach_copy_(averages, current)

    state.ema.multi_avg_fn = follow
    state.ema.update_parameters(state.accelerator.unwrap_model(state.generator))


def set_trainable(parameters: Iterable[nn.Parameter], trainable: bool) -> None:
    """Have gradients computed for some parameters, or not."""
    for parameter in parameters:
        parameter.requires_grad_(trainable)


def split_batch(logits: Logits) -> tuple[Logits, Logits]:
    """The two halves of a batch of logits, scale by scale."""
    if isinstance(logits, Tensor):
        real, fake = logits.chunk(2)
        return real, fake
    halves = [scale.chunk(2) for scale in logits]
    return [real for real, _ in halves], [fake for _, fake in halves]


def mean_logit(logits: Logits) -> Tensor:
    """Mean over everything, detached."""
    scales = [logits] if isinstance(logits, Tensor) else logits
    return torch.stack([scale.detach().float().mean() for scale in scales]).mean()
