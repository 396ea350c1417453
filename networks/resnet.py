"""Residual networks as encoders, whose weights torchvision and many others publish."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from textwrap import shorten

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import resnet

from networks.blocks import group_norm, pad_to_multiple, run
from networks.config import NetworkConfig
from networks.hub import PretrainedModel, mismatch_named
from networks.init import initialize

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_WIDTHS = {18: (64, 128, 512), 34: (64, 128, 512), 50: (256, 512, 2048), 101: (256, 512, 2048)}
"""Of the features at 1/4, 1/8 and 1/16, by depth."""


class ResNetEncoder(PretrainedModel):
    """A ResNet, its last stage at 1/16 as well: `[B, C, H, W] -> [B, 512 or 2048, H/16, W/16]`.

    The convolutions of the last stage are spread instead of strided, so that every second of its features, in
    rows and columns, is one of the ResNet at 1/32. An image whose sides are no multiples of 32 is padded
    first. The skip at 1/1 is the image.

    Source: He et al., "Deep Residual Learning for Image Recognition", 2016, table 1; Chen et al., "DeepLab",
    2018, section 3.1, for the spread convolutions.

    Args:
        config: its `norm`, `norm_groups` and `checkpoint_activations`; widths are those of the ResNet.
        in_channels: channels of an image, 1 or 3.
        depth: layers, 18, 34, 50 or 101.

    Raises:
        ValueError: another depth, or other channels.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: NetworkConfig | None = None, in_channels: int = 1, depth: int = 18) -> None:
        super().__init__()
        if depth not in _WIDTHS:
            raise ValueError(f"depth={depth} is not one of {', '.join(map(str, _WIDTHS))}")
        if in_channels not in (1, 3):
            raise ValueError(f"in_channels={in_channels} is not 1 or 3")
        self.config = config = replace(config or NetworkConfig())  # its own: ImageNet weights change it
        self.depth = depth
        quarter, eighth, self.out_channels = _WIDTHS[depth]
        self.skip_channels = [in_channels, 64, quarter, eighth]
        self.resnet = _dense(depth, config)
        initialize(self.resnet)
        self.register_buffer("mean", torch.tensor(_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(_STD).view(3, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """`[B, C, H, W] in [0, 1] -> [B, out_channels, H/16, W/16]`."""
        return self.forward_features(image)[-1]

    def forward_features(self, image: Tensor) -> list[Tensor]:
        """The skips at 1/1, 1/2, 1/4 and 1/8 (`skip_channels` wide), then the bottleneck at 1/16."""
        image = pad_to_multiple(image)
        net = self.resnet
        stem = net.relu(net.bn1(net.conv1((image - self.mean) / self.std)))  # grey becomes three channels
        quarter = self._stage(net.layer1, F.max_pool2d(stem, 3, 2, padding=1))
        eighth = self._stage(net.layer2, quarter)
        return [image, stem, quarter, eighth, self._stage(net.layer4, self._stage(net.layer3, eighth))]

    def _stage(self, blocks: nn.Sequential, x: Tensor) -> Tensor:
        for block in blocks:
            x = run(block, x, recompute=self.config.checkpoint_activations)
        return x

    def load_imagenet_weights(self, file: Path) -> None:
        """Copy the weights of a ResNet of the same depth, in place; a classifier among them is left out.

        The layers get BatchNorm instead of GroupNorm, since that is what such weights were trained with.

        Args:
            file: the state dict of torchvision's model, as in `resnet18-f37072fd.pth`.

        Raises:
            ValueError: the file is not there, is no state dict, or that of another network.
        """
        try:
            weights = torch.load(file, map_location="cpu", weights_only=True)
            weights = {name: tensor for name, tensor in weights.items() if not name.startswith("fc.")}
        except Exception as error:  # whatever a file that is no state dict makes the reader raise
            reason = shorten(str(error), width=120)
            raise ValueError(f"{file}: not a state dict of torchvision's ResNet ({reason})") from error
        config = replace(self.config, norm="batch")
        net = _dense(self.depth, config)
        with mismatch_named(net, file):
            net.load_state_dict(weights)
        self.resnet, self.config = net, config


class ResNet50Encoder(ResNetEncoder):
    """`ResNetEncoder` of depth 50, by a name of its own for command lines."""

    def __init__(self, config: NetworkConfig | None = None, in_channels: int = 1) -> None:
        super().__init__(config, in_channels, depth=50)


def _dense(depth: int, config: NetworkConfig) -> resnet.ResNet:
    """Torchvision's ResNet without its classifier, the convolutions of its last stage spread, not strided."""
    norm = partial(group_norm, groups=config.norm_groups) if config.norm == "group" else nn.BatchNorm2d
    net: resnet.ResNet = getattr(resnet, f"resnet{depth}")(norm_layer=norm)
    net.fc = nn.Identity()
    for layer in net.layer4.modules():
        if isinstance(layer, nn.Conv2d) and layer.stride == (2, 2):
            layer.stride = (1, 1)
        elif isinstance(layer, nn.Conv2d) and layer.kernel_size == (3, 3):
            layer.dilation = layer.padding = (2, 2)
    return net
