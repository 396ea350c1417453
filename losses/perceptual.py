"""Distance between two maps in the features of a frozen network."""

import copy
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss

FeatureExtractor = Callable[[Tensor], Sequence[Tensor]]


def _normalise_channels(feature: Tensor) -> Tensor:
    """Scale each pixel's channel vector `[B, C, h, w]` to a root mean square of 1.

    Layers then weigh the same whatever their width and activation scale.
    """
    return feature * torch.rsqrt(feature.square().mean(dim=1, keepdim=True) + 1e-6)


class PerceptualLoss(nn.Module):
    """Mean over layers of the L1 distance between channel-normalised features.

    The extractor is copied, frozen and put into evaluation mode: handing over a network that is being
    trained neither freezes nor changes it, and later training of it does not move this loss. The copy
    follows the module from device to device but is no part of its parameters or of its state dict.

    Args:
        features: maps images `[B, 1, H, W]` in `[0, 1]` to feature maps `[B, C, h, w]` of one or several
            layers: a module, or a method of one. Any other callable is taken as it is, and must hold no
            parameters that are trained.
        signed: whether maps lie in `[-1, 1]`; they are then mapped to `[0, 1]` for the extractor.

    Source: Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", 2018,
    eq. 1, without the learned channel weights and with an L1 distance; Johnson et al., "Perceptual Losses
    for Real-Time Style Transfer and Super-Resolution", 2016, section 3.2.
    """

    def __init__(self, features: FeatureExtractor, *, signed: bool = False) -> None:
        super().__init__()
        features = copy.deepcopy(features)
        owner = features if isinstance(features, nn.Module) else getattr(features, "__self__", None)
        self._features: list[FeatureExtractor] = [features]  # a list hides modules from `parameters()`
        self._networks = [owner.eval().requires_grad_(False)] if isinstance(owner, nn.Module) else []
        self.signed = signed

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "PerceptualLoss":
        for network in self._networks:
            network._apply(fn, recurse)
        return super()._apply(fn, recurse)

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Compare `prediction` and `target`, both `[B, 1, H, W]`; the gradient reaches `prediction` only.

        Returns:
            Scalar float32.
        """
        with torch.autocast(prediction.device.type, enabled=False):
            of_prediction = self._extract(prediction)
            with torch.no_grad():
                of_target = self._extract(target)
            distances = [
                l1_loss(_normalise_channels(predicted), _normalise_channels(wanted))
                for predicted, wanted in zip(of_prediction, of_target, strict=True)
            ]
        return torch.stack(distances).mean()

    def _extract(self, maps: Tensor) -> list[Tensor]:
        maps = maps.float()
        layers = self._features[0]((maps + 1) / 2 if self.signed else maps)
        return [layer.float() for layer in layers]
