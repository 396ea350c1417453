"""The method: one training step, phase by phase.

Every phase returns its raw, detached terms by name; nothing here leaves the device.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim import Adam, AdamW, Optimizer
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from data import PairBatch
from gan.adversarial.objective import Objective
from gan.adversarial.options import AdversarialOptimConfig
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


def assemble(
    accelerator: Accelerator,
    generator: nn.Module,
    discriminator: nn.Module,
    objective: Objective,
    optim: AdversarialOptimConfig,
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
    )


def adversarial_step(state: AdversarialState, batches: Sequence[PairBatch], *, adversarial: bool) -> Terms:
    """One optimiser step of D and G on the batches together; without `adversarial`, of G alone.

    All batches meet the same two networks, which step when the last has been seen, so that several small
    batches make the step of one large one.
    """
    accelerator, terms = state.accelerator, dict[str, Tensor]()
    batches = emphasised(accelerator, batches)
    for batch, share in shares(accelerator, batches, state.generator, state.discriminator):
        fake = state.generator(batch.baseline, batch.followup)
        if batch.valid is not None:
            # Padding counts nowhere: D could tell real from fake by it, and features would compare it.
            assert batch.target is not None
            fake, batch = fake * batch.valid, replace(batch, target=batch.target * batch.valid)
        found = discriminator_phase(state, batch, fake.detach(), share) if adversarial else {}
        found |= generator_phase(state, batch, fake, share, adversarial=adversarial)
        for name, value in found.items():
            terms[name] = terms[name] + share * value if name in terms else share * value
    average_gradients(accelerator, state.objective.modules)  # which nothing wraps
    optimizers = [state.optimizer_discriminator] if adversarial else []
    optimiser_step(
        accelerator, *optimizers, state.optimizer_generator, clip=state.generator, clip_norm=state.clip_norm
    )
    return terms


def discriminator_phase(state: AdversarialState, batch: PairBatch, fake: Tensor, share: Tensor) -> Terms:
    """D learns to tell (baseline, followup, target) from (baseline, followup, prediction).

    Real and fake go through D in one pass, so that nothing in D can tell them apart by their batch.
    """
    assert batch.target is not None
    logits = state.discriminator(
        torch.cat([batch.baseline, batch.baseline]),
        torch.cat([batch.followup, batch.followup]),
        torch.cat([batch.target, fake]),
    )
    logits_real, logits_fake = split_batch(logits)
    loss = state.objective.adversarial.discriminator(logits_real, logits_fake)
    penalties = {
        name: penalty(state.discriminator, batch, fake) for name, penalty in state.objective.penalties.items()
    }
    total = loss + state.objective.total(penalties) if penalties else loss
    state.accelerator.backward(share * total)
    return {
        **{name: penalty.detach() for name, penalty in penalties.items()},
        "discriminator": loss.detach(),
        "logits_real": mean_logit(logits_real),
        "logits_fake": mean_logit(logits_fake),
    }


def generator_phase(
    state: AdversarialState, batch: PairBatch, fake: Tensor, share: Tensor, *, adversarial: bool
) -> Terms:
    """G learns to predict the target and to pass for it before D, whose parameters rest meanwhile."""
    terms = {name: term(batch, fake) for name, term in state.objective.pair_terms.items()}
    if adversarial:
        # Past the wrapper of several processes: D's gradients are not wanted here, so none are exchanged.
        discriminator = state.accelerator.unwrap_model(state.discriminator)
        trained = [parameter for parameter in discriminator.parameters() if parameter.requires_grad]
        set_trainable(trained, False)
        logits = discriminator(batch.baseline, batch.followup, fake)
        set_trainable(trained, True)
        terms["adversarial"] = state.objective.adversarial.generator(logits)
    total = state.objective.total(terms)
    state.accelerator.backward(share * total)
    return {name: term.detach() for name, term in terms.items()} | {"generator": total.detach()}


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
