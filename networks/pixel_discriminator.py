"""The conditional discriminator that judges every pixel by itself."""

import itertools

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm as with_spectral_norm

from networks.config import require_positive
from networks.hub import PretrainedModel
from networks.init import initialize
from networks.map_scale import MapScale


class PixelDiscriminator(PretrainedModel):
    """The 1x1 PatchGAN: `baseline, followup, change map -> [B, 1, H, W]` logits, positive for real.

    It sees which values belong together at a pixel and no structure around it.

    Source: Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks", 2017,
    appendix 6.1.2.

    Args:
        in_channels: channels of all images together.
        base_channels: channels of the first layer; the second has twice as many.
        spectral_norm: hold each layer's largest singular value at 1.
        map_gain, standardise: see `MapScale`; the change map is the last channel.

    Raises:
        ValueError: a count is not positive.
    """

    def __init__(
        self,
        in_channels: int = 3,
        base_channels: int = 64,
        spectral_norm: bool = True,
        map_gain: float = 1.0,
        standardise: bool = False,
    ) -> None:
        super().__init__()
        require_positive(in_channels=in_channels, base_channels=base_channels)
        self.map_scale = MapScale(map_gain, standardise)
        widths = (in_channels, base_channels, 2 * base_channels, 1)
        layers = [nn.Conv2d(before, after, 1) for before, after in itertools.pairwise(widths)]
        first, second, last = layers
        self.layers = nn.Sequential(first, nn.LeakyReLU(0.2), second, nn.LeakyReLU(0.2), last)
        initialize(self)
        for layer in layers if spectral_norm else ():
            with_spectral_norm(layer)

    def forward(self, *images: Tensor) -> Tensor:
        """Images `[B, C_i, H, W]`, together `in_channels`, to logits `[B, 1, H, W]`."""
        logits: Tensor = self.layers(self.map_scale.of_last(torch.cat(images, dim=1)))
        return logits
