"""Multi-label classification of one radiograph."""

from torch import Tensor, nn

from networks.config import NetworkConfig
from networks.encoders import BottleneckEncoder, EncoderModel
from networks.heads import check_images
from networks.init import initialize


class ClassificationModel(EncoderModel):
    """Encoder, mean over the image, linear layer: `[B, C, H, W] -> [B, labels_num]` logits.

    Args:
        in_channels: channels of an image.
        labels_num: labels, each present or absent on its own.
        config: widths and depths; the reference model by default.

    Raises:
        ValueError: `labels_num` is not positive.
    """

    def __init__(
        self, in_channels: int = 1, labels_num: int = 14, config: NetworkConfig | None = None
    ) -> None:
        super().__init__()
        if labels_num < 1:
            raise ValueError(f"labels_num={labels_num} is not a positive number")
        self.in_channels = in_channels
        self.encoder = BottleneckEncoder(config, in_channels)
        self.head = nn.Linear(self.encoder.out_channels, labels_num)
        initialize(self.head)

    def forward(self, image: Tensor) -> Tensor:
        """`[B, C, H, W] in [0, 1] -> [B, labels_num]` logits; sigmoid gives probabilities."""
        check_images(image, in_channels=self.in_channels)
        logits: Tensor = self.head(self.encoder(image).mean(dim=(-2, -1)))
        return logits
