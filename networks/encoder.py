"""What a model asks of its encoder, and what all models around one have in common."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from networks.bottleneck import BottleneckEncoder
from networks.config import NetworkConfig
from networks.heads import check_images
from networks.hub import PretrainedModel


@runtime_checkable
class Encoder(Protocol):
    """The contract of an encoder, which is an `nn.Module` besides; every model takes any that meets it.

    Images have any height and width. Where it needs multiples of a number it pads on the right and at the
    bottom (`networks.blocks.pad_to_multiple`), and models crop their maps back. Its five scales are those of
    the padded size, a multiple of 16. An encoder without features at one of them hands out the image itself,
    shrunk to it. One that takes arguments derives from `PretrainedModel`, which keeps them for saving. It may
    have `convolutional_features` too: see `perceptual_features`.
    """

    @property
    def skip_channels(self) -> Sequence[int]:
        """Widths of the four skips, finest first."""

    @property
    def out_channels(self) -> int:
        """Width of the bottleneck."""

    def forward_features(self, image: Tensor) -> list[Tensor]:
        """`[B, C, H, W] in [0, 1]` to four skips at 1/1, 1/2, 1/4, 1/8 and the bottleneck at 1/16."""


def perceptual_features(encoder: Encoder) -> Callable[[Tensor], list[Tensor]]:
    """The method of an encoder whose features compare two maps: local and cheap ones where it has such.

    That is `convolutional_features`, and `forward_features` otherwise.
    """
    local: Callable[[Tensor], list[Tensor]] | None = getattr(encoder, "convolutional_features", None)
    return local or encoder.forward_features


class EncoderModel(PretrainedModel):
    """A model around an encoder, saved together with it.

    Args:
        in_channels: channels of an image.
        config: widths and depths of the default encoder and of the layers after any encoder.
        encoder: an encoder with its weights; by default a fresh `BottleneckEncoder`.

    Raises:
        ValueError: `encoder` does not meet the contract.
    """

    encoder: Any
    """An `Encoder` that is an `nn.Module`; a type that is both cannot be written down."""

    def __init__(self, in_channels: int, config: NetworkConfig | None, encoder: Encoder | None) -> None:
        super().__init__()
        self.in_channels = in_channels
        if encoder is None:
            encoder = BottleneckEncoder(config, in_channels)
            config = encoder.config  # the same object, since loading ImageNet weights changes it
        elif not (isinstance(encoder, nn.Module) and isinstance(encoder, Encoder)):
            raise ValueError(f"{type(encoder).__name__} is not an nn.Module that meets networks.Encoder")
        elif len(encoder.skip_channels) != 4:
            raise ValueError(f"skip_channels={encoder.skip_channels} of the encoder are not 4 widths")
        self.encoder, self.config = encoder, config or NetworkConfig()

    def features(self, *images: Tensor) -> list[Tensor]:
        """What the encoder makes of all images, `[B, C, H, W]` each, in one batch.

        Raises:
            ValueError: the images are not `[B, C, H, W]` of one shape.
        """
        check_images(*images, in_channels=self.in_channels)
        features: list[Tensor] = self.encoder.forward_features(torch.cat(images))
        return features

    def pooled(self, image: Tensor) -> Tensor:
        """`[B, C, H, W] in [0, 1]` to the bottleneck's mean over the image, `[B, out_channels]`."""
        return self.features(image)[-1].mean(dim=(-2, -1))
