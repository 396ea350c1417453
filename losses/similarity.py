"""LPIPS and DISTS of change maps: torchmetrics' networks on weights that lie here."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import torch
from torch import Tensor, nn

from losses.vgg import vgg_convolutions


def _lpips(convolutions: nn.Sequential) -> nn.Module:
    from torchmetrics.functional.image import lpips

    with patch.object(lpips, "_get_tv_model_features", lambda *_, **__: convolutions):
        return lpips._LPIPS(net="vgg")


def _dists(convolutions: nn.Sequential) -> nn.Module:
    from torchmetrics.functional.image import dists

    with patch.object(dists, "vgg16", lambda **_: SimpleNamespace(features=convolutions)):
        return dists.DISTSNetwork()


# Both constructors ask torchvision for VGG, which would download it, and know no other way.
SIMILARITIES: Mapping[str, Callable[[nn.Sequential], nn.Module]] = {"lpips": _lpips, "dists": _dists}
"""Learned distances on VGG-16, by the names of their weights in `LossWeights`.

Source: Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", 2018; Ding et
al., "Image Quality Assessment: Unifying Structure and Texture Similarity", 2020.
"""


class SimilarityLoss(nn.Module):
    """LPIPS or DISTS between change maps, frozen.

    Args:
        name: one of `SIMILARITIES`.
        weights: of VGG-16; see `VGGFeatures`. What was learned on top of it comes with the library.
        signed: whether maps lie in `[-1, 1]`; they are then mapped to `[0, 1]`.

    Raises:
        ValueError: the file is missing, unreadable, or does not hold the weights of VGG-16.
    """

    def __init__(self, name: str, weights: Path | str, *, signed: bool = False) -> None:
        super().__init__()
        self.network = SIMILARITIES[name](vgg_convolutions("vgg16", weights)).eval().requires_grad_(False)
        self.options = {"lpips": {"normalize": True}, "dists": {"require_grad": True}}[name]
        self.signed = signed

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Compare `prediction` and `target`, both `[B, 1, H, W]`; mean over maps, scalar float32."""
        maps = [self._as_image(prediction), self._as_image(target)]
        with torch.autocast(prediction.device.type, enabled=False):
            distance: Tensor = self.network(*maps, **self.options).mean()
        return distance

    def _as_image(self, maps: Tensor) -> Tensor:
        """Three equal channels in `[0, 1]`."""
        maps = (maps.float() + 1) / 2 if self.signed else maps.float()
        return maps.expand(-1, 3, -1, -1)
