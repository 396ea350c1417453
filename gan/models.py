"""Networks of a run: built from its options, written to and read from its directory."""

from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import nn

import networks
from gan.config import AdversarialConfig, PretrainConfig
from gan.errors import UserError
from gan.plugins import import_object
from gan.rundir import RunDir

_OURS = "networks:"


def build_generator(config: AdversarialConfig) -> nn.Module:
    """The generator named by `--generator`: `(baseline, followup) -> change map`."""
    cls = _network_class(config.generator, "--generator")
    if config.generator.startswith(_OURS):
        return cls(config=config.network, change=config.data.change)
    return _without_arguments(cls, config.generator, "--generator")


def build_discriminator(config: AdversarialConfig) -> nn.Module:
    """The discriminator named by `--discriminator`: `(baseline, followup, change map) -> logits`."""
    cls = _network_class(config.discriminator, "--discriminator")
    if config.discriminator.startswith(_OURS):
        return cls(in_channels=3, **vars(config.disc))
    return _without_arguments(cls, config.discriminator, "--discriminator")


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
            f"{run.encoder} is not a saved encoder ({_first_line(error)}); run gan.pretrain again"
        ) from error


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
        save_file(
            {name: tensor.contiguous() for name, tensor in model.state_dict().items()},
            staging / "model.safetensors",
        )
    for path in staging.iterdir():
        path.replace(folder / path.name)
    staging.rmdir()


def load_generator(run: RunDir, config: AdversarialConfig) -> nn.Module:
    """The generator that a finished run saved, in eval mode.

    Raises:
        UserError: the run has none (yet), or its files are broken.
    """
    if not (run.generator / "model.safetensors").is_file():
        raise UserError(f"{run.path} holds no generator/model.safetensors; name a run of gan.adversarial")
    cls = _network_class(config.generator, "--generator")
    try:
        if hasattr(cls, "from_pretrained"):
            return cls.from_pretrained(run.generator).eval()
        model = build_generator(config)
        model.load_state_dict(load_file(run.generator / "model.safetensors"), strict=True)
    except UserError:
        raise
    except Exception as error:  # safetensors, json and torch raise all kinds for a broken file
        raise UserError(f"{run.generator} is not a saved generator ({_first_line(error)})") from error
    return model.eval()


def _network_class(spec: str, option: str) -> Any:
    cls = import_object(spec, option)
    if not (isinstance(cls, type) and issubclass(cls, nn.Module)):
        raise UserError(f"{option} {spec} is not a torch.nn.Module class")
    return cls


def _without_arguments(cls: Any, spec: str, option: str) -> nn.Module:
    try:
        return cls()
    except TypeError as error:
        raise UserError(
            f"{option} {spec} cannot be built without arguments ({_first_line(error)})"
        ) from error


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"
