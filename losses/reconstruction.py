"""Pixel-wise distances to a target."""

from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import l1_loss as absolute_error

from losses.config import LossConfig

PixelLoss = Callable[[Tensor, Tensor, Tensor | None], Tensor]
"""(prediction, target, pixels that count or None) -> scalar."""


def _absolute_error(prediction: Tensor, target: Tensor) -> Tensor:
    """`|prediction - target|`, in at least float32 whatever the precision of the inputs."""
    dtype = torch.promote_types(torch.promote_types(prediction.dtype, target.dtype), torch.float32)
    return absolute_error(prediction.to(dtype), target.to(dtype), reduction="none")


def _mean_where(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of `values` where the broadcastable `mask` is true; 0 where it is nowhere true."""
    chosen = mask.bool().expand_as(values)
    return torch.where(chosen, values, 0).sum() / chosen.sum().clamp(min=1)


def l1_loss(
    prediction: Tensor,
    target: Tensor,
    valid: Tensor | None = None,
    foreground_weight: float = 1.5,
    foreground_threshold: float = 0.05,
) -> Tensor:
    """L1 distance in which changed pixels weigh more.

    Change maps are almost empty: with equal weights the empty map is close to optimal, and generators settle
    there. The mean is taken over pixels, not over weights, so a pixel's pull does not depend on how much else
    changed.

    Args:
        prediction: change map `[B, 1, H, W]`.
        target: the true map, same shape.
        valid: pixels that count, broadcastable to the maps; all of them when None.
        foreground_weight: extra weight of changed pixels, whose weight is `1 + foreground_weight`; 0 is
            plain L1, to the bit.
        foreground_threshold: a pixel counts as changed where `|target|` exceeds this.

    Returns:
        Scalar, at least float32.
    """
    error = _absolute_error(prediction, target)
    if foreground_weight:
        error = torch.where(target.abs() > foreground_threshold, (1 + foreground_weight) * error, error)
    return error.mean() if valid is None else _mean_where(error, valid)


def charbonnier_loss(
    prediction: Tensor, target: Tensor, valid: Tensor | None = None, epsilon: float = 1e-3
) -> Tensor:
    """Mean of `sqrt(error^2 + epsilon^2) - epsilon`: L1 that is smooth where the error is small, 0 at 0.

    Args:
        prediction: change map `[B, 1, H, W]`.
        target: the true map, same shape.
        valid: pixels that count, broadcastable to the maps; all of them when None.
        epsilon: error below which it is quadratic.

    Returns:
        Scalar, at least float32.

    Source: Charbonnier et al., "Two Deterministic Half-Quadratic Regularization Algorithms", 1994.
    """
    error = torch.hypot(_absolute_error(prediction, target), torch.tensor(epsilon)) - epsilon
    return error.mean() if valid is None else _mean_where(error, valid)


def masked_l1_loss(prediction: Tensor, target: Tensor, mask: Tensor, valid: Tensor | None = None) -> Tensor:
    """L1 distance over masked pixels only: what masked-image-modelling learns from.

    Args:
        prediction: reconstruction `[B, 1, H, W]`.
        target: the image, same shape.
        mask: True where the network did not see the image, broadcastable to it.
        valid: pixels that count, broadcastable to the image; all of them when None.

    Returns:
        Scalar, at least float32; 0 when no pixel is masked.

    Source: Xie et al., "SimMIM", 2022, section on prediction targets.
    """
    counted = mask.bool() if valid is None else mask.bool() & valid.bool()
    return _mean_where(_absolute_error(prediction, target), counted)


PIXEL_LOSSES: Mapping[str, Callable[[LossConfig], PixelLoss]] = {
    "l1": lambda options: partial(
        l1_loss,
        foreground_weight=options.foreground_weight,
        foreground_threshold=options.foreground_threshold,
    ),
    "charbonnier": lambda _: charbonnier_loss,
}
"""Pixel-wise terms that the generator can be trained with, by the names of their weights in `LossWeights`."""
