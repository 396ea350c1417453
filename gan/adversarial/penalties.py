"""Penalties on the discriminator's slope, as terms of its loss: in float32 whatever the run's precision."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from data import PairBatch
from data.augment.draws import Numbers
from losses import LossConfig, unit_slope_penalty, zero_centred_penalty

Penalty = Callable[[nn.Module, PairBatch, Tensor], Tensor]


def penalties_of(options: LossConfig) -> tuple[dict[str, Penalty], dict[str, float]]:
    """The penalties that have a weight, and their weights by name.

    They are computed in one of `penalty_every` steps, and weigh as many times as much there (Karras et al.,
    CVPR 2020, appendix B).
    """
    weights = {name: options.penalty_every * getattr(options, name) for name in PENALTIES}
    used = {name: weight for name, weight in weights.items() if weight > 0}
    return {name: PENALTIES[name] for name in used}, used


def r1(discriminator: nn.Module, batch: PairBatch, fake: Tensor) -> Tensor:
    """Half the mean squared slope at the true maps."""
    del fake
    assert batch.target is not None
    return _penalty(zero_centred_penalty, discriminator, batch, batch.target)


def r2(discriminator: nn.Module, batch: PairBatch, fake: Tensor) -> Tensor:
    """Half the mean squared slope at the predicted maps."""
    return _penalty(zero_centred_penalty, discriminator, batch, fake)


def gradient_penalty(discriminator: nn.Module, batch: PairBatch, fake: Tensor) -> Tensor:
    """Mean squared distance of the slope from 1 at a random point between the two maps of each pair."""
    assert batch.target is not None
    (part,) = Numbers(batch.keys, {"between": 1}, fake.device).shares("between")
    return _penalty(unit_slope_penalty, discriminator, batch, torch.lerp(fake, batch.target, part))


def _penalty(
    penalty: Callable[[Tensor, Tensor], Tensor], discriminator: nn.Module, batch: PairBatch, maps: Tensor
) -> Tensor:
    maps = maps.detach().float().requires_grad_()
    with torch.autocast(maps.device.type, enabled=False):
        # The class's own forward: that of the instance computes in the run's precision.
        logits = type(discriminator).forward(discriminator, batch.baseline, batch.followup, maps)
        return penalty(logits, maps)


PENALTIES: Mapping[str, Penalty] = {"r1": r1, "r2": r2, "gradient_penalty": gradient_penalty}
"""Of (discriminator, batch, detached fake), by the names of their weights in `LossConfig`."""
