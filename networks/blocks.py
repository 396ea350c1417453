"""Convolutional building blocks."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from networks import constants
from networks.config import Comparison, Upsampling
from networks.constants import FEATURE_CHANNELS, GROUP_NORM_GROUPS
from networks.init import initialize

COMPARISON_FLOOR = 0.1
"""Standard deviation of the biases where differences of features are compared; see `settle`."""

SIZE_MULTIPLE = 32
"""Images are padded to a multiple of this: the encoder halves four times, the transformer once more."""


def group_norm(channels: int, groups: int = GROUP_NORM_GROUPS) -> nn.GroupNorm:
    """GroupNorm with the largest number of groups that divides both `groups` and `channels`."""
    return nn.GroupNorm(math.gcd(groups, channels), channels)


def pad_to_size(image: Tensor, height: int, width: int) -> Tensor:
    """Repeat the last row and column up to a size, where it is larger: `[B, C, H, W] -> [B, C, H', W']`.

    Crop a map back with `[..., :H, :W]`.
    """
    right, bottom = max(0, width - image.shape[-1]), max(0, height - image.shape[-2])
    return _repeat_edge(image, right, bottom)


def pad_to_multiple(image: Tensor, multiple: int = SIZE_MULTIPLE) -> Tensor:
    """`pad_to_size` to the next multiples, of any size that is only known when a program is run."""
    bottom, right = ((side + multiple - 1) // multiple * multiple - side for side in image.shape[-2:])
    return _repeat_edge(image, right, bottom)


def _repeat_edge(image: Tensor, right: int, bottom: int) -> Tensor:
    if torch.compiler.is_exporting() or right or bottom:  # a program that is exported must serve any size
        return F.pad(image, (0, right, 0, bottom), mode="replicate")
    return image


def halves(both: Tensor) -> tuple[Tensor, Tensor]:
    """The two of one batch, `[2 B, ...] -> [B, ...], [B, ...]`, whatever B is when an exported program runs.

    `chunk` counts its parts by dividing by B, which has to be known for that.
    """
    first, second = both.unflatten(0, (2, -1)).unbind()
    return first, second


def run(module: Callable[[Tensor], Tensor], x: Tensor, *, recompute: bool) -> Tensor:
    """`module(x)`; with `recompute` its activations are made again in the backward pass, not kept."""
    if recompute and torch.is_grad_enabled():
        output: Tensor = checkpoint(module, x, use_reentrant=False)
        return output
    return module(x)


class ConvNormAct(nn.Sequential):
    """Convolution of stride 1 that keeps the size, GroupNorm, SiLU: `[B, C, H, W] -> [B, C', H, W]`."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        *,
        norm_groups: int = GROUP_NORM_GROUPS,
        bias: bool = False,
    ) -> None:
        super().__init__(
            nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=bias),
            group_norm(out_channels, norm_groups),
            nn.SiLU(),
        )


class ChannelExpansionLayer(ConvNormAct):
    """Convolution that multiplies the channels: `[B, C, H, W] -> [B, C * out_multiplier, H, W]`."""

    def __init__(
        self, in_channels: int = 64, out_multiplier: float = 2, *, norm_groups: int = GROUP_NORM_GROUPS
    ) -> None:
        self.out_channels = round(in_channels * out_multiplier)
        if self.out_channels < 1:
            raise ValueError(f"out_multiplier={out_multiplier} leaves no channel of {in_channels}")
        super().__init__(in_channels, self.out_channels, norm_groups=norm_groups)
        initialize(self)


class ChannelExpansionBlock(nn.Sequential):
    """Two expansions, image to EfficientNet width: `[B, inp, H, W] -> [B, inp * exp * exp2, H, W]`."""

    def __init__(
        self, inp: int = 1, exp: float = 8.0, exp2: float = 8.0, *, norm_groups: int = GROUP_NORM_GROUPS
    ) -> None:
        first = ChannelExpansionLayer(inp, exp, norm_groups=norm_groups)
        second = ChannelExpansionLayer(first.out_channels, exp2, norm_groups=norm_groups)
        super().__init__(first, second)
        self.out_channels = second.out_channels


