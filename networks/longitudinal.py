"""The generators: two radiographs in, a map of what changed out."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from networks.blocks import ConvNormAct, Decoder, DifferenceFusion, ResidualBlock, run
from networks.config import NetworkConfig
from networks.encoders import BottleneckEncoder, EncoderModel
from networks.heads import Change, change_head, check_images
from networks.init import initialize


class _SkipFusion(nn.Module):
    """The skips of two images to those of one, at every scale.

    By 3x3 convolutions: what belongs together in two images of one patient lies a pixel or two apart.
    """

    def __init__(self, channels: Sequence[int], *, norm_groups: int) -> None:
        super().__init__()
        self.scales = nn.ModuleList(
            ConvNormAct(2 * width, width, norm_groups=norm_groups) for width in channels
        )
        initialize(self)

    def forward(self, baseline: Sequence[Tensor], followup: Sequence[Tensor]) -> list[Tensor]:
        return [
            fuse(torch.cat([before, after], dim=1))
            for fuse, before, after in zip(self.scales, baseline, followup, strict=True)
        ]


class LongitudinalMIMModel(EncoderModel):
    """Shared encoder, difference fusion, decoder without skips: two images to a change map.

    Args:
        in_channels: channels of each image.
        config: widths and depths; the reference model by default.
        change: "magnitude" for a map in `[0, 1]` (sigmoid), "signed" for `[-1, 1]` (tanh).

    Raises:
        ValueError: `change` is neither.
    """

    def __init__(
        self, in_channels: int = 1, config: NetworkConfig | None = None, change: Change = "magnitude"
    ) -> None:
        super().__init__()
        config = config or NetworkConfig()
        self.in_channels = in_channels
        self.encoder = BottleneckEncoder(config, in_channels)
        width = self.encoder.out_channels
        self.fusion = DifferenceFusion(width, norm_groups=config.norm_groups)
        self.decoder = Decoder(width, config.decoder_channels, norm_groups=config.norm_groups)
        self.head = change_head(config.decoder_channels[-1], change)

    def forward(self, baseline: Tensor, followup: Tensor) -> Tensor:
        """`[B, C, H, W], [B, C, H, W] in [0, 1] -> [B, 1, H, W]`, in the followup's geometry.

        Raises:
            ValueError: the images are not `[B, C, H, W]` of one shape.
        """
        check_images(baseline, followup, in_channels=self.in_channels)
        height, width = followup.shape[-2:]
        both = self.encoder(torch.cat([baseline, followup]))
        change_map: Tensor = self.head(self.decoder(self.fusion(*both.chunk(2))))
        return change_map[..., :height, :width]


class LongitudinalMIMModelBig(EncoderModel):
    """Shared encoder, difference fusion, residual blocks, U-Net decoder: two images to a change map.

    The decoder's skips come from both images, fused at every scale.

    Args:
        in_channels: channels of each image.
        config: widths and depths; the reference model by default.
        change: "magnitude" for a map in `[0, 1]` (sigmoid), "signed" for `[-1, 1]` (tanh).

    Raises:
        ValueError: `change` is neither.
    """

    def __init__(
        self, in_channels: int = 1, config: NetworkConfig | None = None, change: Change = "magnitude"
    ) -> None:
        super().__init__()
        config = config or NetworkConfig()
        self.in_channels = in_channels
        self.encoder = BottleneckEncoder(config, in_channels)
        width, skips, groups = self.encoder.out_channels, self.encoder.skip_channels, config.norm_groups
        self.fusion = DifferenceFusion(width, norm_groups=groups)
        self.residual = nn.ModuleList(
            ResidualBlock(width, norm_groups=groups) for _ in range(config.residual_blocks)
        )
        self.skip_fusion = _SkipFusion(skips, norm_groups=groups)
        self.decoder = Decoder(width, config.decoder_channels, skips, norm_groups=groups)
        self.head = change_head(config.decoder_channels[-1], change)

    def forward(self, baseline: Tensor, followup: Tensor) -> Tensor:
        """`[B, C, H, W], [B, C, H, W] in [0, 1] -> [B, 1, H, W]`, in the followup's geometry.

        Raises:
            ValueError: the images are not `[B, C, H, W]` of one shape.
        """
        check_images(baseline, followup, in_channels=self.in_channels)
        height, width = followup.shape[-2:]
        features = self.encoder.forward_features(torch.cat([baseline, followup]))
        baseline_features, followup_features = zip(*(both.chunk(2) for both in features), strict=True)
        x = self.fusion(baseline_features[-1], followup_features[-1])
        for block in self.residual:
            x = run(block, x, recompute=self.config.checkpoint_activations)
        skips = self.skip_fusion(baseline_features[:-1], followup_features[:-1])
        change_map: Tensor = self.head(self.decoder(x, skips))
        return change_map[..., :height, :width]
