"""Random changes to a batch, on its device.

What happens to a sample follows from the seed, the epoch and the sample's id alone: not from the batch it is
in, the number of devices, or what was drawn before it. Every image is interpolated once.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from kornia.enhance import adjust_brightness, adjust_gamma
from kornia.geometry.transform import get_affine_matrix2d, warp_affine
from torch import Tensor

from data.base.seeds import fold_seed
from data.batch import ImageBatch, PairBatch
from data.config import AugmentConfig, Change

_GEOMETRY = ("rotation", "shift_x", "shift_y", "scale", "extra_rotation", "extra_shift_x", "extra_shift_y")
_TONE = ("brightness", "contrast", "gamma", "noise")
_ROLES = ("image", "baseline", "followup")
_DRAWN = ("swap", *_GEOMETRY, *(f"{role}_{name}" for role in _ROLES for name in _TONE))


@torch.no_grad()
def augment_pairs(
    batch: PairBatch, config: AugmentConfig, *, seed: int, epoch: int, change: Change = "magnitude"
) -> PairBatch:
    """Augment pairs: swap, then geometry, then intensity.

    A swap exchanges the two images and the two targets, and turns the sign of a signed change; pairs without
    `target_baseline` stay as they are. Followup, target and `valid` share one affine map; baseline and its
    target share that map followed by a small misalignment. Intensity and noise differ between the two
    images, which stay in `[0, 1]`; padding stays black.

    Args:
        batch: images `[B, 1, H, W]` float32 in `[0, 1]`.
        config: largest magnitudes.
        seed: seed of the run.
        epoch: pass over the data; every pass draws anew.
        change: what targets mean.

    Returns:
        A new batch, or `batch` itself where augmentation is off. Where geometry moves, `valid` leaves out
        what came from outside of the followup.
    """
    if not config.enabled:
        return batch
    draws = _Draws(batch.id, seed, epoch, batch.followup.device)
    batch = _swap(batch, draws["swap"] < 2 * config.swap - 1, change)
    baseline, target_baseline, valid_baseline = batch.baseline, batch.target_baseline, batch.valid
    followup, target, valid = batch.followup, batch.target, batch.valid

    placement = (config.rotation, config.translation, config.scale)
    misalignment = (config.misalignment_rotation, config.misalignment_translation)
    if any(placement + misalignment):
        followup_map = _pixel_maps(followup, draws, *placement)
        baseline_map = _pixel_maps(followup, draws, *misalignment, kind="extra_") @ followup_map
        followup, target, valid = _warp(followup, target, valid, followup_map)
        baseline, target_baseline, valid_baseline = _warp(
            baseline, target_baseline, valid_baseline, baseline_map
        )

    return replace(
        batch,
        baseline=_adjust_tone(baseline, valid_baseline, "baseline", draws, config),
        followup=_adjust_tone(followup, valid, "followup", draws, config),
        target=target,
        target_baseline=target_baseline,
        valid=valid,
    )


@torch.no_grad()
def augment_images(batch: ImageBatch, config: AugmentConfig, *, seed: int, epoch: int) -> ImageBatch:
    """Augment single images: geometry, then intensity. See `augment_pairs` for arguments and result."""
    if not config.enabled:
        return batch
    draws = _Draws(batch.id, seed, epoch, batch.image.device)
    image, valid = batch.image, batch.valid
    placement = (config.rotation, config.translation, config.scale)
    if any(placement):
        image, _, valid = _warp(image, None, valid, _pixel_maps(image, draws, *placement))
    return replace(batch, image=_adjust_tone(image, valid, "image", draws, config), valid=valid)


class _Draws:
    """The random numbers of a batch, each sample's from a generator of its own."""

    def __init__(self, ids: Sequence[str], seed: int, epoch: int, device: torch.device) -> None:
        self._keys = [f"{seed}/{epoch}/{name}" for name in ids]
        self._device = device
        uniform = [np.random.default_rng(fold_seed(key)).uniform(-1, 1, len(_DRAWN)) for key in self._keys]
        table = torch.tensor(np.array(uniform), dtype=torch.float32, device=device)
        self._uniform = dict(zip(_DRAWN, table.unbind(1), strict=True))

    def __getitem__(self, name: str) -> Tensor:
        """`[B]`, uniform in `[-1, 1)`."""
        return self._uniform[name]

    def normal(self, role: str, shape: Sequence[int]) -> Tensor:
        """`[B, *shape]`, standard normal, drawn on the device."""
        generator = torch.Generator(self._device)
        fields = [
            torch.randn(*shape, generator=generator.manual_seed(fold_seed(key, role)), device=self._device)
            for key in self._keys
        ]
        return torch.stack(fields)


def _swap(batch: PairBatch, chosen: Tensor, change: Change) -> PairBatch:
    if batch.target is None or batch.target_baseline is None:
        return batch
    if batch.swappable is not None:
        chosen = chosen & batch.swappable
    chosen = chosen.view(-1, 1, 1, 1)
    sign = -1 if change == "signed" else 1
    return replace(
        batch,
        baseline=torch.where(chosen, batch.followup, batch.baseline),
        followup=torch.where(chosen, batch.baseline, batch.followup),
        target=torch.where(chosen, sign * batch.target_baseline, batch.target),
        target_baseline=torch.where(chosen, sign * batch.target, batch.target_baseline),
    )


def _pixel_maps(
    images: Tensor, draws: _Draws, rotation: float, translation: float, growth: float = 0.0, kind: str = ""
) -> Tensor:
    """Pixel maps `[B, 3, 3]` that turn and scale about the centre, then shift.

    At most by `rotation` degrees, `growth` of the size and `translation` sizes of the image; `kind` says
    whose draws decide, those of the whole pair or the `extra_` ones of the baseline against the followup.
    """
    angle, scale = rotation * draws[f"{kind}rotation"], 1 + growth * draws["scale"]
    shift = translation * torch.stack([draws[f"{kind}shift_x"], draws[f"{kind}shift_y"]], dim=1)
    size = torch.tensor([images.shape[-1], images.shape[-2]], dtype=torch.float32, device=images.device)
    centre = ((size - 1) / 2).expand_as(shift)
    return get_affine_matrix2d(shift * size, centre, scale[:, None].expand_as(shift), angle)


def _warp(
    image: Tensor, target: Tensor | None, valid: Tensor | None, pixel_map: Tensor
) -> tuple[Tensor, Tensor | None, Tensor]:
    """Move an image, its target and its mask together; without a mask, the frame of the image is one."""
    mask = torch.ones_like(image) if valid is None else valid
    channels = torch.cat([image, mask] if target is None else [image, mask, target], dim=1)
    image, mask, *targets = warp_affine(channels, pixel_map[:, :2], image.shape[-2:]).split(1, dim=1)
    # A pixel counts when all that it was mixed from counted; rounding must not decide.
    return image, targets[0] if targets else None, (mask > 0.999).to(mask.dtype)


def _adjust_tone(
    image: Tensor, valid: Tensor | None, role: str, draws: _Draws, config: AugmentConfig
) -> Tensor:
    gain = 1 + config.contrast * draws[f"{role}_contrast"]
    gamma = 1 + config.gamma * draws[f"{role}_gamma"]
    image = adjust_gamma(image, gamma, gain)
    image = adjust_brightness(image, config.brightness * draws[f"{role}_brightness"])
    if config.noise:
        deviation = config.noise * draws[f"{role}_noise"].view(-1, 1, 1, 1)
        image = (image + deviation * draws.normal(role, image.shape[1:])).clamp(0, 1)
    return image if valid is None else image * valid
