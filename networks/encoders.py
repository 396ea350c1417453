"""The encoder every model shares, and its contrastive form."""

from torch import Tensor, nn
from torch.nn import functional as F

from networks.blocks import pad_to_multiple
from networks.config import NetworkConfig
from networks.efficientnet import EfficientNetMiniEncoder, efficientnet_config
from networks.hub import PretrainedModel
from networks.init import initialize
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
        self.config = config = config or NetworkConfig()
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


class EncoderModel(PretrainedModel):
    """A model around a `BottleneckEncoder`, whose configuration is the model's."""

    encoder: BottleneckEncoder

    @property
    def config(self) -> NetworkConfig:
        """Widths and depths of the network."""
        return self.encoder.config


class ContrastiveEncoder(EncoderModel):
    """Encoder, mean over the image, projection: `[B, C, H, W] -> [B, embedding_dim]` of unit length.

    Source: Chen et al., "A Simple Framework for Contrastive Learning" (SimCLR), 2020, section 2.1.

    Args:
        in_channels: channels of an image.
        embedding_dim: length of an embedding.
        config: widths and depths; the reference model by default.
    """

    def __init__(
        self, in_channels: int = 1, embedding_dim: int = 128, config: NetworkConfig | None = None
    ) -> None:
        super().__init__()
        self.encoder = BottleneckEncoder(config, in_channels)
        width = self.encoder.out_channels
        self.projection = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, embedding_dim))
        initialize(self.projection)

    def forward(self, image: Tensor) -> Tensor:
        """`[B, C, H, W] -> [B, embedding_dim]`, each row of length 1."""
        pooled = self.encoder(image).mean(dim=(-2, -1))
        return F.normalize(self.projection(pooled), dim=-1)
