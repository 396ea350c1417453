"""Distance between what a discriminator's layers make of real and of fake."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import l1_loss

Features = Sequence[Tensor] | Sequence[Sequence[Tensor]]
"""Feature maps `[B, C, h, w]` of every layer; of a multi-scale discriminator, a list of them a scale."""


def feature_matching_loss(features_real: Features, features_fake: Features) -> Tensor:
    """Mean over all layers, of all scales, of the L1 distance; the gradient reaches the fake's features only.

    Returns:
        Scalar, at least float32.

    Source: Wang et al., "High-Resolution Image Synthesis and Semantic Manipulation with Conditional GANs",
    2018, eq. 3, as a mean over layers.
    """
    pairs = zip(_layers(features_real), _layers(features_fake), strict=True)
    return torch.stack([l1_loss(_wide(fake), _wide(real).detach()) for real, fake in pairs]).mean()


def _layers(features: Features) -> list[Tensor]:
    return [layer for part in features for layer in ([part] if isinstance(part, Tensor) else part)]


def _wide(layer: Tensor) -> Tensor:
    return layer.to(torch.promote_types(layer.dtype, torch.float32))