class ResidualBlock(nn.Module):
    """`x + norm(conv(silu(norm(conv(x)))))` with 3x3 convolutions: `[B, C, H, W] -> [B, C, H, W]`.

    Source: He et al., "Deep Residual Learning", 2016, eq. 1.
    """

    def __init__(self, channels: int = FEATURE_CHANNELS, *, norm_groups: int = GROUP_NORM_GROUPS) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            ConvNormAct(channels, channels, norm_groups=norm_groups),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            group_norm(channels, norm_groups),
        )
        initialize(self)

    def forward(self, x: Tensor) -> Tensor:
        """`[B, C, H, W] -> [B, C, H, W]`."""
        return x + self.branch(x)


def compare(baseline: Tensor, followup: Tensor, comparison: Comparison) -> Tensor:
    """What a fusion sees of two feature maps: `[B, C, H, W], [B, C, H, W] -> [B, 2 C, H, W]`.

    Of the difference and its magnitude nothing remains where two images are alike, whatever they show; from
    both maps a network has to learn that.
    """
    if comparison == "concatenation":
        return torch.cat([baseline, followup], dim=1)
    difference = followup - baseline
    return torch.cat([difference, difference.abs()], dim=1)


def settle(*fusions: nn.Module) -> None:
    """Give the biases of convolutions that see differences values of their own, in place.

    Where two images are alike there is nothing to normalise: without them the norms that follow blow up
    whatever is left, noise as much as findings, and gradients by the inverse root of their epsilon each.
    """
    for layer in (layer for fusion in fusions for layer in fusion.modules()):
        if isinstance(layer, nn.Conv2d) and layer.bias is not None and constants.INIT_WEIGHTS:
            nn.init.normal_(layer.bias, std=COMPARISON_FLOOR)


class DifferenceFusion(nn.Module):
    """Two feature maps to one, through three parallel compressions of what `compare` makes of them.

    `[B, C, H, W], [B, C, H, W] -> [B, C, H, W]`. The paths are a pointwise, a 3x3 and a depthwise-separable
    7x7 convolution, normalised and summed: the same place, its neighbours, and as far as a pair may be
    misaligned.
    """

    def __init__(
        self,
        channels: int = FEATURE_CHANNELS,
        *,
        norm_groups: int = GROUP_NORM_GROUPS,
        comparison: Comparison = "concatenation",
    ) -> None:
        super().__init__()
        self.comparison: Comparison = comparison
        has_floor = comparison == "difference"
        self.pointwise = nn.Conv2d(2 * channels, channels, 1, bias=has_floor)
        self.local = nn.Conv2d(2 * channels, channels, 3, padding=1, bias=has_floor)
        self.wide = nn.Sequential(
            nn.Conv2d(2 * channels, 2 * channels, 7, padding=3, groups=2 * channels, bias=False),
            nn.Conv2d(2 * channels, channels, 1, bias=has_floor),
        )
        self.norms = nn.ModuleList(group_norm(channels, norm_groups) for _ in range(3))
        self.activation = nn.SiLU()
        initialize(self)
        settle(self)

    def forward(self, baseline: Tensor, followup: Tensor) -> Tensor:
        """`[B, C, H, W], [B, C, H, W] -> [B, C, H, W]`."""
        both = compare(baseline, followup, self.comparison)
        paths = (self.pointwise, self.local, self.wide)
        compressed = [norm(path(both)) for norm, path in zip(self.norms, paths, strict=True)]
        return self.activation(sum(compressed[1:], start=compressed[0]))


