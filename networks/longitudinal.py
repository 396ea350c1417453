"""The generators: two radiographs in, a map of what changed out."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from networks.blocks import (
    ConvNormAct,
    Decoder,
    DifferenceFusion,
    ResidualBlock,
    compare,
    halves,
    run,
    settle,
)
from networks.config import Comparison, NetworkConfig
from networks.encoder import Encoder, EncoderModel
from networks.heads import Change, change_head
from networks.init import initialize


class _SkipFusion(nn.Module):
    """The skips of two images to those of one, at every scale.

    By 3x3 convolutions: what belongs together in two images of one patient lies a pixel or two apart.
    """

    def __init__(self, channels: Sequence[int], *, norm_groups: int, comparison: Comparison) -> None:
        super().__init__()
        self.comparison: Comparison = comparison
        has_floor = comparison == "difference"
        self.scales = nn.ModuleList(
            ConvNormAct(2 * width, width, norm_groups=norm_groups, bias=has_floor) for width in channels
        )
        initialize(self)
        settle(*self.scales)

    def forward(self, skips: Sequence[Tensor]) -> list[Tensor]:
        """The skips of the baselines, then of the followups, `[2 B, C, h, w]`, to `[B, C, h, w]`."""
        pairs = [halves(both) for both in skips]
        return [
            fuse(compare(baseline, followup, self.comparison))
            for fuse, (baseline, followup) in zip(self.scales, pairs, strict=False)
        ]


class LongitudinalMIMModel(EncoderModel):
    """Shared encoder, difference fusion, decoder without skips: two images to a change map.

    Args:
        in_channels, config, encoder: see `EncoderModel`.
        change: "magnitude" for a map in `[0, 1]` (sigmoid), "signed" for `[-1, 1]` (tanh).

    Raises:
        ValueError: `change` is neither.
    """

    _big = False

    def __init__(
        self,
        in_channels: int = 1,
        config: NetworkConfig | None = None,
        change: Change = "magnitude",
        *,
        encoder: Encoder | None = None,
    ) -> None:
        super().__init__(in_channels, config, encoder)
        config, width, groups = self.config, self.encoder.out_channels, self.config.norm_groups
        blocks = range(config.residual_blocks if self._big else 0)
        skips = self.encoder.skip_channels if self._big else ()
        options: dict[str, Any] = {"norm_groups": groups, "comparison": config.comparison}
        self.fusion = DifferenceFusion(width, **options)
        self.residual = nn.ModuleList(ResidualBlock(width, norm_groups=groups) for _ in blocks)
        self.skip_fusion = _SkipFusion(skips, **options)
        self.decoder = Decoder(
            width, config.decoder_channels, skips, norm_groups=groups, upsampling=config.upsampling
        )
        self.head = change_head(config.decoder_channels[-1], change)

    def forward(self, baseline: Tensor, followup: Tensor) -> Tensor:
        """`[B, C, H, W], [B, C, H, W] in [0, 1] -> [B, 1, H, W]`, in the followup's geometry.

        Raises:
            ValueError: the images are not `[B, C, H, W]` of one shape.
        """
        height, width = followup.shape[-2:]
        *both_skips, both = self.features(baseline, followup)
        x = self.fusion(*halves(both))
        for block in self.residual:
            x = run(block, x, recompute=self.config.checkpoint_activations)
        change_map: Tensor = self.head(self.decoder(x, self.skip_fusion(both_skips)))
        return change_map[..., :height, :width]


class LongitudinalMIMModelBig(LongitudinalMIMModel):
    """`LongitudinalMIMModel` with residual blocks after the fusion and the skips of a U-Net.

    The skips come from both images, fused at every scale. Arguments as above.
    """

    _big = True
