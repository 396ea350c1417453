"""Last layers: features to a map with a known range."""

from typing import Literal, cast

from torch import Tensor, nn

from networks import constants
from networks.init import initialize

Change = Literal["magnitude", "signed"]
_EMPTY_LOGIT = -4.0


class MapHead(nn.Module):
    """Pointwise convolution and a squashing function: `[B, C, H, W] -> [B, out, H, W]`."""

    def __init__(self, in_channels: int, out_channels: int, squash: nn.Module) -> None:
        super().__init__()
        self.pointwise = nn.Conv2d(in_channels, out_channels, 1)
        self.squash = squash
        initialize(self)

    def forward(self, x: Tensor) -> Tensor:
        """`[B, C, H, W] -> [B, out, H, W]`."""
        bounded: Tensor = self.squash(self.pointwise(x))
        return bounded


def change_head(in_channels: int, change: Change) -> MapHead:
    """Head of a change map: sigmoid into `[0, 1]` for magnitudes, tanh into `[-1, 1]` for signed change.

    It starts near the empty map, which most pixels of most targets are: magnitudes by their bias, at
    sigmoid(-4) = 0.02, where the sigmoid still passes gradients; signed change by small weights.

    Raises:
        ValueError: `change` is neither.
    """
    if change not in ("magnitude", "signed"):
        raise ValueError(f"change={change!r} is not one of 'magnitude', 'signed'")
    head = MapHead(in_channels, 1, nn.Sigmoid() if change == "magnitude" else nn.Tanh())
    if constants.INIT_WEIGHTS:
        if change == "magnitude":
            nn.init.constant_(cast(Tensor, head.pointwise.bias), _EMPTY_LOGIT)
        else:
            nn.init.trunc_normal_(head.pointwise.weight, std=constants.INIT_STD)
    return head


def check_images(*images: Tensor, in_channels: int) -> None:
    """Raise a ValueError unless all are `[B, in_channels, H, W]` of one shape."""
    shape = images[0].shape
    if len(shape) != 4 or shape[1] != in_channels:
        raise ValueError(f"image of shape {tuple(shape)} is not [B, {in_channels}, H, W]")
    for other in images[1:]:
        if other.shape != shape:
            raise ValueError(
                f"baseline and followup differ in shape: {tuple(shape)} and {tuple(other.shape)}"
            )