def _deconvolution(in_channels: int, out_channels: int, kernel_size: int, stride: int) -> nn.Module:
    excess = kernel_size - stride
    if excess < 0 or excess % 2:
        raise ValueError(f"deconv_kernel_size={kernel_size} is not deconv_stride={stride} plus 0, 2, 4..")
    return nn.ConvTranspose2d(in_channels, out_channels, kernel_size, stride, padding=excess // 2, bias=False)


class DecoderBlock(nn.Module):
    """Upsample, join a skip, refine: `[B, in, H, W] -> [B, out, stride * H, stride * W]`.

    Source: Odena et al., "Deconvolution and Checkerboard Artifacts", Distill 2016, for resizing.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        deconv_kernel_size: kernel of the transposed convolution.
        deconv_stride: its stride, which is the upsampling factor.
        sigmoid: end in a sigmoid (output in `[0, 1]`), for a final block, rather than in norm and SiLU.
        skip_channels: channels of the skip given to `forward`; 0 for none.
        norm_groups: groups of the GroupNorm layers.
        upsampling: by deconvolution, or "resize": repeat pixels, then a 3x3 convolution.

    Raises:
        ValueError: a kernel that cannot upsample by exactly the stride.
    """

    def __init__(
        self,
        in_channels: int = 640,
        out_channels: int = 320,
        deconv_kernel_size: int = 2,
        deconv_stride: int = 2,
        sigmoid: bool = False,
        *,
        skip_channels: int = 0,
        norm_groups: int = GROUP_NORM_GROUPS,
        upsampling: Upsampling = "deconvolution",
    ) -> None:
        super().__init__()
        # Saved models know the layer by this name, whichever it is.
        self.deconv = (
            nn.Sequential(
                nn.Upsample(scale_factor=deconv_stride),
                nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False),
            )
            if upsampling == "resize"
            else _deconvolution(in_channels, out_channels, deconv_kernel_size, deconv_stride)
        )
        self.norm = group_norm(out_channels, norm_groups)
        self.activation = nn.SiLU()
        joined = out_channels + skip_channels
        self.refine = (
            nn.Sequential(nn.Conv2d(joined, out_channels, 3, padding=1), nn.Sigmoid())
            if sigmoid
            else ConvNormAct(joined, out_channels, norm_groups=norm_groups)
        )
        initialize(self)

    def forward(self, x: Tensor, skip: Tensor | None = None) -> Tensor:
        """`[B, in, H, W]` and the skip `[B, skip, s * H, s * W]`, if any, to `[B, out, s * H, s * W]`."""
        x = self.activation(self.norm(self.deconv(x)))
        return self.refine(x if skip is None else torch.cat([x, skip], dim=1))


class Decoder(nn.Module):
    """Decoder blocks from 1/16 to full size, with or without skips (then a U-Net).

    Source: Ronneberger et al., "U-Net", 2015.

    Args:
        in_channels: channels of the bottleneck.
        channels: output channels of the blocks, coarse to fine.
        skip_channels: channels of the skips, fine to coarse as the encoder yields them; none by default.
        norm_groups: groups of the GroupNorm layers.
        upsampling: see `DecoderBlock`.
    """

    def __init__(
        self,
        in_channels: int,
        channels: Sequence[int],
        skip_channels: Sequence[int] = (),
        *,
        norm_groups: int = GROUP_NORM_GROUPS,
        upsampling: Upsampling = "deconvolution",
    ) -> None:
        super().__init__()
        skips = list(skip_channels)[::-1] or [0] * len(channels)
        self.blocks = nn.ModuleList(
            DecoderBlock(before, after, skip_channels=skip, norm_groups=norm_groups, upsampling=upsampling)
            for before, after, skip in zip([in_channels, *channels], channels, skips, strict=False)
        )

    def forward(self, bottleneck: Tensor, skips: Sequence[Tensor] = ()) -> Tensor:
        """`[B, C, h, w]` and skips, fine to coarse, to `[B, channels[-1], 16 h, 16 w]`."""
        x = bottleneck
        for index, block in enumerate(self.blocks):
            x = block(x, skips[-1 - index]) if skips else block(x)
        return x
