"""Masked-image pretraining of the encoder."""

import math

import torch
from torch import Tensor, nn

from networks.blocks import Decoder
from networks.config import NetworkConfig, require_positive
from networks.encoder import Encoder, EncoderModel
from networks.heads import MapHead, check_images
from networks.init import embedding


class MaskedReconstructionModel(EncoderModel):
    """Encoder and U-Net decoder that fill in hidden pixels: `[B, C, H, W] -> [B, C, H, W]` in `[0, 1]`.

    Hidden pixels are replaced in the image, before the encoder, by a learnable token of one patch, tiled
    over the image; nothing of them reaches the network.

    Source: Xie et al., "SimMIM", 2022, section 3.1, with the token in image space.

    Args:
        in_channels, config, encoder: see `EncoderModel`.
        patch_size: side in pixels of the mask token.

    Raises:
        ValueError: `patch_size` is not positive.
    """

    def __init__(
        self,
        in_channels: int = 1,
        config: NetworkConfig | None = None,
        patch_size: int = 32,
        *,
        encoder: Encoder | None = None,
    ) -> None:
        require_positive(patch_size=patch_size)
        mask_token = embedding(1, in_channels, patch_size, patch_size)
        super().__init__(in_channels, config, encoder)
        self.mask_token = mask_token
        channels, groups = self.config.decoder_channels, self.config.norm_groups
        width, skips = self.encoder.out_channels, self.encoder.skip_channels
        self.decoder = Decoder(width, channels, skips, norm_groups=groups, upsampling=self.config.upsampling)
        self.head = MapHead(channels[-1], in_channels, nn.Sigmoid())

    def forward(self, image: Tensor, mask: Tensor | None = None) -> Tensor:
        """Reconstruct an image, of which `mask` hides a part.

        Args:
            image: `[B, C, H, W]` in `[0, 1]`.
            mask: `[B, 1, H, W]` bool, True where hidden; None hides nothing.

        Returns:
            `[B, C, H, W]` in `[0, 1]`, visible pixels included.

        Raises:
            ValueError: image or mask of another shape, or a mask that is not bool.
        """
        check_images(image, in_channels=self.in_channels)
        height, width = image.shape[-2:]
        visible = image if mask is None else self.hide(image, mask)
        *skips, bottleneck = self.features(visible)
        reconstruction: Tensor = self.head(self.decoder(bottleneck, skips))
        return reconstruction[..., :height, :width]

    def hide(self, image: Tensor, mask: Tensor) -> Tensor:
        """The image as the encoder sees it, `[B, C, H, W]`: the tiled token where `mask` is True."""
        batch, _, height, width = image.shape
        if mask.dtype != torch.bool or mask.shape != (batch, 1, height, width):
            raise ValueError(
                f"mask is {mask.dtype} {tuple(mask.shape)}, not torch.bool {(batch, 1, height, width)}"
            )
        side = self.mask_token.shape[-1]
        tiled = self.mask_token.tile(1, 1, math.ceil(height / side), math.ceil(width / side))
        # Not image * ~mask: a NaN behind the mask would come through.
        return torch.where(mask, tiled[..., :height, :width].to(image.dtype), image)
