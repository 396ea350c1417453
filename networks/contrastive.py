"""Contrastive pretraining of the encoder."""

from torch import Tensor, nn
from torch.nn import functional as F

from networks.config import NetworkConfig, require_positive
from networks.encoder import Encoder, EncoderModel
from networks.init import initialize


class ContrastiveEncoder(EncoderModel):
    """Encoder, mean over the image, projection: `[B, C, H, W] -> [B, embedding_dim]` of unit length.

    The projection normalises over the batch, which in training needs at least two images.

    Source: Chen et al., "A Simple Framework for Contrastive Learning" (SimCLR), 2020, section 2.1; its
    projection with BatchNorm as in their published code.

    Args:
        in_channels, config, encoder: see `EncoderModel`.
        embedding_dim: length of an embedding.

    Raises:
        ValueError: `embedding_dim` is not positive.
    """

    def __init__(
        self,
        in_channels: int = 1,
        embedding_dim: int = 128,
        config: NetworkConfig | None = None,
        *,
        encoder: Encoder | None = None,
    ) -> None:
        require_positive(embedding_dim=embedding_dim)
        super().__init__(in_channels, config, encoder)
        width = self.encoder.out_channels
        # Without the norm what images have in common hides what tells them apart: the loss stays at chance.
        self.projection = nn.Sequential(
            nn.Linear(width, width, bias=False),
            nn.BatchNorm1d(width),
            nn.SiLU(),
            nn.Linear(width, embedding_dim),
        )
        initialize(self.projection)

    def forward(self, image: Tensor) -> Tensor:
        """`[B, C, H, W] in [0, 1] -> [B, embedding_dim]`, each row of length 1."""
        return self.embed(self.pooled(image))

    def embed(self, pooled: Tensor) -> Tensor:
        """`[B, out_channels] -> [B, embedding_dim]`, each row of length 1."""
        return F.normalize(self.projection(pooled), dim=-1)
