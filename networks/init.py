"""Weight initialisation."""

import torch
from torch import nn

from networks import constants


def initialize(*modules: nn.Module) -> None:
    """Initialise the layers inside `modules` in place, as the reference document says.

    Convolutions: Kaiming normal (fan_in, relu). Norms: weight 1, bias 0. Linear layers, which only the
    transformer and the heads have: truncated normal of `INIT_STD`. Biases: 0. Does nothing while
    `constants.INIT_WEIGHTS` is False.

    Source: He et al., "Delving Deep into Rectifiers", 2015, eq. 10; Dosovitskiy et al., "An Image is
    Worth 16x16 Words", 2021, for the transformer.
    """
    if not constants.INIT_WEIGHTS:
        return
    for module in modules:
        module.apply(_initialize_layer)


def _initialize_layer(layer: nn.Module) -> None:
    if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.kaiming_normal_(layer.weight, mode="fan_in", nonlinearity="relu")
    elif isinstance(layer, nn.Linear):
        nn.init.trunc_normal_(layer.weight, std=constants.INIT_STD)
    elif isinstance(layer, nn.GroupNorm | nn.LayerNorm | nn.BatchNorm2d):
        nn.init.ones_(layer.weight)
    else:
        return
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def embedding(*shape: int) -> nn.Parameter:
    """A learnable embedding of the given shape, truncated normal of `INIT_STD`."""
    return nn.Parameter(nn.init.trunc_normal_(torch.empty(*shape), std=constants.INIT_STD))
