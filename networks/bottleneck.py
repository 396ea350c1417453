"""The default encoder: convolutions, then a transformer."""

from dataclasses import replace

from torch import Tensor

from networks.blocks import pad_to_multiple
from networks.config import NetworkConfig
from networks.efficientnet import EfficientNetMiniEncoder, efficientnet_config
from networks.hub import PretrainedModel
from networks.transformer import BottleneckBlock, TransformerBranch, vision_transformer


class BottleneckEncoder(PretrainedModel):
    """EfficientNet blocks, then the transformer bottleneck: `[B, C, H, W] -> [B, 640, H/16, W/16]`.

    An image whose sides are no multiples of 32 is padded first; its features are those of the padded size.

    Args:
        config: widths and depths; the reference model by default.
        in_channels: channels of an image.
    """

    def __init__(self, config: NetworkConfig | None = None, in_channels: int = 1) -> None:
        super().__init__()
        self.config = config = replace(config or NetworkConfig())  # its own: ImageNet weights change it
        self.efficientnet = EfficientNetMiniEncoder(
            config.block_idxs,
            inp=in_channels,
            exp=config.exp,
            exp2=config.stem_channels / round(in_channels * config.exp),
            dropout=config.drop_rate > 0,
            efficientnet=efficientnet_config(config),
            norm=config.norm,
            norm_groups=config.norm_groups,
            checkpoint_activations=config.checkpoint_activations,
        )
        *self.skip_channels, self.out_channels = self.efficientnet.feature_channels
        branch = TransformerBranch(
            vision_transformer(config),
            self.out_channels,
            config.inter_channels,
            stride=config.token_stride,
            patches_num=config.patches_num,
            norm_groups=config.norm_groups,
            checkpoint_activations=config.checkpoint_activations,
        )
        self.bottleneck = BottleneckBlock(branch, self.out_channels, norm_groups=config.norm_groups)

    def forward(self, image: Tensor) -> Tensor:
        """`[B, C, H, W] -> [B, out_channels, H/16, W/16]`."""
        return self.forward_features(image)[-1]

    def forward_features(self, image: Tensor) -> list[Tensor]:
        """The skips at 1/1, 1/2, 1/4 and 1/8 (`skip_channels` wide), then the bottleneck at 1/16."""
        *skips, features = self.convolutional_features(image)
        return [*skips, self.bottleneck(features)]

    def convolutional_features(self, image: Tensor) -> list[Tensor]:
        """Feature maps at 1/1, 1/2, 1/4, 1/8 and 1/16 without the transformer: local and cheap."""
        return self.efficientnet.forward_features(pad_to_multiple(image))
