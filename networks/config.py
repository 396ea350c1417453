"""Sizes of the networks: one dataclass, three presets."""

import math
from dataclasses import dataclass
from typing import Literal

from networks.constants import (
    FEATURE_CHANNELS,
    GROUP_NORM_GROUPS,
    HIDDEN_CHANNELS,
    INTER_CHANNELS,
    PATCHES_NUM,
)

STAGE_BLOCKS = (4, 7, 7, 10, 10, 13, 4)
"""Blocks in each of EfficientNet-B7's seven stages; block numbers count through them."""


@dataclass(kw_only=True)
class NetworkConfig:
    """Widths, depths and head counts of every network; the defaults are the reference model.

    Raises:
        ValueError: a value no network can be built from.
    """

    stem_channels: int = 64
    """Channels the input image is expanded to before the first EfficientNet block."""
    exp: float = 8.0
    """First of the two expansion steps: an image of C channels passes through C * exp on its way to
    stem_channels."""
    stage_channels: tuple[int, int, int, int, int, int, int] = (32, 48, 80, 160, 224, 384, FEATURE_CHANNELS)
    """Output channels of the seven EfficientNet stages, at 1/1, 1/2, 1/4, 1/8, 1/8, 1/16 and 1/16 of the
    image size; the last is the width of the encoder's feature map."""
    expand_ratio: int = 6
    """How much wider an EfficientNet block (after the first stage) is inside than at its output."""
    block_idxs: tuple[int, ...] = (0, 4, 11, 18, 28, 38, 51, 52)
    """Which of EfficientNet-B7's 55 blocks are built; the first of every stage (0, 4, 11, 18, 28, 38, 51)
    is needed, others deepen their stage."""
    drop_rate: float = 0.0
    """Dropout in the transformer and in the residual EfficientNet blocks."""
    hidden_channels: int = HIDDEN_CHANNELS
    """Width of the transformer."""
    inter_channels: int = INTER_CHANNELS
    """Width halfway between the feature map and the transformer."""
    transformer_layers: int = 12
    """Depth of the transformer."""
    attention_heads: int = 12
    """Attention heads in each transformer layer."""
    mlp_channels: int = 3072
    """Width of each transformer layer's feed-forward part."""
    token_stride: Literal[1, 2] = 2
    """Side of the square of feature-map pixels that becomes one token: 2 puts a token on every 32 x 32
    pixels of the image, 1 on every 16 x 16."""
    patches_num: int = PATCHES_NUM
    """Learned positions of the transformer, a square number; other grids interpolate them."""
    residual_blocks: int = 8
    """Residual blocks after the difference fusion of LongitudinalMIMModelBig."""
    decoder_channels: tuple[int, int, int, int] = (320, 160, 80, 40)
    """Output channels of the four decoder blocks, at 1/8, 1/4, 1/2 and 1/1 of the image size."""
    norm: Literal["group", "batch"] = "group"
    """Normalisation inside the EfficientNet blocks; "batch" only to hold ImageNet weights."""
    norm_groups: int = GROUP_NORM_GROUPS
    """Groups of every GroupNorm; a layer uses its greatest common divisor with the channel count."""
    checkpoint_activations: bool = False
    """Recompute the activations of EfficientNet blocks, transformer layers and residual blocks in the
    backward pass: about a third more time for much less memory."""

    def __post_init__(self) -> None:
        # Sequences come back from JSON and YAML as lists.
        self.stage_channels = tuple(self.stage_channels)  # type: ignore[assignment]
        self.block_idxs = tuple(self.block_idxs)
        self.decoder_channels = tuple(self.decoder_channels)  # type: ignore[assignment]
        self._check_widths()
        self._check_blocks()
        if self.hidden_channels % self.attention_heads:
            raise ValueError(
                f"attention_heads={self.attention_heads} does not divide "
                f"hidden_channels={self.hidden_channels}"
            )
        if math.isqrt(self.patches_num) ** 2 != self.patches_num:
            raise ValueError(f"patches_num={self.patches_num} is not a square number, such as 64 or 256")
        if self.token_stride not in (1, 2):
            raise ValueError(f"token_stride={self.token_stride} is not one of 1, 2")
        if self.norm not in ("group", "batch"):
            raise ValueError(f"norm={self.norm!r} is not one of 'group', 'batch'")
        if not 0 <= self.drop_rate < 1:
            raise ValueError(f"drop_rate={self.drop_rate} is outside [0, 1)")

    def _check_widths(self) -> None:
        for name, length in (("stage_channels", 7), ("decoder_channels", 4)):
            widths = getattr(self, name)
            if len(widths) != length or min(widths) < 1:
                raise ValueError(f"{name}={widths} is not {length} positive numbers")
        for name in (
            "stem_channels",
            "expand_ratio",
            "hidden_channels",
            "inter_channels",
            "attention_heads",
            "mlp_channels",
            "patches_num",
            "norm_groups",
        ):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} is not a positive number")
        for name in ("transformer_layers", "residual_blocks"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}={getattr(self, name)} is negative")
        if self.exp <= 0:
            raise ValueError(f"exp={self.exp} is not a positive number")

    def _check_blocks(self) -> None:
        total = sum(STAGE_BLOCKS)
        first_of_stage = {sum(STAGE_BLOCKS[:stage]) for stage in range(len(STAGE_BLOCKS))}
        if list(self.block_idxs) != sorted(set(self.block_idxs) & set(range(total))):
            raise ValueError(
                f"block_idxs={self.block_idxs} is not an increasing selection from 0..{total - 1}"
            )
        if missing := sorted(first_of_stage - set(self.block_idxs)):
            raise ValueError(f"block_idxs={self.block_idxs} lacks the first block of a stage: {missing}")


PRESETS: dict[str, NetworkConfig] = {
    "tiny": NetworkConfig(
        stem_channels=16,
        exp=4.0,
        stage_channels=(16, 24, 32, 48, 64, 96, 128),
        expand_ratio=3,
        hidden_channels=128,
        inter_channels=128,
        transformer_layers=3,
        attention_heads=4,
        mlp_channels=256,
        token_stride=1,
        patches_num=64,
        residual_blocks=2,
        decoder_channels=(64, 48, 32, 16),
        norm_groups=4,
    ),
    "small": NetworkConfig(
        stem_channels=32,
        exp=8.0,
        stage_channels=(16, 32, 48, 96, 128, 192, 320),
        hidden_channels=384,
        inter_channels=352,
        transformer_layers=8,
        attention_heads=6,
        mlp_channels=1536,
        residual_blocks=4,
        decoder_channels=(160, 80, 40, 24),
        norm_groups=16,
    ),
    "base": NetworkConfig(),
}
"""Ready sizes: `tiny` for a CPU in minutes, `small` for one consumer GPU, `base` the reference model."""
