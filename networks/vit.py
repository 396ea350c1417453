"""Features of a frozen vision transformer of others: DINO, RAD-DINO and the like."""

import inspect
import json
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate
from transformers import AutoModel

from networks.pretrained import read_local

_PREPROCESSOR = "preprocessor_config.json"


class ViTFeatures(nn.Module):
    """Hidden states of a ViT, evenly spread over its depth, as feature maps; frozen.

    Args:
        folder: what the hub has of it (`config.json`, weights, `preprocessor_config.json`), on this machine.
        layers: how many hidden states, the last one among them.

    Raises:
        ValueError: a file is missing or broken, or the network is no vision transformer.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, folder: Path | str, layers: int = 4) -> None:
        super().__init__()
        self.vit = read_local(AutoModel, Path(folder))
        config = self.vit.config
        for name in ("patch_size", "num_hidden_layers"):
            if not isinstance(getattr(config, name, None), int):
                raise ValueError(f"{folder}: {config.model_type} is no vision transformer (no {name})")
        self.patch_size: int = config.patch_size
        depth = config.num_hidden_layers
        self.layers = sorted({round(depth * part / layers) for part in range(1, layers + 1)} - {0})
        self.width: int = config.hidden_size
        # Some always interpolate their positions, some have none, the others must be asked to.
        asked = "interpolate_pos_encoding" in inspect.signature(self.vit.forward).parameters
        self.options = {"interpolate_pos_encoding": True} if asked else {}
        for name, values in _normalisation(Path(folder)).items():
            self.register_buffer(name, torch.tensor(values).view(1, -1, 1, 1))
        self.requires_grad_(False)
        self.eval()

    def forward(self, image: Tensor) -> list[Tensor]:
        """Feature maps `[B, C, h, w]`, one a patch, of images `[B, 1 or 3, H, W]` in `[0, 1]`.

        Sides that are no multiple of the patch are resized to the next one.
        """
        rows, columns = (-(-side // self.patch_size) for side in image.shape[-2:])
        size = (rows * self.patch_size, columns * self.patch_size)
        if size != image.shape[-2:]:
            image = interpolate(image, size, mode="bilinear", align_corners=False)
        pixels = (image.expand(-1, 3, -1, -1) - self.mean) / self.std
        states = self.vit(pixels, output_hidden_states=True, **self.options).hidden_states
        # What stands before the patches: the class token, and registers.
        patches = [states[layer][:, -rows * columns :] for layer in self.layers]
        return [tokens.transpose(1, 2).unflatten(2, (rows, columns)) for tokens in patches]


def _normalisation(folder: Path) -> dict[str, list[float]]:
    """Mean and standard deviation of the channels, as the network was trained with."""
    try:
        known = json.loads((folder / _PREPROCESSOR).read_text())
        return {"mean": known["image_mean"], "std": known["image_std"]}
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(
            f"{folder}/{_PREPROCESSOR} does not say image_mean and image_std ({type(error).__name__}); "
            "copy it from where the weights are from"
        ) from error
