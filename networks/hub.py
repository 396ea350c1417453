"""Saving to and loading from a folder, shared by every model."""

import inspect
import json
import re
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any, Self

import torch
from huggingface_hub import PyTorchModelHubMixin
from huggingface_hub.constants import CONFIG_NAME, SAFETENSORS_SINGLE_FILE
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

_MODEL_CARD = """---
{{ card_data }}
---
A radiograph change network: `config.json` holds its constructor arguments, `model.safetensors` its weights.
Load it with `from_pretrained` of the class in `networks` that saved it.
"""
_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")


class PretrainedModel(nn.Module, PyTorchModelHubMixin, model_card_template=_MODEL_CARD):
    """A module with `save_pretrained(folder)` and `from_pretrained(folder or hub id)`.

    The constructor arguments are kept by name and written to `config.json`. (The mixin by itself keeps
    only the fields of a dataclass passed as `config` and loses every other argument.)
    """

    _arguments: dict[str, Any]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Remember the constructor arguments for `save_pretrained`."""
        instance = super().__new__(cls, *args, **kwargs)
        bound = inspect.signature(cls.__init__).bind(instance, *args, **kwargs)
        bound.apply_defaults()
        arguments = dict(list(bound.arguments.items())[1:])
        # Past nn.Module.__setattr__, which is not usable before nn.Module.__init__ has run.
        instance.__dict__["_arguments"] = arguments
        return instance

    def hub_config(self) -> dict[str, Any]:
        """The constructor arguments that build this model again, ready for JSON."""
        arguments = dict(self._arguments)
        if "config" in arguments:  # as it is now: loading ImageNet weights changes the norm
            arguments["config"] = self.config
        return {name: asdict(value) if is_dataclass(value) else value for name, value in arguments.items()}  # type: ignore[arg-type]

    def _save_pretrained(self, save_directory: Path) -> None:
        super()._save_pretrained(save_directory)
        text = json.dumps(self.hub_config(), indent=2)
        (save_directory / CONFIG_NAME).write_text(text + "\n")

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, **kwargs: Any) -> Self:
        """Load a model saved with `save_pretrained`, in evaluation mode, every tensor strictly.

        Args:
            pretrained_model_name_or_path: a folder with `config.json` and `model.safetensors`, or a hub
                id (`owner/name`), which is downloaded.
            kwargs: constructor arguments that replace the saved ones; `map_location` for the device.

        Raises:
            ValueError: no such folder, files missing in it, or the weights of another network.
        """
        folder = Path(pretrained_model_name_or_path)
        if folder.is_dir():
            missing = [
                name for name in (CONFIG_NAME, SAFETENSORS_SINGLE_FILE) if not (folder / name).is_file()
            ]
            if missing:
                raise ValueError(f"{folder}: not a saved {cls.__name__}, lacks {' and '.join(missing)}")
        elif isinstance(pretrained_model_name_or_path, Path) or not _HUB_ID.fullmatch(str(folder)):
            raise ValueError(f"{folder}: no such folder; give one written by {cls.__name__}.save_pretrained")
        return super().from_pretrained(pretrained_model_name_or_path, **kwargs)

    @classmethod
    def _from_pretrained(cls, *, model_id: str, map_location: str = "cpu", **kwargs: Any) -> Self:
        if not Path(model_id).is_dir():
            return super()._from_pretrained(
                model_id=model_id, map_location=map_location, **{"strict": True} | kwargs
            )
        # Not the mixin's own branch for folders, which prints to stdout and reports mismatches in many lines.
        for hub_option in ("revision", "cache_dir", "force_download", "local_files_only", "token", "strict"):
            kwargs.pop(hub_option, None)
        model = cls(**kwargs).to(map_location)
        weights = Path(model_id) / SAFETENSORS_SINGLE_FILE
        try:
            state = load_file(weights, device=str(map_location))
        except SafetensorError as error:
            raise ValueError(f"{weights}: not a safetensors file ({error})") from error
        load_strictly(model, state, source=str(weights))
        return model.eval()


def load_strictly(module: nn.Module, state: dict[str, torch.Tensor], *, source: str) -> None:
    """Copy every tensor of `state` into `module`.

    Raises:
        ValueError: names or shapes differ; one line that counts them and names the first.
    """
    own = module.state_dict()
    wrong = {
        "missing": sorted(own.keys() - state.keys()),
        "unexpected": sorted(state.keys() - own.keys()),
        "of another shape": sorted(
            name for name in own.keys() & state.keys() if own[name].shape != state[name].shape
        ),
    }
    if any(wrong.values()):
        counts = ", ".join(f"{len(names)} {kind} ({names[0]})" for kind, names in wrong.items() if names)
        raise ValueError(f"{source}: not the weights of this {type(module).__name__}: tensors {counts}")
    module.load_state_dict(state)
