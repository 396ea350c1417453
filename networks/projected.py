"""A discriminator that judges by the features of a frozen network."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm as with_spectral_norm

from networks.config import require_positive
from networks.init import initialize
from networks.map_scale import MapScale

_LEAK = 0.2


class ProjectedDiscriminator(nn.Module):
    """Small heads on the features that a frozen network has of baseline, followup and change map.

    The three are looked at one by one and compared in features: a head a layer, each of which says how real
    every place of that layer is. What is real is learned by the heads alone.

    Source: Sauer et al., "Projected GANs Converge Faster", 2021, section 3, without the random projections;
    frozen transformers after Sauer et al., "StyleGAN-T", 2023, section 3.2.

    Args:
        features: maps images `[B, 1, H, W]` in `[0, 1]` to feature maps `[B, C, h, w]`: a module or a method
            of one, which is taken into this one, frozen and in evaluation mode.
        base_channels: channels of every head.
        spectral_norm: hold the largest singular value of each layer of the heads at 1.
        map_gain, standardise: see `MapScale`.
    """

    def __init__(
        self,
        features: Callable[[Tensor], list[Tensor]],
        base_channels: int = 64,
        spectral_norm: bool = True,
        map_gain: float = 1.0,
        standardise: bool = False,
    ) -> None:
        super().__init__()
        require_positive(base_channels=base_channels)
        self.map_scale = MapScale(map_gain, standardise)
        # The module is saved with the discriminator, which so depends on no folder when it is resumed.
        self.method = "forward" if isinstance(features, nn.Module) else features.__name__
        owner: Any = features if isinstance(features, nn.Module) else getattr(features, "__self__", None)
        self.network: nn.Module = owner.requires_grad_(False)
        self.train()
        with torch.no_grad():
            widths = [layer.shape[1] for layer in self._extract(torch.zeros(1, 1, 64, 64))]
        self.heads = nn.ModuleList(_head(3 * width, base_channels, spectral_norm) for width in widths)

    def forward(self, baseline: Tensor, followup: Tensor, change: Tensor) -> list[Tensor]:
        """Logits `[B, 1, h, w]` of every layer, finest first; positive for real."""
        layers = [self._extract(image) for image in (baseline, followup, self.map_scale(change))]
        joined = [torch.cat(of_images, dim=1) for of_images in zip(*layers, strict=True)]
        return [head(x) for head, x in zip(self.heads, joined, strict=True)]

    def train(self, mode: bool = True) -> "ProjectedDiscriminator":
        """Put the heads into training mode; what is frozen stays as it is evaluated."""
        super().train(mode)
        self.network.eval()
        return self

    def _extract(self, image: Tensor) -> list[Tensor]:
        features: list[Tensor] = getattr(self.network, self.method)(image)
        return features


def _head(channels: int, width: int, spectral_norm: bool) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Conv2d(channels, width, 1), nn.Conv2d(width, width, 3, padding=1)]
    layers.append(nn.Conv2d(width, 1, 1))
    for layer in layers:
        initialize(layer)
    if spectral_norm:
        layers = [with_spectral_norm(layer) for layer in layers]
    first, second, last = layers
    return nn.Sequential(first, nn.LeakyReLU(_LEAK), second, nn.LeakyReLU(_LEAK), last)
