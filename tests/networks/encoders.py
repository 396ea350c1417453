"""Encoders as a user would write them."""

from torch import Tensor, nn
from torch.nn import functional as F

from networks import PretrainedModel
from networks.blocks import pad_to_multiple


class Strided(PretrainedModel):
    """Plain convolutions, one of stride 1 and four of stride 2; it remembers its arguments."""

    def __init__(self, widths: tuple[int, ...], in_channels: int = 1) -> None:
        super().__init__()
        *self.skip_channels, self.out_channels = widths
        self.layers = nn.ModuleList(
            nn.Conv2d(before, after, 3, stride=1 if index == 0 else 2, padding=1)
            for index, (before, after) in enumerate(zip([in_channels, *widths], widths, strict=False))
        )

    def forward_features(self, image: Tensor) -> list[Tensor]:
        features = [pad_to_multiple(image, 16)]
        for layer in self.layers:
            features.append(layer(features[-1]).relu())
        return features[1:]


class Shrinking(nn.Module):
    """Features at 1/16 alone, as a transformer has them, and no arguments: the image stands in elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.skip_channels = [1, 1, 1, 1]
        self.out_channels = 12
        self.patches = nn.Conv2d(1, 12, 16, 16)
        self.mix = nn.Conv2d(12, 12, 1)

    def forward_features(self, image: Tensor) -> list[Tensor]:
        image = pad_to_multiple(image, 16)
        skips = [image, *(F.avg_pool2d(image, 2**scale) for scale in (1, 2, 3))]
        return [*skips, self.mix(self.patches(image).relu())]


class Headless(nn.Module):
    """Lacks all of the contract but the widths."""

    skip_channels = (1, 1, 1, 1)
    out_channels = 4
