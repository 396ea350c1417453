"""Penalties on the slope of a discriminator, to be added to its loss.

Each needs the gradient of logits with respect to maps, so their own gradient takes a second derivative. The
slope at a map is that of the sum of its `P` patches' logits over the root of `P`: of a single logit its own,
and of patches that do not overlap the root mean square of theirs, however many there are. Scales weigh alike.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

Logits = Tensor | Sequence[Tensor]


def zero_centred_penalty(logits: Logits, maps: Tensor) -> Tensor:
    """Mean over maps of half the squared slope: R1 at true maps, R2 at predicted ones.

    Args:
        logits: what a discriminator makes of the maps, with its graph.
        maps: `[B, 1, H, W]`, which require a gradient.

    Returns:
        Scalar with a graph, to be weighted by gamma.

    Source: Mescheder et al., "Which Training Methods for GANs do actually Converge?", 2018, eq. 9 and 10;
    with one logit a map, the penalties of Huang et al. (R3GAN), 2024, eq. 3 and 4.
    """
    return 0.5 * _squared_slopes(logits, maps).mean()


def unit_slope_penalty(logits: Logits, maps: Tensor) -> Tensor:
    """Mean over maps of the squared distance of the slope from 1, at maps between true and predicted ones.

    Arguments and result are those of `zero_centred_penalty`.

    Source: Gulrajani et al., "Improved Training of Wasserstein GANs", 2017, eq. 3.
    """
    # The root has no slope at 0, where the penalty's gradient is taken to be 0.
    return ((_squared_slopes(logits, maps) + 1e-12).sqrt() - 1).square().mean()


def _squared_slopes(logits: Logits, maps: Tensor) -> Tensor:
    """`[B]`, the squared norm of the gradient at each map."""
    scales = [logits] if isinstance(logits, Tensor) else logits
    total = (
        torch.stack([scale.sum() / scale[0].numel() ** 0.5 for scale in scales]).sum() / len(scales) ** 0.5
    )
    (gradient,) = torch.autograd.grad(total, maps, create_graph=True)
    return gradient.flatten(1).square().sum(1)
