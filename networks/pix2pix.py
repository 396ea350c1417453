"""The U-Net of pix2pix, which every later adversarial generator is to be held against."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from networks import constants
from networks.blocks import pad_to_multiple
from networks.config import NetworkConfig
from networks.heads import Change, change_head, check_images
from networks.hub import PretrainedModel

_WIDEST = 8  # the channels stop doubling at this multiple of the first layer's
_NOISY = 3  # innermost layers on the way up that have dropout


class Pix2PixUNet(PretrainedModel):
    """Baseline and followup as two channels of one image, through a U-Net: two images to a change map.

    Convolutions and deconvolutions of 4 x 4 pixels and stride 2, batch norm but for the first and the
    innermost layer, skips at every scale. Two things are not as in the paper: the head, which starts near the
    empty map as that of every generator here, and that dropout ends with the training.

    Source: Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks", CVPR 2017,
    appendix 6.1.1.

    Args:
        in_channels: channels of each image.
        config: taken as by all generators; the widths are the paper's.
        change: "magnitude" for a map in `[0, 1]` (sigmoid), "signed" for `[-1, 1]` (tanh).
        base_channels: width of the first layer.
        levels: how often the image is halved: 6 ends at a pixel for images of 64, the paper's 8 for 256.

    Raises:
        ValueError: `change` is neither.
    """

    def __init__(
        self,
        in_channels: int = 1,
        config: NetworkConfig | None = None,
        change: Change = "magnitude",
        base_channels: int = 64,
        levels: int = 6,
    ) -> None:
        super().__init__()
        self.in_channels, self.config, self.levels = in_channels, config or NetworkConfig(), levels
        widths = [base_channels * min(2**level, _WIDEST) for level in range(levels)]
        self.down = nn.ModuleList(
            _halve(before, after, norm=0 < level < levels - 1)
            for level, (before, after) in enumerate(pairwise([2 * in_channels, *widths]))
        )
        ways = list(pairwise([*widths[::-1], base_channels]))
        self.up = nn.ModuleList(
            _double(before * (2 if level else 1), after, dropout=level < min(_NOISY, levels - 1))
            for level, (before, after) in enumerate(ways)
        )
        if constants.INIT_WEIGHTS:
            self.apply(_initialize)
        self.head = change_head(base_channels, change)

    def forward(self, baseline: Tensor, followup: Tensor) -> Tensor:
        """`[B, C, H, W], [B, C, H, W] in [0, 1] -> [B, 1, H, W]`, in the followup's geometry.

        Raises:
            ValueError: the images are not `[B, C, H, W]` of one shape.
        """
        check_images(baseline, followup, in_channels=self.in_channels)
        height, width = followup.shape[-2:]
        x = pad_to_multiple(torch.cat([baseline, followup], dim=1), 2**self.levels)
        scales: list[Tensor] = []
        for block in self.down:
            x = block(x)
            scales.append(x)
        x = scales.pop()
        for block in self.up:
            x = block(x)
            if scales:
                x = torch.cat([x, scales.pop()], dim=1)
        change_map: Tensor = self.head(x)
        return change_map[..., :height, :width]


def _halve(before: int, after: int, *, norm: bool) -> nn.Module:
    layers: list[nn.Module] = [nn.Conv2d(before, after, 4, 2, 1, bias=not norm)]
    return nn.Sequential(*layers, *([nn.BatchNorm2d(after)] if norm else []), nn.LeakyReLU(0.2))


def _double(before: int, after: int, *, dropout: bool) -> nn.Module:
    layers: list[nn.Module] = [nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False), nn.BatchNorm2d(after)]
    return nn.Sequential(*layers, *([nn.Dropout(0.5)] if dropout else []), nn.ReLU())


def _initialize(layer: nn.Module) -> None:
    """Appendix 6.2: normal of standard deviation 0.02."""
    if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(layer.weight, std=0.02)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
