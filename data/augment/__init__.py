"""Random changes to a batch, on its device.

What happens to a sample follows from the seed, the epoch and the sample's key alone (its id, where it has no
other): not from the batch it is in, the number of devices, or what was drawn before it. Every image is
interpolated once.
"""

from dataclasses import replace

import torch
from torch import Tensor

from data.augment.detector import detect
from data.augment.draws import Draws
from data.augment.objects import lay_objects, share_structure
from data.augment.placement import pixel_maps, silence, swap, warp
from data.batch import ImageBatch, PairBatch
from data.config import AugmentConfig, Change


@torch.no_grad()
def augment_pairs(
    batch: PairBatch, config: AugmentConfig, *, seed: int, epoch: int, change: Change = "magnitude"
) -> PairBatch:
    """Augment pairs: swap, silence, structure that both images show, geometry, then each image's own film.

    A swap exchanges the two images and both targets of pairs that have `target_baseline`, and turns the sign
    of a signed change. Followup, target and `valid` share one affine map; baseline and its target share that
    map followed by a small misalignment. Exposure, processing, noise and what lies on the film differ between
    the two images, which stay in `[0, 1]`; padding stays black. Where collimation hides either image nothing
    can be seen to change, and the target is 0.

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
    config = at_epoch(config, epoch)
    draws = Draws(batch.keys, seed, epoch, batch.followup.device)
    numbers = draws["pair"]
    batch = swap(batch, numbers["swap"] < 2 * config.swap - 1, change)
    silent, alike = numbers.shares("silent")
    silent = silent < config.silent
    batch = silence(batch, silent)
    images = share_structure(torch.cat([batch.baseline, batch.followup]), numbers, config)
    baseline, followup = images.chunk(2)
    target, target_baseline = batch.target, batch.target_baseline
    valid_baseline = valid = batch.valid

    maps = pixel_maps(followup, numbers, config)
    if maps is not None:
        baseline, target_baseline, valid_baseline = warp(
            baseline, target_baseline, valid_baseline, maps.baseline
        )
        followup, target, valid = warp(followup, target, valid, maps.followup)

    films, seen = _film(
        [baseline, followup], [valid_baseline, valid], draws, ("baseline", "followup"), config
    )
    if seen is not None:
        shown = seen[0] * seen[1]
        target = None if target is None else target * shown
        target_baseline = None if target_baseline is None else target_baseline * shown
    return replace(
        batch,
        baseline=torch.where(silent & (alike < 0.25), films[1], films[0]),
        followup=films[1],
        target=target,
        target_baseline=target_baseline,
        valid=valid,
    )


@torch.no_grad()
def augment_images(batch: ImageBatch, config: AugmentConfig, *, seed: int, epoch: int) -> ImageBatch:
    """Augment single images: geometry, then the film. See `augment_pairs` for arguments and result."""
    if not config.enabled:
        return batch
    config = at_epoch(config, epoch)
    draws = Draws(batch.keys, seed, epoch, batch.image.device)
    image, valid = batch.image, batch.valid
    maps = pixel_maps(image, draws["pair"], config)
    if maps is not None:
        image, _, valid = warp(image, None, valid, maps.followup)
    films, _ = _film([image], [valid], draws, ("image",), config)
    return replace(batch, image=films[0], valid=valid)


def at_epoch(config: AugmentConfig, epoch: int) -> AugmentConfig:
    """The magnitudes of one pass over the data; exchanges of images or sides are no magnitudes."""
    if epoch >= config.ramp_epochs:
        return config
    strength = (epoch + 1) / (config.ramp_epochs + 1)
    kept = ("enabled", "ramp_epochs", "swap", "mirror", "silent")
    scaled = {name: strength * value for name, value in vars(config).items() if name not in kept}
    return replace(config, **scaled)


def _film(
    images: list[Tensor],
    valid: list[Tensor | None],
    draws: Draws,
    roles: tuple[str, ...],
    config: AugmentConfig,
) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...] | None]:
    """The images as so many detectors show them, and what collimation leaves to be seen of each."""
    count, numbers = len(images), draws.joined(roles)
    films, seen = lay_objects(torch.cat(images), numbers, config)
    films = detect(films, numbers, config)
    if valid[0] is not None:
        films = films * torch.cat([mask for mask in valid if mask is not None])
    return films.chunk(count), None if seen is None else seen.chunk(count)
