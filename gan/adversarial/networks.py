"""Generator and discriminator, built from the options."""

import copy
import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from data.base.errors import UserError, first_line
from gan.adversarial.options import AdversarialConfig
from gan.run.plugins import build_network, encoder_option, is_ours, network_class
from networks import ViTFeatures, perceptual_features


def build_generator(config: AdversarialConfig) -> nn.Module:
    """The generator named by `--generator`: `(baseline, followup) -> change map`.

    Raises:
        UserError: there is none, or one of the user's own whose map is not of the images' size.
    """
    option = f"--generator {config.generator}"
    options = {"config": config.network, "change": config.data.change, **encoder_option(config)}
    generator = build_network(config.generator, "--generator", options)
    if not is_ours(config.generator):
        image = _image(config)
        change = _try(generator, option, image, image)
        if not isinstance(change, Tensor) or change.shape != image.shape:
            raise UserError(f"{option} maps images {_text(image)} to {_text(change)}; make it {_text(image)}")
    return generator


def build_discriminator(config: AdversarialConfig, encoder: Any = None) -> nn.Module:
    """The discriminator named by `--discriminator`: `(baseline, followup, change map) -> logits`.

    Args:
        config: the options.
        encoder: the pretrained encoder, by whose features a projected discriminator judges; a copy is taken.

    Raises:
        UserError: there is none, or one of the user's own that does not return logits.
    """
    option = f"--discriminator {config.discriminator}"
    taken = inspect.signature(network_class(config.discriminator, "--discriminator")).parameters
    options = {"in_channels": 3, **vars(config.disc)}
    options = {name: value for name, value in options.items() if name in taken}
    if "features" in options:
        options["features"] = _frozen_features(config, encoder)
    discriminator = build_network(config.discriminator, "--discriminator", options)
    if not is_ours(config.discriminator):
        image = _image(config)
        logits = _try(discriminator, option, image, image, image)
        scales = logits if isinstance(logits, list | tuple) else [logits]
        if not scales or not all(isinstance(s, Tensor) and s.shape[:2] == (len(image), 1) for s in scales):
            wanted = f"({len(image)}, 1, h, w), or a list of such"
            raise UserError(f"{option} judges images {_text(image)} by {_text(logits)}; make it {wanted}")
    return discriminator


def _frozen_features(config: AdversarialConfig, encoder: Any) -> Callable[[Tensor], list[Tensor]]:
    """What a projected discriminator looks through: a transformer, or the pretrained encoder."""
    if config.disc.features is not None:
        try:
            return ViTFeatures(config.disc.features)
        except ValueError as error:
            raise UserError(f"--disc.features: {error}") from error
    if encoder is None:
        raise UserError(
            f"--pretrained none leaves --discriminator {config.discriminator} without features: add "
            "--disc.features FOLDER with a vision transformer, or name a pretraining run"
        )
    return perceptual_features(copy.deepcopy(encoder))


def _image(config: AdversarialConfig) -> Tensor:
    """Two images as they come in training, but for what is on them."""
    side = config.data.image_size
    return torch.rand(2, 1, side, side, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def _try(network: nn.Module, option: str, *images: Tensor) -> object:
    """What a network of the user's own makes of some images; neither it nor anything random moves."""
    try:
        with torch.random.fork_rng(devices=[]):
            return copy.deepcopy(network).eval()(*images)
    except Exception as error:  # whatever the user's network raises
        inputs = f"{len(images)} images {_text(images[0])}"
        raise UserError(f"{option} fails on {inputs} ({first_line(error)})") from error


def _text(output: object) -> str:
    if isinstance(output, list | tuple):
        return f"[{', '.join(map(_text, output))}]"
    return str(tuple(output.shape)) if isinstance(output, Tensor) else type(output).__name__
