"""Generators as anyone hands them on: a folder with their class and weights, or one file of `gan.export`."""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from data.base.errors import UserError, first_line
from gan.run.generator import EXPORTED, require_export_extra
from gan.run.handover import ANY, Preprocessing, load_network
from gan.run.trained_on import read_preprocessing

INPUTS = ("baseline", "followup")
OUTPUT = "change"


def load_generator(
    place: Path, *, device: torch.device | str = "cpu", trusted: str = ""
) -> tuple[nn.Module, Preprocessing]:
    """A generator in eval mode on a device, and how it must be fed.

    Args:
        place: a folder, see `load_network`, or a file of `gan.export`.
        device: where it computes.
        trusted: see `load_network`. A .pt2 file can hold any code, so that it takes `ANY`.

    Raises:
        UserError: it cannot be loaded or is not trusted, or a package for it is missing.
    """
    if place.suffix not in EXPORTED:
        network, preprocessing = load_network(place, trusted=trusted)
        return network.to(device), preprocessing
    preprocessing = Preprocessing(**read_preprocessing(place))
    if place.suffix == ".onnx":
        return OnnxNetwork(place, torch.device(device)), preprocessing
    if trusted != ANY:
        raise UserError(f"{place} can hold any code; if you trust it, add --trust-remote-code")
    return _load_program(place, torch.device(device)), preprocessing


class OnnxNetwork(nn.Module):
    """An ONNX file as a generator, run by onnxruntime.

    Args:
        path: the file.
        device: where it computes; on a GPU if this onnxruntime can.

    Raises:
        UserError: the file is damaged, or onnxruntime is missing.
    """

    def __init__(self, path: Path, device: torch.device) -> None:
        super().__init__()
        require_export_extra()
        import onnxruntime

        wanted = ["CUDAExecutionProvider"] * (device.type == "cuda") + ["CPUExecutionProvider"]
        providers = [name for name in wanted if name in onnxruntime.get_available_providers()]
        try:
            self._session: Any = onnxruntime.InferenceSession(path, providers=providers)
        except Exception as error:  # onnxruntime raises a class of its own for each way to fail
            raise UserError(f"{path} is not to be run ({first_line(error)}); export it again") from error
        # The caller asks the parameters where images are to be put.
        self.place = nn.Parameter(torch.empty(0, device=device), requires_grad=False)

    def forward(self, baseline: Tensor, followup: Tensor) -> Tensor:
        """`[B, 1, H, W], [B, 1, H, W] in [0, 1] -> [B, 1, H, W]`, float32."""
        images = (image.detach().float().cpu().numpy() for image in (baseline, followup))
        (change,) = self._session.run([OUTPUT], dict(zip(INPUTS, images, strict=True)))
        return torch.from_numpy(change).to(baseline.device)


def _load_program(path: Path, device: torch.device) -> nn.Module:
    from torch.export.passes import move_to_device_pass

    try:
        program = torch.export.load(path)
        return move_to_device_pass(program, device).module()
    except Exception as error:  # whatever a damaged archive makes torch raise
        raise UserError(f"{path} is not to be run ({first_line(error)}); export it again") from error


def described(preprocessing: Preprocessing) -> str:
    """How a network must be fed, as exported files carry it."""
    return json.dumps(vars(preprocessing))
