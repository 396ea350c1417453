"""The method: one training step of each stage, phase by phase.

Every phase returns its raw, detached terms by name; nothing here leaves the device.
"""

from collections.abc import Iterable
from dataclasses import replace

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.swa_utils import get_ema_multi_avg_fn

from data import ImageBatch, PairBatch
from gan.state import AdversarialState, PretrainState, Terms
from losses import masked_l1_loss

Logits = Tensor | list[Tensor]


def pretrain_step(state: PretrainState, batch: ImageBatch, mask: Tensor) -> Terms:
    """Reconstruct hidden patches from visible ones; only hidden pixels count."""
    accelerator = state.accelerator
    with accelerator.accumulate(state.model):
        reconstruction = state.model(batch.image, mask)
        loss = masked_l1_loss(reconstruction, batch.image, mask, batch.valid)
        accelerator.backward(loss)
        optimiser_step(accelerator, state.optimizer, state.model, state.clip_norm)
    return {"masked_l1": loss.detach()}


def adversarial_step(state: AdversarialState, batch: PairBatch, *, adversarial: bool) -> Terms:
    """One D phase and one G phase on the same prediction; without `adversarial`, the G phase alone."""
    with state.accelerator.accumulate(state.generator, state.discriminator):
        fake = state.generator(batch.baseline, batch.followup)
        if batch.valid is not None:
            # Padding counts nowhere: D could tell real from fake by it, and features would compare it.
            assert batch.target is not None
            fake, batch = fake * batch.valid, replace(batch, target=batch.target * batch.valid)
        terms = discriminator_phase(state, batch, fake.detach()) if adversarial else {}
        return terms | generator_phase(state, batch, fake, adversarial=adversarial)


def discriminator_phase(state: AdversarialState, batch: PairBatch, fake: Tensor) -> Terms:
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
    state.accelerator.backward(loss)
    optimiser_step(state.accelerator, state.optimizer_discriminator, state.discriminator, clip_norm=0)
    return {
        "discriminator": loss.detach(),
        "logits_real": mean_logit(logits_real),
        "logits_fake": mean_logit(logits_fake),
    }


def generator_phase(state: AdversarialState, batch: PairBatch, fake: Tensor, *, adversarial: bool) -> Terms:
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
    state.accelerator.backward(total)
    optimiser_step(state.accelerator, state.optimizer_generator, state.generator, state.clip_norm)
    return {name: term.detach() for name, term in terms.items()} | {"generator": total.detach()}


def ema_update(state: AdversarialState, decay: float) -> None:
    """Move the average of the generator, buffers included, towards the generator.

    Source: Yazici et al., ICLR 2019, equation 3.
    """
    state.ema.multi_avg_fn = get_ema_multi_avg_fn(decay)
    state.ema.update_parameters(state.accelerator.unwrap_model(state.generator))


def optimiser_step(
    accelerator: Accelerator, optimizer: Optimizer, model: nn.Module, clip_norm: float
) -> None:
    """Clip, step and clear; between two steps of gradient accumulation accelerate makes this a no-op."""
    if accelerator.sync_gradients and clip_norm > 0:
        accelerator.clip_grad_norm_(model.parameters(), clip_norm)
    optimizer.step()
    optimizer.zero_grad()


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
