"""Random patch masks for masked reconstruction."""

from collections.abc import Sequence

import torch
from torch import Tensor

from data.base.seeds import fold_seed
from gan.pretrain.options import MaskConfig


def patch_masks(
    ids: Sequence[str], size: tuple[int, int], mask: MaskConfig, *, seed: int, epoch: int
) -> Tensor:
    """Masks `[B, 1, H, W]` bool, True where a pixel is hidden; whole patches of a regular grid.

    Exactly `round(ratio * patches)` patches of an image are hidden, at least one and never all. The mask
    of an image is a function of (seed, epoch, id) alone. Patches that stick out of an image whose side is
    no multiple of the patch size are cut off.

    Source: SimMIM (Xie et al., CVPR 2022), section 3.2.
    """
    height, width = size
    rows, columns = -(-height // mask.patch_size), -(-width // mask.patch_size)
    patches = rows * columns
    assert patches > 1, "PretrainConfig refuses patches as large as the image"
    hidden = min(max(round(mask.ratio * patches), 1), patches - 1)
    grid = torch.zeros(len(ids), patches, dtype=torch.bool)
    for row, sample in enumerate(ids):
        generator = torch.Generator().manual_seed(fold_seed("mask", seed, epoch, sample))
        grid[row, torch.randperm(patches, generator=generator)[:hidden]] = True
    grid = grid.view(len(ids), 1, rows, columns)
    pixels = grid.repeat_interleave(mask.patch_size, dim=2).repeat_interleave(mask.patch_size, dim=3)
    return pixels[..., :height, :width].contiguous()
