"""What adversarial training asks of a discriminator, and the conditional PatchGAN."""

from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm as with_spectral_norm

from networks.blocks import group_norm, pad_to_size
from networks.config import require_positive
from networks.hub import PretrainedModel
from networks.init import initialize
from networks.map_scale import MapScale

_LEAK = 0.2
_WIDEST = 8  # the channels stop doubling at this multiple of the first layer's

Logits = Tensor | list[Tensor]
Features = list[Tensor] | list[list[Tensor]]


class ConditionalDiscriminator(Protocol):
    """The contract of a discriminator, which is an `nn.Module` besides.

    It judges a change map together with the two images it belongs to. One that can say how it came to its
    judgement also takes `return_features=True`, as `Discriminator` does.
    """

    def forward(self, baseline: Tensor, followup: Tensor, change: Tensor, /) -> Logits:
        """`[B, C, H, W]` twice and `[B, 1, H, W]` to logits, positive for real.

        `[B, 1, h, w]` of any size, or a list of them, one for each scale.
        """


class _PatchDiscriminator(nn.Module):
    """One scale: `[B, C, H, W]` to a logit map and the features on the way there."""

    def __init__(self, in_channels: int, base_channels: int, num_layers: int, spectral_norm: bool) -> None:
        super().__init__()
        widths = [base_channels * min(2**level, _WIDEST) for level in range(num_layers + 1)]
        stages: list[nn.Module] = []
        for level, (before, after) in enumerate(zip([in_channels, *widths], widths, strict=False)):
            stride = 2 if level < num_layers else 1
            layers: list[nn.Module] = [nn.Conv2d(before, after, 4, stride, padding=1)]
            if level > 0 and not spectral_norm:
                layers.append(group_norm(after))
            stages.append(nn.Sequential(*layers, nn.LeakyReLU(_LEAK)))
        self.stages = nn.ModuleList(stages)
        self.head = nn.Conv2d(widths[-1], 1, 4, padding=1)
        initialize(self)
        if spectral_norm:
            for module in list(self.modules()):
                if isinstance(module, nn.Conv2d):
                    with_spectral_norm(module)

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return self.head(x), features


class Discriminator(PretrainedModel):
    """Judges every patch of a change map together with the two images it belongs to.

    With the defaults each logit sees 70 x 70 pixels. No norm depends on the batch.

    Source: Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks", 2017,
    appendix 6.1.2; Miyato et al., "Spectral Normalization for GANs", 2018; several scales from Wang et al.,
    "pix2pixHD", 2018, section 3.2.

    Args:
        in_channels: channels of all images together: baseline, followup and change map.
        base_channels, num_layers, num_scales: see `DiscriminatorConfig`.
        spectral_norm: hold each layer's largest singular value at 1; without it, GroupNorm in between.
        map_gain, standardise: see `MapScale`; the change map is the last channel.

    Raises:
        ValueError: a count is not positive.
    """

    def __init__(
        self,
        in_channels: int = 3,
        base_channels: int = 64,
        num_layers: int = 3,
        num_scales: int = 1,
        spectral_norm: bool = True,
        map_gain: float = 1.0,
        standardise: bool = False,
    ) -> None:
        super().__init__()
        require_positive(
            in_channels=in_channels, base_channels=base_channels, num_layers=num_layers, num_scales=num_scales
        )
        self.in_channels = in_channels
        self.map_scale = MapScale(map_gain, standardise)
        # After the halvings, the two layers of stride 1 take a pixel each and must leave one.
        self.min_size = 3 * 2 ** (num_layers + num_scales - 1)
        self.scales = nn.ModuleList(
            _PatchDiscriminator(in_channels, base_channels, num_layers, spectral_norm)
            for _ in range(num_scales)
        )

    def forward(self, *images: Tensor, return_features: bool = False) -> Logits | tuple[Logits, Features]:
        """Logits, positive for real.

        Args:
            images: `[B, C_i, H, W]` each, joined along the channels; together `in_channels`.
            return_features: return the features of every layer as well.

        Returns:
            A logit map `[B, 1, h, w]`; with several scales a list of them, finest first. With
            `return_features` a tuple of that and the features, a list `[B, C, h, w]` for each scale.

        Raises:
            ValueError: the images do not add up to `in_channels`.
        """
        x = torch.cat(images, dim=1)
        if x.shape[1] != self.in_channels:
            raise ValueError(
                f"the images have {x.shape[1]} channels together, not in_channels={self.in_channels}"
            )
        x = pad_to_size(self.map_scale.of_last(x), self.min_size, self.min_size)
        judged = []
        for index, scale in enumerate(self.scales):
            if index:
                x = F.avg_pool2d(x, 3, stride=2, padding=1, count_include_pad=False)
            judged.append(scale(x))
        logits, features = [pair[0] for pair in judged], [pair[1] for pair in judged]
        if len(judged) == 1:
            return (logits[0], features[0]) if return_features else logits[0]
        return (logits, features) if return_features else logits
