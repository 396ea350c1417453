"""Options of the networks: sizes with three presets, and the discriminator's. Free of torch."""

import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal, get_args, get_origin

from networks.constants import (
    FEATURE_CHANNELS,
    GROUP_NORM_GROUPS,
    HIDDEN_CHANNELS,
    INTER_CHANNELS,
    PATCHES_NUM,
)

Comparison = Literal["difference", "concatenation"]
Upsampling = Literal["deconvolution", "resize"]
STAGE_BLOCKS = (4, 7, 7, 10, 10, 13, 4)
"""Blocks in each of EfficientNet-B7's seven stages; block numbers count through them."""


def require_positive(**counts: int) -> None:
    """Raise a ValueError that names the first of `counts` below 1."""
    for name, count in counts.items():
        if count < 1:
            raise ValueError(f"{name}={count} is not a positive number")


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
    comparison: Comparison = "difference"
    """What a generator's fusions see of the features of two images, at every scale: their difference and its
    magnitude, or both images' features one after the other, as the reference has it."""
    residual_blocks: int = 8
    """Residual blocks after the difference fusion of LongitudinalMIMModelBig."""
    decoder_channels: tuple[int, int, int, int] = (320, 160, 80, 40)
    """Output channels of the four decoder blocks, at 1/8, 1/4, 1/2 and 1/1 of the image size."""
    upsampling: Upsampling = "deconvolution"
    """How decoder blocks double the size: by deconvolution, as the reference has it, or by repeating pixels
    before a convolution, which cannot leave a checkerboard."""
    norm: Literal["group", "batch"] = "group"
    """Normalisation inside the EfficientNet blocks; "batch" only to hold ImageNet weights."""
    norm_groups: int = GROUP_NORM_GROUPS
    """Groups of every GroupNorm; a layer uses its greatest common divisor with the channel count."""
    checkpoint_activations: bool = False
    """Recompute the activations of EfficientNet blocks, transformer layers and residual blocks in the
    backward pass: about a third more time for much less memory."""

    def __post_init__(self) -> None:
        for item in fields(self):
            name, value, legal = item.name, getattr(self, item.name), get_args(item.type)
            if get_origin(item.type) is tuple:  # sequences come back from JSON and YAML as lists
                setattr(self, name, tuple(value))
            elif get_origin(item.type) is Literal and value not in legal:
                raise ValueError(f"{name}={value!r} is not one of {', '.join(map(repr, legal))}")
            elif item.type is int and name not in ("transformer_layers", "residual_blocks"):
                require_positive(**{name: value})
            elif item.type is int and value < 0:
                raise ValueError(f"{name}={value} is negative")
        for name, length in (("stage_channels", 7), ("decoder_channels", 4)):
            widths = getattr(self, name)
            if len(widths) != length or min(widths) < 1:
                raise ValueError(f"{name}={widths} is not {length} positive numbers")
        self._check_blocks()
        if self.hidden_channels % self.attention_heads:
            raise ValueError(
                f"attention_heads={self.attention_heads} does not divide "
                f"hidden_channels={self.hidden_channels}"
            )
        if math.isqrt(self.patches_num) ** 2 != self.patches_num:
            raise ValueError(f"patches_num={self.patches_num} is not a square number, such as 64 or 256")
        if self.exp <= 0:
            raise ValueError(f"exp={self.exp} is not a positive number")
        if not 0 <= self.drop_rate < 1:
            raise ValueError(f"drop_rate={self.drop_rate} is outside [0, 1)")

    def _check_blocks(self) -> None:
        total = sum(STAGE_BLOCKS)
        first_of_stage = {sum(STAGE_BLOCKS[:stage]) for stage in range(len(STAGE_BLOCKS))}
        if list(self.block_idxs) != sorted(set(self.block_idxs) & set(range(total))):
            raise ValueError(
                f"block_idxs={self.block_idxs} is not an increasing selection from 0..{total - 1}"
            )
        if missing := sorted(first_of_stage - set(self.block_idxs)):
            raise ValueError(f"block_idxs={self.block_idxs} lacks the first block of a stage: {missing}")


@dataclass(kw_only=True)
class DiscriminatorConfig:
    """The conditional PatchGAN. Source: Isola et al., CVPR 2017, section 3.2."""

    base_channels: int = 64
    """Channels of the first layer; they double layer by layer, up to eight times."""
    num_layers: int = 3
    """Layers of stride two: 3 gives the 70x70 PatchGAN, 2 gives 34x34, 1 gives 16x16."""
    num_scales: int = 1
    """Discriminators on ever coarser images (Wang et al., CVPR 2018, section 3.2)."""
    spectral_norm: bool = True
    """Bound each layer's Lipschitz constant (Miyato et al., ICLR 2018)."""
    map_gain: float = 1.0
    """What change maps are multiplied by before the discriminator, whose margin two almost empty maps cannot
    be told apart by."""
    standardise: bool = False
    """Divide change maps, before the gain, by the root mean square of the true ones seen so far."""
    features: Path | None = None
    """For networks:ProjectedDiscriminator: the folder of a vision transformer (DINO, RAD-DINO) with its
    weights, as the hub has it; the encoder of --pretrained by default."""

    def __post_init__(self) -> None:
        require_positive(
            base_channels=self.base_channels, num_layers=self.num_layers, num_scales=self.num_scales
        )
        if not 0 < self.map_gain < math.inf:
            raise ValueError(f"map_gain={self.map_gain} is not a positive number")


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
