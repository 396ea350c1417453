"""Adversarial objectives, each a pair of functions of the discriminator's logits.

Logits are a tensor of any shape, or a list of tensors from a multi-scale discriminator, over whose scales
the loss is averaged. `logits_fake` of a discriminator's loss belong to a detached fake.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import relu, softplus

Logits = Tensor | Sequence[Tensor]


def _mean(penalty: Callable[[Tensor], Tensor], logits: Logits) -> Tensor:
    """Mean of `penalty` over the pixels of each scale, then over scales, in at least float32."""
    scales = [logits] if isinstance(logits, Tensor) else logits
    return torch.stack(
        [penalty(scale.to(torch.promote_types(scale.dtype, torch.float32))).mean() for scale in scales]
    ).mean()


def hinge_discriminator_loss(logits_real: Logits, logits_fake: Logits) -> Tensor:
    """Mean of `max(0, 1 - real)` plus mean of `max(0, 1 + fake)`: no gradient beyond the margin.

    Source: Lim and Ye, "Geometric GAN", 2017; Miyato et al., "Spectral Normalization for GANs", 2018, eq. 16.
    """
    return _mean(lambda real: relu(1 - real), logits_real) + _mean(lambda fake: relu(1 + fake), logits_fake)


def hinge_generator_loss(logits_fake: Logits) -> Tensor:
    """Mean of `-fake`: linear, without a margin.

    Source: Lim and Ye, "Geometric GAN", 2017; Miyato et al., "Spectral Normalization for GANs", 2018, eq. 17.
    """
    return _mean(torch.neg, logits_fake)


def least_squares_discriminator_loss(logits_real: Logits, logits_fake: Logits) -> Tensor:
    """Half the mean of `(real - 1)^2` plus half the mean of `fake^2`.

    Source: Mao et al., "Least Squares Generative Adversarial Networks", 2017, eq. 9 (0-1 coding).
    """
    return 0.5 * (_mean(lambda real: (real - 1).square(), logits_real) + _mean(torch.square, logits_fake))


def least_squares_generator_loss(logits_fake: Logits) -> Tensor:
    """Half the mean of `(fake - 1)^2`.

    Source: Mao et al., "Least Squares Generative Adversarial Networks", 2017, eq. 9 (0-1 coding).
    """
    return 0.5 * _mean(lambda fake: (fake - 1).square(), logits_fake)


def non_saturating_discriminator_loss(logits_real: Logits, logits_fake: Logits) -> Tensor:
    """Binary cross-entropy with real = 1 and fake = 0, summed over the two.

    Source: Goodfellow et al., "Generative Adversarial Nets", 2014, eq. 1, on logits.
    """
    return _mean(lambda real: softplus(-real), logits_real) + _mean(softplus, logits_fake)


def non_saturating_generator_loss(logits_fake: Logits) -> Tensor:
    """Mean of `-log sigmoid(fake)`, whose gradient does not vanish where the discriminator wins.

    Source: Goodfellow et al., "Generative Adversarial Nets", 2014, section 3.
    """
    return _mean(lambda fake: softplus(-fake), logits_fake)


class AdversarialLoss(NamedTuple):
    """The two sides of one adversarial objective, both to be minimised."""

    discriminator: Callable[[Logits, Logits], Tensor]
    generator: Callable[[Logits], Tensor]


ADVERSARIAL: dict[str, AdversarialLoss] = {
    "hinge": AdversarialLoss(hinge_discriminator_loss, hinge_generator_loss),
    "least_squares": AdversarialLoss(least_squares_discriminator_loss, least_squares_generator_loss),
    "non_saturating": AdversarialLoss(non_saturating_discriminator_loss, non_saturating_generator_loss),
}
