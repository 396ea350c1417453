"""Networks of a run: built from its options, written to and read from its directory."""

import hashlib
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_model, save_model
from torch import nn

import networks
from data.base.errors import UserError, first_line
from gan.config import AdversarialConfig, PretrainConfig
from gan.plugins import import_object
from gan.rundir import RunDir

_OURS = "networks:"


def build_generator(config: AdversarialConfig) -> nn.Module:
    """The generator named by `--generator`: `(baseline, followup) -> change map`."""
    options = {"config": config.network, "change": config.data.change}
    generator = _build(config.generator, "--generator", options)
    if not config.generator.startswith(_OURS):
        _check_shape(generator, config)
    return generator


def build_discriminator(config: AdversarialConfig) -> nn.Module:
    """The discriminator named by `--discriminator`: `(baseline, followup, change map) -> logits`."""
    options = {"in_channels": 3, **vars(config.disc)}
    return _build(config.discriminator, "--discriminator", options)


def build_reconstruction(config: PretrainConfig) -> networks.MaskedReconstructionModel:
    """The model that pretraining trains; its `encoder` is what is kept."""
    return networks.MaskedReconstructionModel(config=config.network, patch_size=config.mask.patch_size)


def load_encoder(run: RunDir) -> networks.BottleneckEncoder:
    """The encoder that a pretraining run trained.

    Raises:
        UserError: the files are not an encoder.
    """
    try:
        return networks.BottleneckEncoder.from_pretrained(run.encoder)
    except Exception as error:  # safetensors, json and torch raise all kinds for a broken file
        raise UserError(
            f"{run.encoder} is not a saved encoder ({first_line(error)}); run gan.pretrain again"
        ) from error


def weights_digest(run: RunDir) -> str:
    """Sixteen hexadecimal digits that tell one pretrained encoder from another."""
    with (run.encoder / "model.safetensors").open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def transfer_encoder(pretrained: networks.BottleneckEncoder, generator: nn.Module, run: RunDir) -> int:
    """Copy every tensor of a pretrained encoder into the generator's and return how many there are.

    Raises:
        UserError: the generator has no encoder, or one of another shape.
    """
    encoder = getattr(generator, "encoder", None)
    if not isinstance(encoder, nn.Module):
        raise UserError("--generator has no attribute encoder to load into; add --pretrained none")
    weights = pretrained.state_dict()
    theirs = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    ours = {name: tuple(tensor.shape) for name, tensor in encoder.state_dict().items()}
    if theirs != ours:
        name = next(n for n in sorted(theirs | ours) if theirs.get(n) != ours.get(n))
        shapes = f"{name}: {theirs.get(name, 'absent')} there, {ours.get(name, 'absent')} here"
        raise UserError(
            f"--pretrained {run.path} has another encoder than this run ({shapes}); "
            "use the same --preset and --network options in both stages"
        )
    encoder.load_state_dict(weights, strict=True)
    return len(weights)


def save_network(model: Any, folder: Path) -> None:
    """Write `config.json` and `model.safetensors`, each moved into place whole."""
    staging = folder.with_name(f".{folder.name}.tmp")
    staging.mkdir(parents=True, exist_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    if hasattr(model, "save_pretrained"):
        model.save_pretrained(staging)
    else:
        save_model(model, str(staging / "model.safetensors"))
    for path in staging.iterdir():
        path.replace(folder / path.name)
    staging.rmdir()


def load_generator(run: RunDir, config: AdversarialConfig) -> nn.Module:
    """The generator that a finished run saved, in eval mode.

    Raises:
        UserError: its files are missing or broken.
    """
    cls = _network_class(config.generator, "--generator")
    try:
        if hasattr(cls, "from_pretrained"):
            return cls.from_pretrained(run.generator).eval()
        model = build_generator(config)
        load_model(model, run.generator / "model.safetensors", strict=True)
    except UserError:
        raise
    except Exception as error:  # safetensors, json and torch raise all kinds for a broken file
        raise UserError(f"{run.generator} is not a saved generator ({first_line(error)})") from error
    return model.eval()


def _network_class(spec: str, option: str) -> Any:
    cls = import_object(spec, option)
    if not (isinstance(cls, type) and issubclass(cls, nn.Module)):
        raise UserError(f"{option} {spec} is not a torch.nn.Module class")
    return cls


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


def _build(spec: str, option: str, options: dict[str, Any]) -> nn.Module:
    """One of our networks with its options, or one of the user's own without any."""
    cls = _network_class(spec, option)
    ours = spec.startswith(_OURS)
    try:
        return cls(**options) if ours else cls()
    except Exception as error:  # whatever a constructor raises that is not ours, or that wants other options
        how = f"with the options of {option}" if ours else "without arguments"
        raise UserError(f"{option} {spec} cannot be built {how} ({first_line(error)})") from error
