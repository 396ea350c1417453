"""Where a pair lies: exchanged, moved together, and apart from each other."""

from dataclasses import dataclass, replace

import torch
from kornia.geometry.transform import get_affine_matrix2d, remap
from torch import Tensor
from torch.nn.functional import interpolate

from data.augment.draws import Numbers
from data.batch import PairBatch
from data.config import AugmentConfig, Change


def swap(batch: PairBatch, chosen: Tensor, change: Change) -> PairBatch:
    """Exchange the two images and the two targets of the chosen pairs `[B, 1]` that have both."""
    if batch.target is None or batch.target_baseline is None:
        return batch
    chosen = chosen.view(-1, 1, 1, 1)
    if batch.swappable is not None:
        chosen = chosen & batch.swappable.view(-1, 1, 1, 1)
    sign = -1 if change == "signed" else 1
    return replace(
        batch,
        baseline=torch.where(chosen, batch.followup, batch.baseline),
        followup=torch.where(chosen, batch.baseline, batch.followup),
        target=torch.where(chosen, sign * batch.target_baseline, batch.target),
        target_baseline=torch.where(chosen, sign * batch.target, batch.target_baseline),
    )


def silence(batch: PairBatch, chosen: Tensor) -> PairBatch:
    """Show the followups of the chosen pairs `[B, 1]` twice: nothing changes in them."""
    chosen = chosen.view(-1, 1, 1, 1)
    target, target_baseline = (
        None if values is None else values.masked_fill(chosen, 0)
        for values in (batch.target, batch.target_baseline)
    )
    baseline = torch.where(chosen, batch.followup, batch.baseline)
    return replace(batch, baseline=baseline, target=target, target_baseline=target_baseline)


@dataclass(frozen=True)
class PixelMaps:
    """Where each pixel takes its value from, as x and y in pixels `[B, 2, H, W]`."""

    baseline: Tensor
    followup: Tensor


def pixel_maps(images: Tensor, numbers: Numbers, config: AugmentConfig) -> PixelMaps | None:
    """How the two images of each pair are moved; None where nothing moves."""
    together = (config.rotation, config.translation, config.scale)
    apart = (config.misalignment_rotation, config.misalignment_translation, config.misalignment_scale)
    if not any((*together, *apart, config.misalignment_elastic, config.mirror)):
        return None
    followup = _affine(images, numbers, *together) @ _mirror(images, numbers, config.mirror)
    baseline = _affine(images, numbers, *apart, kind="extra_") @ followup
    y, x = torch.meshgrid(
        *(torch.arange(length, dtype=torch.float32, device=images.device) for length in images.shape[-2:]),
        indexing="ij",
    )
    points = torch.stack([x, y, torch.ones_like(x)]).flatten(1)
    sources = [
        (torch.linalg.inv(pixel_map)[:, :2] @ points).view(-1, 2, *images.shape[-2:])
        for pixel_map in (baseline, followup)
    ]
    if config.misalignment_elastic:
        sources[0] = sources[0] + _elastic(images, numbers["extra_elastic"], config.misalignment_elastic)
    return PixelMaps(*sources)


def warp(
    image: Tensor, target: Tensor | None, valid: Tensor | None, pixel_map: Tensor
) -> tuple[Tensor, Tensor | None, Tensor]:
    """Move an image, its target and its mask together; without a mask, the frame of the image is one."""
    mask = torch.ones_like(image) if valid is None else valid
    channels = torch.cat([image, mask] if target is None else [image, mask, target], dim=1)
    x, y = pixel_map.unbind(1)
    image, mask, *targets = remap(channels, x, y, align_corners=True).split(1, dim=1)
    # A pixel counts when all that it was mixed from counted; rounding must not decide.
    return image, targets[0] if targets else None, (mask > 0.999).to(mask.dtype)


def _affine(
    images: Tensor, numbers: Numbers, rotation: float, translation: float, growth: float, kind: str = ""
) -> Tensor:
    """Pixel maps `[B, 3, 3]` that turn and scale about the centre, then shift.

    At most by `rotation` degrees, `growth` of the size and `translation` sizes of the image; `kind` says
    whose draws decide, those of the whole pair or the `extra_` ones of the baseline against the followup.
    """
    angle, scale = rotation * numbers[f"{kind}rotation"][:, 0], 1 + growth * numbers[f"{kind}scale"]
    shift = translation * numbers[f"{kind}shift"]
    size = torch.tensor([images.shape[-1], images.shape[-2]], dtype=torch.float32, device=images.device)
    centre = ((size - 1) / 2).expand_as(shift)
    return get_affine_matrix2d(shift * size, centre, scale.expand_as(shift), angle)


def _mirror(images: Tensor, numbers: Numbers, probability: float) -> Tensor:
    """Pixel maps `[B, 3, 3]` that exchange left and right with some probability."""
    chosen = (numbers["mirror"][:, 0] + 1) / 2 < probability
    pixel_map = torch.eye(3, device=images.device).repeat(len(images), 1, 1)
    pixel_map[:, 0, 0] = torch.where(chosen, -1.0, 1.0)
    pixel_map[:, 0, 2] = chosen * (images.shape[-1] - 1.0)
    return pixel_map


def _elastic(images: Tensor, numbers: Tensor, largest: float) -> Tensor:
    """A smooth displacement `[B, 2, H, W]` in pixels, of at most about `largest` image sizes."""
    strength = (numbers[:, :1] + 1)[..., None, None] / 2 * largest * images.shape[-1]
    return strength * smooth(numbers[:, 1:].view(len(numbers), 2, 5, 5), images.shape[-2:])


def smooth(knots: Tensor, shape: torch.Size | tuple[int, int]) -> Tensor:
    """A smooth field `[N, C, H, W]` through knots `[N, C, K, K]` that span the image."""
    return interpolate(knots, size=tuple(shape), mode="bicubic", align_corners=True)
