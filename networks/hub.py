"""Saving to and loading from a folder or the hub: huggingface_hub's mixin, and what it leaves open."""

import inspect
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from pkgutil import resolve_name
from textwrap import shorten
from typing import Any, Self

from huggingface_hub import PyTorchModelHubMixin, snapshot_download
from huggingface_hub.constants import CONFIG_NAME, SAFETENSORS_SINGLE_FILE
from safetensors import SafetensorError
from torch import nn

from networks.config import NetworkConfig

_MODEL_CARD = """---
{{ card_data }}
---
A radiograph change network: `config.json` holds its constructor arguments, `model.safetensors` its weights.
Load it with `from_pretrained` of the class in `networks` that saved it.
"""
_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")
_HUB_OPTIONS = {"revision", "cache_dir", "force_download", "local_files_only", "token"}
_LARGEST = 2**16
"""Of any size in `NetworkConfig`."""
_BEFORE = {"comparison": "concatenation", "upsampling": "deconvolution"}
"""What models are made of that were saved before there was a choice."""
_CLASS = "class"  # a keyword of Python, so no argument has this name


class PretrainedModel(nn.Module, PyTorchModelHubMixin, model_card_template=_MODEL_CARD):
    """A module with `save_pretrained(folder)`, `push_to_hub(id)` and `from_pretrained(folder or id)`.

    `config.json` holds its constructor arguments by name: JSON values, a `NetworkConfig` named `config`, and
    modules, by class and constructor arguments in their turn. A module that is no `PretrainedModel` is built
    again without arguments.
    """

    _arguments: dict[str, Any]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Remember the arguments: beside a dataclass named `config`, the mixin would forget all others."""
        instance = super().__new__(cls)
        # Partially, since copying and unpickling call this without arguments.
        bound = inspect.signature(cls.__init__).bind_partial(instance, *args, **kwargs)
        bound.apply_defaults()
        instance._arguments = dict(list(bound.arguments.items())[1:])
        return instance

    def hub_config(self) -> dict[str, Any]:
        """The constructor arguments that build this model again, ready for JSON."""
        arguments = {name: _describe(value) for name, value in self._arguments.items()}
        if "config" in arguments:  # as it is now: loading ImageNet weights changes the norm
            arguments["config"] = _describe(self.config)
        return arguments

    def _save_pretrained(self, save_directory: Path) -> None:
        super()._save_pretrained(save_directory)
        self._hub_mixin_config = self.hub_config()  # the mixin writes it next

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | Path,
        *,
        map_location: str = "cpu",
        trust_remote_code: bool = False,
        **kwargs: Any,
    ) -> Self:
        """Load a model saved with `save_pretrained`, in evaluation mode, every tensor strictly.

        The mixin's own version passes over keys it does not know, builds no modules, and prints.

        Args:
            pretrained_model_name_or_path: a folder with `config.json` and `model.safetensors`, or a hub
                id (`owner/name`), which is downloaded.
            map_location: the device.
            trust_remote_code: import the class of an `encoder` that is not of `networks`.
            kwargs: constructor arguments that replace the saved ones; the mixin's options for the hub.

        Raises:
            ValueError: no such folder, files missing or broken, a class not to be imported, arguments that
                the class does not take, or the weights of another network.
        """
        folder = Path(pretrained_model_name_or_path)
        if not folder.is_dir():
            if isinstance(pretrained_model_name_or_path, Path) or not _HUB_ID.fullmatch(str(folder)):
                raise ValueError(f"{folder}: no such folder; give one written by save_pretrained")
            hub = {name: kwargs.pop(name) for name in _HUB_OPTIONS & kwargs.keys()}
            files = [CONFIG_NAME, SAFETENSORS_SINGLE_FILE]
            folder = Path(snapshot_download(str(folder), allow_patterns=files, **hub))
        config, weights = folder / CONFIG_NAME, folder / SAFETENSORS_SINGLE_FILE
        if missing := [file.name for file in (config, weights) if not file.is_file()]:
            raise ValueError(f"{folder}: not a saved {cls.__name__}, lacks {' and '.join(missing)}")
        try:
            arguments = dict(json.loads(config.read_text())) | kwargs
            model: Any = _rebuild(cls, arguments, trust=trust_remote_code).to(map_location)
        except (AttributeError, ImportError, TypeError, ValueError) as error:
            raise ValueError(f"{config}: {error}") from error
        with mismatch_named(model, weights):
            return cls._load_as_safetensor(model, str(weights), map_location, strict=True)


def _describe(argument: Any) -> Any:
    """A constructor argument, ready for JSON; a class as `pkg.mod:Class`, one of ours as `networks:Class`."""
    if isinstance(argument, nn.Module):
        kind = type(argument)
        module = "networks" if kind.__module__.startswith("networks.") else kind.__module__
        arguments = argument.hub_config() if isinstance(argument, PretrainedModel) else {}
        return {_CLASS: f"{module}:{kind.__qualname__}", **arguments}
    return asdict(argument) if isinstance(argument, NetworkConfig) else argument


def _rebuild(kind: type[nn.Module], arguments: dict[str, Any], *, trust: bool) -> nn.Module:
    """A module of this class, without its weights, from what `hub_config` wrote."""
    for name, value in arguments.items():
        if isinstance(value, dict) and _CLASS in value:
            arguments[name] = _rebuild(_find_class(value.pop(_CLASS), trust=trust), value, trust=trust)
        elif isinstance(value, dict) and name == "config":
            arguments[name] = NetworkConfig(**{**_BEFORE, **value})
            _require_sane(value)
    return kind(**arguments)


def _require_sane(sizes: dict[str, Any]) -> None:
    """Refuse sizes that no network has before memory is asked for them."""
    for name, value in sizes.items():
        numbers = value if isinstance(value, list) else [value]
        if any(isinstance(number, int | float) and abs(number) > _LARGEST for number in numbers):
            raise ValueError(f"{name} is {value}; no network is that large")


def _find_class(name: str, *, trust: bool) -> type[nn.Module]:
    """The class of this name; without `trust`, only one that `networks` exports."""
    if not (trust or name.startswith("networks:")):
        raise ValueError(f"{name} is not of networks; if you trust its code, add trust_remote_code=True")
    kind = resolve_name(name)
    if not (isinstance(kind, type) and issubclass(kind, nn.Module)):
        raise ValueError(f"{name} is not a torch.nn.Module class")
    return kind


@contextmanager
def mismatch_named(module: nn.Module, source: object) -> Iterator[None]:
    """Turn the many lines in which torch says that weights do not fit `module` into a one-line ValueError."""
    try:
        yield
    except (RuntimeError, SafetensorError) as error:
        reason = shorten(str(error), width=300)
        raise ValueError(f"{source}: not the weights of this {type(module).__name__} ({reason})") from error
