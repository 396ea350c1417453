"""Networks whose maps are known, and models made of them."""

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad

from gan.run.change_model import ChangeModel
from gan.run.handover import Preprocessing


class Difference(nn.Module):
    """Calls the difference of the two a change map, signed."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, baseline: Tensor, followup: Tensor) -> Tensor:
        """Their difference."""
        return self.weight * (followup - baseline)


class Magnitude(Difference):
    """The same without its sign."""

    def forward(self, baseline: Tensor, followup: Tensor) -> Tensor:
        """How far the two are apart."""
        return super().forward(baseline, followup).abs()


class Convolution(Difference):
    """A fully convolutional network that sees three pixels far."""

    def forward(self, baseline: Tensor, followup: Tensor) -> Tensor:
        """The difference, filtered."""
        kernel = torch.linspace(-0.2, 0.4, 49).view(1, 1, 7, 7) * self.weight
        change = super().forward(baseline, followup)
        return torch.tanh(conv2d(pad(change, (3, 3, 3, 3)), kernel))


def fed(network: str, change: str, *, size: int = 64, align: bool = False) -> Preprocessing:
    """How a model of one of these networks is fed."""
    return Preprocessing(
        network=f"tests.gan.predict.models:{network}",
        image_size=size,
        framing="pad",
        intensity="dicom",
        change=change,
        align=align,
    )


def model(
    network: type[nn.Module], *, size: int = 64, weight: float = 1.0, align: bool = False
) -> ChangeModel:
    """A model of one of these networks; `weight` scales its maps."""
    generator = network().eval()
    with torch.no_grad():
        generator.weight.fill_(weight)
    change = "magnitude" if network is Magnitude else "signed"
    return ChangeModel(generator, fed(network.__name__, change, size=size, align=align))
