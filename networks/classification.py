"""Multi-label classification of one radiograph."""

from collections.abc import Sequence

from torch import Tensor, nn

from networks.config import NetworkConfig, require_positive
from networks.encoder import Encoder, EncoderModel
from networks.init import initialize


class ClassificationModel(EncoderModel):
    """Encoder, mean over the image, linear layer: `[B, C, H, W] -> [B, labels_num]` logits.

    Args:
        in_channels, config, encoder: see `EncoderModel`.
        labels_num: labels, each present or absent on its own.
        labels: their names, in the order of the logits; saved with the model.
        standardize: bring what the encoder makes of the images to mean 0 and variance 1 over the data before
            the linear layer, as a linear probe needs it (He et al., "Masked Autoencoders", 2022, appendix A).

    Raises:
        ValueError: `labels_num` is not positive, or `labels` are not as many different names.
    """

    def __init__(
        self,
        in_channels: int = 1,
        labels_num: int = 14,
        config: NetworkConfig | None = None,
        *,
        labels: Sequence[str] | None = None,
        standardize: bool = False,
        encoder: Encoder | None = None,
    ) -> None:
        require_positive(labels_num=labels_num)
        if labels is not None and not len(labels) == len(set(labels)) == labels_num:
            raise ValueError(f"labels={list(labels)} are not labels_num={labels_num} different names")
        super().__init__(in_channels, config, encoder)
        self.labels = None if labels is None else tuple(labels)
        width = self.encoder.out_channels
        self.norm = nn.BatchNorm1d(width, affine=False) if standardize else nn.Identity()
        self.head = nn.Linear(width, labels_num)
        initialize(self.head)

    def forward(self, image: Tensor) -> Tensor:
        """`[B, C, H, W] in [0, 1] -> [B, labels_num]` logits; sigmoid gives probabilities."""
        self.norm.train(self.training and len(image) > 1)  # one image has no spread
        logits: Tensor = self.head(self.norm(self.pooled(image)))
        return logits
