"""The transformer half of the encoder, and the block that joins it with convolutions."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import ViTConfig, ViTModel

from networks.blocks import ConvNormAct, group_norm, run
from networks.config import NetworkConfig
from networks.constants import (
    FEATURE_CHANNELS,
    GROUP_NORM_GROUPS,
    HIDDEN_CHANNELS,
    INTER_CHANNELS,
    PATCHES_NUM,
)
from networks.init import embedding, initialize


def vision_transformer(config: NetworkConfig) -> ViTModel:
    """A ViT of the width and depth of `config` with SDPA attention; its patch embedding goes unused."""
    vit = ViTModel(
        ViTConfig(
            hidden_size=config.hidden_channels,
            num_hidden_layers=config.transformer_layers,
            num_attention_heads=config.attention_heads,
            intermediate_size=config.mlp_channels,
            hidden_dropout_prob=config.drop_rate,
            attention_probs_dropout_prob=config.drop_rate,
            attn_implementation="sdpa",
        ),
        add_pooling_layer=False,
    )
    initialize(vit.layers, vit.layernorm)
    return vit


class FeatureEmbeddings(nn.Module):
    """Feature map to tokens: `[B, C, H, W] -> [B, (H / stride) * (W / stride), hidden]`.

    A strided convolution and a pointwise one, then learned positions, interpolated to the grid at hand.

    Args:
        in_channels: channels of the feature map.
        inter_channels: width between the two convolutions.
        hidden_channels: width of a token.
        stride: side of the square of feature-map pixels that becomes one token.
        patches_num: learned positions, a square number.
    """

    def __init__(
        self,
        in_channels: int = FEATURE_CHANNELS,
        inter_channels: int = INTER_CHANNELS,
        hidden_channels: int = HIDDEN_CHANNELS,
        *,
        stride: int = 2,
        patches_num: int = PATCHES_NUM,
    ) -> None:
        super().__init__()
        self.projection = nn.Sequential(
            nn.Conv2d(in_channels, inter_channels, stride, stride),
            nn.SiLU(),
            nn.Conv2d(inter_channels, hidden_channels, 1),
        )
        self.positions = embedding(1, patches_num, hidden_channels)
        initialize(self.projection)

    def forward(self, features: Tensor) -> Tensor:
        """`[B, C, H, W] -> [B, N, hidden]`, row by row."""
        grid = self.projection(features)
        positions = position_grid(self.positions, grid.shape[-2], grid.shape[-1])
        return (grid + positions).flatten(2).transpose(1, 2)


def position_grid(positions: Tensor, height: int, width: int) -> Tensor:
    """Square-grid positions `[1, N, hidden]` on another grid, bicubically: `[1, hidden, height, width]`."""
    side = math.isqrt(positions.shape[1])
    grid = positions.transpose(1, 2).unflatten(2, (side, side))
    if not torch.compiler.is_exporting() and (height, width) == (side, side):
        return grid  # as interpolation would leave it; a program that is exported must serve any size
    return F.interpolate(grid, size=(height, width), mode="bicubic", align_corners=False)


class TransformerBranch(nn.Module):
    """Down to tokens, through a ViT's layers, and up again: `[B, C, H, W] -> [B, C, H, W]`.

    Source: Dosovitskiy et al., "An Image is Worth 16x16 Words", 2021, eq. 2 to 4, without a class token.

    Args:
        vit_encoder: the `ViTModel` whose `layers` and `layernorm` are used (and trained).
        in_channels: channels of the feature map.
        inter_channels: width between the feature map and the transformer.
        stride: side of the square of feature-map pixels that becomes one token.
        patches_num: learned positions, a square number.
        norm_groups: groups of the GroupNorm layer.
        checkpoint_activations: recompute the layers' activations in the backward pass.
    """

    def __init__(
        self,
        vit_encoder: ViTModel,
        in_channels: int = FEATURE_CHANNELS,
        inter_channels: int = INTER_CHANNELS,
        *,
        stride: int = 2,
        patches_num: int = PATCHES_NUM,
        norm_groups: int = GROUP_NORM_GROUPS,
        checkpoint_activations: bool = False,
    ) -> None:
        super().__init__()
        hidden = vit_encoder.config.hidden_size
        self.stride = stride
        self.checkpoint_activations = checkpoint_activations
        self.embeddings = FeatureEmbeddings(
            in_channels, inter_channels, hidden, stride=stride, patches_num=patches_num
        )
        self.layers = vit_encoder.layers
        self.layernorm = vit_encoder.layernorm
        self.upsample = nn.Sequential(
            nn.Conv2d(hidden, inter_channels, 1),
            nn.SiLU(),
            nn.ConvTranspose2d(inter_channels, in_channels, stride, stride, bias=False),
            group_norm(in_channels, norm_groups),
            nn.SiLU(),
        )
        initialize(self.upsample)

    def forward(self, features: Tensor) -> Tensor:
        """`[B, C, H, W] -> [B, C, H, W]`; height and width multiples of the stride."""
        height, width = (side // self.stride for side in features.shape[-2:])
        tokens = self.embeddings(features)
        for layer in self.layers:
            tokens = run(layer, tokens, recompute=self.checkpoint_activations)
        grid = self.layernorm(tokens).transpose(1, 2).unflatten(2, (height, width))
        return self.upsample(grid)


class BottleneckBlock(nn.Module):
    """Transformer and convolutions side by side, compressed: `[B, C, H, W] -> [B, C, H, W]`.

    A pointwise convolution compresses input, transformer branch and convolutional branch, side by side,
    to the input's width; the result is added to the input.

    Args:
        transformer_encoder: a `ViTModel`, from which a default `TransformerBranch` is made, or a branch.
        channels: channels of the feature map.
        norm_groups: groups of the GroupNorm layers.
    """

    def __init__(
        self,
        transformer_encoder: ViTModel | TransformerBranch,
        channels: int = FEATURE_CHANNELS,
        *,
        norm_groups: int = GROUP_NORM_GROUPS,
    ) -> None:
        super().__init__()
        self.transformer = (
            transformer_encoder
            if isinstance(transformer_encoder, TransformerBranch)
            else TransformerBranch(transformer_encoder, channels, norm_groups=norm_groups)
        )
        self.convolution = nn.Sequential(
            ConvNormAct(channels, channels, norm_groups=norm_groups),
            ConvNormAct(channels, channels, norm_groups=norm_groups),
        )
        self.compression = ConvNormAct(3 * channels, channels, kernel_size=1, norm_groups=norm_groups)
        initialize(self.convolution, self.compression)

    def forward(self, features: Tensor) -> Tensor:
        """`[B, C, H, W] -> [B, C, H, W]`."""
        parallel = torch.cat([features, self.transformer(features), self.convolution(features)], dim=1)
        return features + self.compression(parallel)
