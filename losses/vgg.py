"""VGG features of single-channel images, from torchvision's network."""

from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

_LAYOUT = {"vgg16": "D", "vgg19": "E"}  # torchvision's names of the layer tables
_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)


class VGGFeatures(nn.Module):
    """The last activation before each of VGG's five poolings, as five feature maps; frozen.

    Args:
        name: which of the two networks.
        weights: a file with the state dict of torchvision's model (whole, or of its `features` only; a
            `.pth` or `.safetensors` file), or "torchvision" to have torchvision download it.

    Raises:
        ValueError: the file is missing, unreadable, or does not hold the weights of this network.

    Source: Simonyan and Zisserman, "Very Deep Convolutional Networks", 2015, table 1, columns D and E.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, name: Literal["vgg16", "vgg19"], weights: Path | str) -> None:
        super().__init__()
        self.stages = _split_before_poolings(vgg_convolutions(name, weights))
        self.register_buffer("mean", torch.tensor(_IMAGENET_MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(_IMAGENET_STD).view(1, 3, 1, 1))
        self.requires_grad_(False)
        self.eval()

    def forward(self, image: Tensor) -> list[Tensor]:
        """Five feature maps of grey images `[B, 1, H, W]` in `[0, 1]`, at 1/1, 1/2, 1/4, 1/8 and 1/16.

        The grey channel is repeated to three and normalised with ImageNet's mean and standard deviation.
        """
        features = (image.expand(-1, 3, -1, -1) - self.mean) / self.std
        outputs = []
        for stage in self.stages:
            features = stage(features)
            outputs.append(features)
        return outputs


def vgg_convolutions(name: Literal["vgg16", "vgg19"], weights: Path | str) -> nn.Sequential:
    """The convolutions, activations and poolings of a VGG with its weights; see `VGGFeatures`."""
    from torchvision.models import vgg

    if name not in _LAYOUT:
        raise ValueError(f"{name!r} is no VGG network; choose one of {', '.join(_LAYOUT)}")
    convolutions: nn.Sequential = vgg.make_layers(vgg.cfgs[_LAYOUT[name]])
    if str(weights) == "torchvision":
        state = _download(name)
    else:
        state = _read(Path(weights), name, convolutions.state_dict())
    convolutions.load_state_dict(state)
    return convolutions


def _split_before_poolings(layers: nn.Sequential) -> nn.ModuleList:
    """Cut VGG into stages that end with an activation; a pooling opens the next, the last is left out."""
    stages: list[list[nn.Module]] = [[]]
    for layer in layers:
        if isinstance(layer, nn.MaxPool2d):
            stages.append([])
        stages[-1].append(layer)
    return nn.ModuleList(nn.Sequential(*stage) for stage in stages[:-1])


def _only_features(state: dict[str, Tensor]) -> dict[str, Tensor]:
    prefix = "features."
    whole_model = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    return whole_model or state


def _download(name: str) -> dict[str, Tensor]:
    from torchvision.models import get_model_weights

    try:
        state = get_model_weights(name)["IMAGENET1K_V1"].get_state_dict(progress=True, check_hash=True)
    except (OSError, RuntimeError) as error:
        raise ValueError(
            f"the weights of {name} could not be downloaded ({_first_line(error)}); "
            "download them elsewhere and give the file"
        ) from error
    return _only_features(state)


def _read(path: Path, name: str, expected: dict[str, Tensor]) -> dict[str, Tensor]:
    """State dict of the convolutions in `path`, checked against `expected`."""
    remedy = f"give a file with the state dict of torchvision's {name}, or the word torchvision"
    if not path.is_file():
        raise ValueError(f"{path} does not exist; {remedy}")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a file that is no state dict makes the reader raise
        raise ValueError(
            f"{path} is not a readable file of weights ({_first_line(error)}); {remedy}"
        ) from error
    if not (isinstance(state, dict) and all(isinstance(value, Tensor) for value in state.values())):
        raise ValueError(f"{path} does not hold a state dict; {remedy}")
    state = _only_features(state)
    if {key: value.shape for key, value in state.items()} != {
        key: value.shape for key, value in expected.items()
    }:
        raise ValueError(f"{path} holds the weights of another network than {name}; {remedy}")
    return state


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
