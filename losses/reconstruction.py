"""Distances of a map to a target, over the pixels that count."""

from collections.abc import Callable, Mapping
from functools import partial
from itertools import product
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import l1_loss as absolute_error
from torch.nn.functional import pad, relu

from losses.config import FOREGROUND_THRESHOLD, FOREGROUND_WEIGHT, LossConfig

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


def _mean(values: Tensor, valid: Tensor | None) -> Tensor:
    """Mean over the pixels that count, all of them when None."""
    return values.mean() if valid is None else _mean_where(values, valid)


def _weighted(values: Tensor, target: Tensor, weight: float, threshold: float) -> Tensor:
    """`values`, `1 + weight` times as much where `|target|` exceeds the threshold."""
    return torch.where(target.abs() > threshold, (1 + weight) * values, values) if weight else values


def l1_loss(
    prediction: Tensor,
    target: Tensor,
    valid: Tensor | None = None,
    foreground_weight: float = FOREGROUND_WEIGHT,
    foreground_threshold: float = FOREGROUND_THRESHOLD,
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
    return _mean(_weighted(error, target, foreground_weight, foreground_threshold), valid)


def l2_loss(
    prediction: Tensor,
    target: Tensor,
    valid: Tensor | None = None,
    foreground_weight: float = FOREGROUND_WEIGHT,
    foreground_threshold: float = FOREGROUND_THRESHOLD,
) -> Tensor:
    """`l1_loss` of squared errors: what is a little off costs little. Arguments and result as there."""
    error = _absolute_error(*_counted(prediction, target, valid)).square()
    return _mean(_weighted(error, target, foreground_weight, foreground_threshold), valid)


def shift_tolerant_l1_loss(
    prediction: Tensor,
    target: Tensor,
    valid: Tensor | None = None,
    radius: int = 1,
    foreground_weight: float = FOREGROUND_WEIGHT,
    foreground_threshold: float = FOREGROUND_THRESHOLD,
) -> Tensor:
    """Of every map the smallest `l1_loss` to the target moved by up to `radius` pixels; their mean.

    A pair that is not quite aligned then costs nothing. A pixel counts where it and the target's pixel that
    it is held against both do; what is moved in from outside does not.

    Args:
        prediction: change map `[B, 1, H, W]`.
        target: the true map, same shape.
        valid: pixels that count, broadcastable to the maps; all of them when None.
        radius: in pixels, along rows and along columns; 0 is `l1_loss`, averaged map by map.
        foreground_weight: as of `l1_loss`.
        foreground_threshold: as of `l1_loss`.

    Returns:
        Scalar, at least float32.
    """
    height, width = target.shape[-2:]
    counts = torch.ones_like(target) if valid is None else valid.to(target.dtype).expand_as(target)
    moved, moved_counts = pad(target, (radius,) * 4), pad(counts, (radius,) * 4)
    distances = []
    for top, left in product(range(2 * radius + 1), repeat=2):
        window = (..., slice(top, top + height), slice(left, left + width))
        error = _absolute_error(prediction, moved[window])
        error = _weighted(error, moved[window], foreground_weight, foreground_threshold)
        distances.append(_map_means(error, (counts * moved_counts[window]).bool()))
    return torch.stack(distances).amin(0).mean()


def _map_means(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of every map `[B, 1, H, W] -> [B]` where the mask is true; 0 where it is nowhere true."""
    return torch.where(mask, values, 0).flatten(1).sum(1) / mask.flatten(1).sum(1).clamp(min=1)


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
    error = (
        torch.hypot(_absolute_error(*_counted(prediction, target, valid)), torch.tensor(epsilon)) - epsilon
    )
    return _mean(error, valid)


def soft_dice_loss(
    prediction: Tensor, target: Tensor, valid: Tensor | None = None, smooth: float = 1.0
) -> Tensor:
    """Of every map `1 - (2 sum(p t) + smooth) / (sum(p^2) + sum(t^2) + smooth)`; their mean.

    0 only where the maps are equal; a change of the wrong sign costs more than none. Where nothing changed,
    `smooth` leaves a pull towards the empty map.

    Args:
        prediction: change map `[B, 1, H, W]`.
        target: the true map, same shape.
        valid: pixels that count, broadcastable to the maps; all of them when None.
        smooth: in pixels of full change; above 0.

    Returns:
        Scalar in `[0, 2]`, at least float32.

    Source: Milletari et al., "V-Net", 2016, section 3.
    """
    p, t = _counted(prediction, target, valid)
    overlap, mass = (values.flatten(1).sum(1) for values in (p * t, p.square() + t.square()))
    return (1 - (2 * overlap + smooth) / (mass + smooth)).mean()


def gradient_difference_loss(prediction: Tensor, target: Tensor, valid: Tensor | None = None) -> Tensor:
    """Mean difference of the absolute steps between neighbours, along rows and along columns: edges as sharp.

    A step counts where both of its pixels do.

    Args:
        prediction: change map `[B, 1, H, W]`.
        target: the true map, same shape.
        valid: pixels that count, broadcastable to the maps; all of them when None.

    Returns:
        Scalar, at least float32.

    Source: Mathieu et al., "Deep multi-scale video prediction beyond mean square error", 2016, eq. 6, with
    alpha 1 and a mean in place of the sum.
    """
    p, t = _counted(prediction, target, valid)
    counts = torch.ones_like(t) if valid is None else valid.to(t.dtype).expand_as(t)
    differences, counted = [], []
    for axis in (-2, -1):
        length = t.shape[axis] - 1
        differences.append((p.diff(dim=axis).abs() - t.diff(dim=axis).abs()).abs().flatten())
        counted.append((counts.narrow(axis, 1, length) * counts.narrow(axis, 0, length)).flatten())
    return _mean_where(torch.cat(differences), torch.cat(counted))


def sign_loss(
    prediction: Tensor,
    target: Tensor,
    valid: Tensor | None = None,
    foreground_threshold: float = FOREGROUND_THRESHOLD,
) -> Tensor:
    """Mean over changed pixels of how far a signed prediction lies on the wrong side of 0.

    Args:
        prediction: signed change map `[B, 1, H, W]`.
        target: the true map, same shape.
        valid: pixels that count, broadcastable to the maps; all of them when None.
        foreground_threshold: a pixel counts as changed where `|target|` exceeds this.

    Returns:
        Scalar, at least float32; 0 where nothing changed.
    """
    p, t = _counted(prediction, target, valid)
    return _mean_where(relu(-p * t.sign()), t.abs() > foreground_threshold)


def ms_ssim_loss(prediction: Tensor, target: Tensor, valid: Tensor | None = None) -> Tensor:
    """1 minus the structural similarity over as many of its five scales as fit into the maps.

    The similarity of each scale, `[-1, 1]`, is mapped to `[0, 1]`, for its power would have no finite
    gradient at 0. Pixels that do not count are taken for empty in both maps.

    Args:
        prediction: change map `[B, 1, H, W]`, whose largest magnitude is taken to be 1.
        target: the true map, same shape; at least 12 pixels a side.
        valid: pixels that count, broadcastable to the maps; all of them when None.

    Returns:
        Scalar, at least float32.

    Source: Wang et al., "Multiscale structural similarity for image quality assessment", 2003, eq. 7.
    """
    from torchmetrics.functional.image import multiscale_structural_similarity_index_measure

    p, t = _counted(prediction, target, valid)
    # The library wants more than ten pixels a side after so many halvings.
    fitting = [n for n in range(1, 6) if min(t.shape[-2:]) // max(1, n - 1) ** 2 > 10]
    shares = _SCALE_WEIGHTS[: fitting[-1]]
    betas = tuple(share / sum(shares) for share in shares)
    with torch.autocast(p.device.type, enabled=False):
        similarity = multiscale_structural_similarity_index_measure(
            p, t, data_range=1.0, betas=betas, normalize="simple"
        )
    assert isinstance(similarity, Tensor)
    return 1 - similarity


_SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Of the scales of `ms_ssim_loss`, fine to coarse; section 3.2 of its source."""


def focal_frequency_loss(
    prediction: Tensor, target: Tensor, valid: Tensor | None = None, alpha: float = 1.0
) -> Tensor:
    """Mean over frequencies of the squared difference of the spectra, those that differ most weighing most.

    The weight of a frequency is the magnitude of its difference to the power of `alpha`, divided by the
    largest of its map; it passes no gradient. Pixels that do not count are taken for empty in both maps.

    Args:
        prediction: change map `[B, 1, H, W]`.
        target: the true map, same shape.
        valid: pixels that count, broadcastable to the maps; all of them when None.
        alpha: 0 is the mean squared error.

    Returns:
        Scalar, at least float32.

    Source: Jiang et al., "Focal Frequency Loss for Image Reconstruction and Synthesis", ICCV 2021, eq. 8.
    """
    p, t = _counted(prediction, target, valid)
    power = torch.fft.fft2(p - t, norm="ortho").abs().square()
    weight = power.detach().pow(alpha / 2)
    weight = weight / weight.amax((-2, -1), keepdim=True).clamp(min=torch.finfo(weight.dtype).tiny)
    return (weight * power).mean()


def _counted(prediction: Tensor, target: Tensor, valid: Tensor | None) -> tuple[Tensor, Tensor]:
    """Both maps in at least float32, 0 where pixels do not count."""
    dtype = torch.promote_types(torch.promote_types(prediction.dtype, target.dtype), torch.float32)
    maps = prediction.to(dtype), target.to(dtype)
    if valid is None:
        return maps
    counts = valid.bool()
    return torch.where(counts, maps[0], 0), torch.where(counts, maps[1], 0)


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


def _foreground(options: LossConfig) -> dict[str, Any]:
    return {
        "foreground_weight": options.foreground_weight,
        "foreground_threshold": options.foreground_threshold,
    }


PIXEL_LOSSES: Mapping[str, Callable[[LossConfig], PixelLoss]] = {
    "l1": lambda options: partial(l1_loss, **_foreground(options)),
    "l2": lambda options: partial(l2_loss, **_foreground(options)),
    "charbonnier": lambda _: charbonnier_loss,
    "shift_tolerant_l1": lambda options: partial(
        shift_tolerant_l1_loss, radius=options.shift_radius, **_foreground(options)
    ),
    "soft_dice": lambda _: soft_dice_loss,
    "gradient_difference": lambda _: gradient_difference_loss,
    "ms_ssim": lambda _: ms_ssim_loss,
    "focal_frequency": lambda _: focal_frequency_loss,
    "sign": lambda options: partial(sign_loss, foreground_threshold=options.foreground_threshold),
}
"""Terms of prediction, target and the pixels that count, by the names of their weights in `LossWeights`."""
