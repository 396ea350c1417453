"""A plain U-Net on both images stacked, against which every generator is to be held."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d

from networks.blocks import ConvNormAct, Decoder, pad_to_multiple, run
from networks.config import NetworkConfig
from networks.heads import Change, change_head, check_images
from networks.hub import PretrainedModel
from networks.init import initialize


class EarlyFusionUNet(PretrainedModel):
    """Baseline and followup as two channels of one image, through a U-Net: two images to a change map.

    In change detection such a network has matched or beaten most that claim more (Corley et al., "A Change
    Detection Reality Check", 2024). Its scales are as wide as the blocks of `config.decoder_channels` on
    the way up, and the bottleneck is as wide as the encoder's feature map; two convolutions a scale.

    Source: Daudt et al., "Fully convolutional siamese networks for change detection", ICIP 2018 (FC-EF).

    Args:
        in_channels: channels of each image.
        config: widths.
        change: "magnitude" for a map in `[0, 1]` (sigmoid), "signed" for `[-1, 1]` (tanh).

    Raises:
        ValueError: `change` is neither.
    """

    def __init__(
        self, in_channels: int = 1, config: NetworkConfig | None = None, change: Change = "magnitude"
    ) -> None:
        super().__init__()
        self.in_channels, self.config = in_channels, config or NetworkConfig()
        groups, up = self.config.norm_groups, self.config.decoder_channels
        skips, bottleneck = up[::-1], self.config.stage_channels[-1]
        widths = (2 * in_channels, *skips, bottleneck)
        self.down = nn.ModuleList(
            nn.Sequential(
                ConvNormAct(before, after, norm_groups=groups), ConvNormAct(after, after, norm_groups=groups)
            )
            for before, after in pairwise(widths)
        )
        initialize(self)
        self.decoder = Decoder(bottleneck, up, skips, norm_groups=groups, upsampling=self.config.upsampling)
        self.head = change_head(up[-1], change)

    def forward(self, baseline: Tensor, followup: Tensor) -> Tensor:
        """`[B, C, H, W], [B, C, H, W] in [0, 1] -> [B, 1, H, W]`, in the followup's geometry.

        Raises:
            ValueError: the images are not `[B, C, H, W]` of one shape.
        """
        check_images(baseline, followup, in_channels=self.in_channels)
        height, width = followup.shape[-2:]
        x = pad_to_multiple(torch.cat([baseline, followup], dim=1))
        scales: list[Tensor] = []
        for block in self.down:
            x = run(block, max_pool2d(x, 2) if scales else x, recompute=self.config.checkpoint_activations)
            scales.append(x)
        change_map: Tensor = self.head(self.decoder(x, scales[:-1]))
        return change_map[..., :height, :width]
