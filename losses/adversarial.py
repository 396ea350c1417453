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
    return torch.stack([penalty(_float(scale)).mean() for scale in _scales(logits)]).mean()


def _scales(logits: Logits) -> Sequence[Tensor]:
    return [logits] if isinstance(logits, Tensor) else logits


def _float(logits: Tensor) -> Tensor:
    """The same in at least float32."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def hinge_discriminator_loss(logits_real: Logits, logits_fake: Logits) -> Tensor:
    """Mean of `max(0, 1 - real)` plus mean of `max(0, 1 + fake)`: no gradient beyond the margin.

    Source: Lim and Ye, "Geometric GAN", 2017; Miyato et al., "Spectral Normalization for GANs", 2018, eq. 16.
    """
    return _mean(lambda real: relu(1 - real), logits_real) + _mean(lambda fake: relu(1 + fake), logits_fake)


def hinge_generator_loss(logits_fake: Logits) -> Tensor:
    """Mean of `-fake`: linear, without a margin; that of Wasserstein GANs, too.

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


def relativistic_discriminator_loss(logits_real: Logits, logits_fake: Logits) -> Tensor:
    """Mean of `-log sigmoid(real - fake)`: each fake against the real map of the same pair.

    Only differences count. It needs both zero-centred penalties (`losses.penalties`); with one it diverges.

    Source: Jolicoeur-Martineau, "The Relativistic Discriminator", 2019; Huang et al., "The GAN is dead; long
    live the GAN! A Modern Baseline GAN", 2024, eq. 2.
    """
    return _mean(softplus, _difference(logits_fake, logits_real))


def relativistic_generator_loss(logits_fake: Logits, logits_real: Logits) -> Tensor:
    """Mean of `-log sigmoid(fake - real)`.

    Source: Huang et al., "The GAN is dead; long live the GAN! A Modern Baseline GAN", 2024, eq. 2.
    """
    return _mean(softplus, _difference(logits_real, logits_fake))


def wasserstein_discriminator_loss(logits_real: Logits, logits_fake: Logits) -> Tensor:
    """Mean of fake minus mean of real, which has no lower bound where the discriminator's slope has none.

    Source: Arjovsky et al., "Wasserstein GAN", 2017, eq. 3.
    """
    return _mean(torch.neg, logits_real) + _mean(torch.clone, logits_fake)


def _difference(left: Logits, right: Logits) -> Logits:
    """`left - right`, scale by scale, in at least float32."""
    pairs = zip(_scales(left), _scales(right), strict=True)
    return [_float(one) - _float(other) for one, other in pairs]


def shares_right(logits_real: Logits, logits_fake: Logits, threshold: float | None) -> tuple[Tensor, Tensor]:
    """Shares of the real and of the fake patches that a discriminator gets right; of scales, the mean.

    A patch at the threshold counts half, so one that says the same of everything has 0.5 on average.

    Args:
        logits_real: of the true maps.
        logits_fake: of the predicted maps of the same pairs.
        threshold: logit above which a patch is taken for real. None: a patch of a pair is right where the
            real one has the higher logit, and both shares are the same.
    """
    with torch.no_grad():
        if threshold is None:
            right = _mean(_share_positive, _difference(logits_real, logits_fake))
            return right, right
        real = _mean(lambda logits: _share_positive(logits - threshold), logits_real)
        fake = _mean(lambda logits: _share_positive(threshold - logits), logits_fake)
    return real, fake


def _share_positive(values: Tensor) -> Tensor:
    return (values.sign() + 1) / 2


class AdversarialLoss(NamedTuple):
    """The two sides of one adversarial objective, both to be minimised."""

    discriminator: Callable[[Logits, Logits], Tensor]
    """Of the logits of real and fake."""
    generator: Callable[..., Tensor]
    """Of the logits of the fake; where the objective is relative, also of those of the real."""
    threshold: float | None = 0.0
    """Logit above which a patch is taken for real; None where only differences of logits mean anything."""
    relative: bool = False
    """Whether the generator's side needs the logits of the real maps too."""


ADVERSARIAL: dict[str, AdversarialLoss] = {
    "hinge": AdversarialLoss(hinge_discriminator_loss, hinge_generator_loss),
    "least_squares": AdversarialLoss(
        least_squares_discriminator_loss, least_squares_generator_loss, threshold=0.5
    ),
    "non_saturating": AdversarialLoss(non_saturating_discriminator_loss, non_saturating_generator_loss),
    "relativistic": AdversarialLoss(
        relativistic_discriminator_loss, relativistic_generator_loss, threshold=None, relative=True
    ),
    "wasserstein": AdversarialLoss(wasserstein_discriminator_loss, hinge_generator_loss, threshold=None),
}
