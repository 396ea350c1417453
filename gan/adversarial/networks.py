"""Generator and discriminator, built from the options."""

import inspect

import torch
from torch import nn

from data.base.errors import UserError, first_line
from gan.adversarial.options import AdversarialConfig
from gan.run.plugins import build_network, encoder_option, is_ours, network_class


def build_generator(config: AdversarialConfig) -> nn.Module:
    """The generator named by `--generator`: `(baseline, followup) -> change map`."""
    options = {"config": config.network, "change": config.data.change, **encoder_option(config)}
    generator = build_network(config.generator, "--generator", options)
    if not is_ours(config.generator):
        _check_shape(generator, config)
    return generator


def build_discriminator(config: AdversarialConfig) -> nn.Module:
    """The discriminator named by `--discriminator`: `(baseline, followup, change map) -> logits`."""
    taken = inspect.signature(network_class(config.discriminator, "--discriminator")).parameters
    options = {"in_channels": 3, **vars(config.disc)}
    options = {name: value for name, value in options.items() if name in taken}
    return build_network(config.discriminator, "--discriminator", options)


@torch.no_grad()
def _check_shape(generator: nn.Module, config: AdversarialConfig) -> None:
    """Refuse a generator of the user's own whose map is not of the images' size, before training."""
    image = torch.zeros(1, 1, config.data.image_size, config.data.image_size)
    wanted = tuple(image.shape)
    try:
        found = tuple(generator(image, image).shape)
    except Exception as error:  # whatever the user's network raises
        raise UserError(
            f"--generator {config.generator} fails on two images {wanted} ({first_line(error)})"
        ) from error
    if found != wanted:
        raise UserError(f"--generator {config.generator} maps images {wanted} to {found}; make it {wanted}")
