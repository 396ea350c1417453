"""The convolutional encoder: a few of EfficientNet-B7's blocks, without the stem."""

from collections.abc import Iterator
from typing import Any, Literal

from torch import Tensor, nn
from transformers import EfficientNetConfig
from transformers.models.efficientnet.modeling_efficientnet import EfficientNetBlock

from networks.blocks import ChannelExpansionBlock, group_norm, run
from networks.config import STAGE_BLOCKS, NetworkConfig
from networks.constants import GROUP_NORM_GROUPS
from networks.init import initialize

# The TensorFlow weights' running averages keep 0.99 of the past; torch's momentum is the share of the new.
_BATCH_NORM_MOMENTUM = 0.01
_BATCH_NORM_EPS = 1e-3
_B7_DROP_RATE = 0.2

Norm = Literal["group", "batch"]


def efficientnet_config(config: NetworkConfig) -> EfficientNetConfig:
    """The Hugging Face configuration of the seven stages, with channels as in `config`, unscaled."""
    return EfficientNetConfig(
        width_coefficient=1.0,
        depth_divisor=1,
        depth_coefficient=1.0,
        num_block_repeats=list(STAGE_BLOCKS),
        in_channels=[config.stem_channels, *config.stage_channels[:-1]],
        out_channels=list(config.stage_channels),
        expand_ratios=[1] + [config.expand_ratio] * 6,
        drop_connect_rate=config.drop_rate,
    )


def _block_arguments(config: EfficientNetConfig) -> Iterator[dict[str, Any]]:
    """Constructor arguments of every block of the network, in order."""
    total = sum(config.num_block_repeats)
    index = 0
    for stage, repeats in enumerate(config.num_block_repeats):
        for repeat in range(repeats):
            first = repeat == 0
            yield {
                "in_dim": config.in_channels[stage] if first else config.out_channels[stage],
                "out_dim": config.out_channels[stage],
                "stride": config.strides[stage] if first else 1,
                "expand_ratio": config.expand_ratios[stage],
                "kernel_size": config.kernel_sizes[stage],
                "drop_rate": config.drop_connect_rate * index / total,
                "id_skip": first,
                "adjust_padding": True,
            }
            index += 1


def set_norm(module: nn.Module, norm: Norm, norm_groups: int = GROUP_NORM_GROUPS) -> None:
    """Replace every GroupNorm or BatchNorm inside `module` by a fresh layer of the kind asked for."""
    for name, child in module.named_children():
        if isinstance(child, nn.GroupNorm | nn.BatchNorm2d):
            channels = child.num_channels if isinstance(child, nn.GroupNorm) else child.num_features
            layer: nn.Module = (
                group_norm(channels, norm_groups)
                if norm == "group"
                else nn.BatchNorm2d(channels, eps=_BATCH_NORM_EPS, momentum=_BATCH_NORM_MOMENTUM)
            )
            setattr(module, name, layer.to(child.weight.device, child.weight.dtype))
        else:
            set_norm(child, norm, norm_groups)


class EfficientNetMiniEncoder(nn.Module):
    """Channel expansion, then selected EfficientNet-B7 blocks: `[B, inp, H, W] -> [B, 640, H/16, W/16]`.

    Source: Tan and Le, "EfficientNet", 2019, table 1, widened and deepened to B7.

    Args:
        block_idxs: the blocks to build, counted through B7's 55; the first of every stage is needed.
        inp: channels of the image.
        exp: first expansion of the channels.
        exp2: second expansion; `inp * exp * exp2` must be what the first block takes (64 in B7).
        dropout: drop out in the residual blocks, at the rate of `efficientnet`.
        efficientnet: widths of the stages; B7's by default.
        norm: normalisation inside the EfficientNet blocks.
        norm_groups: groups of the GroupNorm layers.
        checkpoint_activations: recompute the blocks' activations in the backward pass.

    Raises:
        ValueError: the expansion does not end at the width of the first block.
    """

    def __init__(
        self,
        block_idxs: tuple[int, ...] = (0, 4, 11, 18, 28, 38, 51, 52),
        inp: int = 1,
        exp: float = 8.0,
        exp2: float = 8.0,
        dropout: bool = False,
        *,
        efficientnet: EfficientNetConfig | None = None,
        norm: Norm = "group",
        norm_groups: int = GROUP_NORM_GROUPS,
        checkpoint_activations: bool = False,
    ) -> None:
        super().__init__()
        efficientnet = efficientnet or efficientnet_config(
            NetworkConfig(block_idxs=block_idxs, drop_rate=_B7_DROP_RATE)
        )
        self.block_idxs = tuple(block_idxs)
        self.checkpoint_activations = checkpoint_activations
        self.expansion = ChannelExpansionBlock(inp, exp, exp2, norm_groups=norm_groups)
        if self.expansion.out_channels != efficientnet.in_channels[0]:
            raise ValueError(
                f"inp={inp}, exp={exp}, exp2={exp2} expand to {self.expansion.out_channels} channels; "
                f"the first block takes {efficientnet.in_channels[0]}"
            )
        plan = list(_block_arguments(efficientnet))
        chosen = [plan[index] if dropout else plan[index] | {"drop_rate": 0.0} for index in self.block_idxs]
        self.blocks = nn.ModuleList(EfficientNetBlock(efficientnet, **arguments) for arguments in chosen)
        set_norm(self.blocks, norm, norm_groups)
        self.activation = nn.SiLU()
        # A block's output is kept where the next one halves the size, and at the end.
        self._kept = [i for i, following in enumerate(chosen[1:]) if following["stride"] == 2]
        self.feature_channels = tuple(chosen[i]["out_dim"] for i in [*self._kept, len(chosen) - 1])
        initialize(self.blocks)

    def forward(self, x: Tensor) -> Tensor:
        """`[B, inp, H, W] -> [B, 640, H/16, W/16]`; height and width multiples of 16."""
        return self.forward_features(x)[-1]

    def forward_features(self, x: Tensor) -> list[Tensor]:
        """The last features of every scale `i`, `[B, feature_channels[i], H / 2**i, W / 2**i]`."""
        x = self.expansion(x)
        features = []
        for index, block in enumerate(self.blocks):
            x = run(block, x, recompute=self.checkpoint_activations)
            if index in self._kept:
                features.append(x)
        return [*features, self.activation(x)]
