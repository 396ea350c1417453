"""The scale at which a discriminator sees change maps."""

import torch
from torch import Tensor, nn


class MapScale(nn.Module):
    """Multiplies change maps, which are almost empty, so that a discriminator can tell two of them apart.

    Args:
        gain: what maps are multiplied by.
        standardise: divide them first by the root mean square of the true maps seen so far.
    """

    mean_square: Tensor
    seen: Tensor

    def __init__(self, gain: float = 1.0, standardise: bool = False) -> None:
        super().__init__()
        self.gain, self.standardise = gain, standardise
        self.register_buffer("mean_square", torch.zeros(()))
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, change: Tensor) -> Tensor:
        """Maps `[B, 1, H, W]` at their scale; before any true map was seen, as they are but for the gain."""
        if self.standardise:
            change = change * torch.where(self.mean_square > 0, self.mean_square, 1.0).rsqrt().to(
                change.dtype
            )
        return change if self.gain == 1 else self.gain * change

    def of_last(self, images: Tensor) -> Tensor:
        """Images `[B, C, H, W]` with their last channel, which is the map, at its scale."""
        if self.gain == 1 and not self.standardise:
            return images
        return torch.cat([images[:, :-1], self(images[:, -1:])], dim=1)

    @torch.no_grad()
    def observe(self, mean_square: Tensor) -> None:
        """Take in the mean square of the true maps of one step; every step counts alike."""
        if self.standardise:
            self.seen += 1
            self.mean_square += (mean_square - self.mean_square) / self.seen
