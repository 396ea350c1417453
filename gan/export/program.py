"""A network as a program for images of any number and size: torch.export's .pt2, or ONNX."""

import copy
import logging
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.nn.utils.parametrize import register_parametrization

from data.base.errors import UserError, first_line
from gan.run.directory import PREPROCESSING
from gan.run.exported import INPUTS, OUTPUT

OPSET = 20
"""Of ONNX; the first with all that the networks need, and read by onnxruntime from 1.17 on."""
_QUANTIZED = ["Conv", "ConvTranspose", "MatMul", "Gemm"]


class _Widened(nn.Module):
    """Weights as float32, whatever they are kept as."""

    def forward(self, weights: Tensor) -> Tensor:
        """The same numbers."""
        return weights.float()


def with_weights_as(network: nn.Module, dtype: torch.dtype) -> nn.Module:
    """A copy whose parameters are kept as `dtype` and computed with in float32."""
    network = copy.deepcopy(network).requires_grad_(False)
    for module in list(network.modules()):
        for name, weights in list(module.named_parameters(recurse=False)):
            setattr(module, name, nn.Parameter(weights.to(dtype), requires_grad=False))
            register_parametrization(module, name, _Widened(), unsafe=True)
    return network


def program_of(network: nn.Module, image_size: int) -> ExportedProgram:
    """What a generator computes, for any number of pairs of any height and width.

    Args:
        network: a generator in eval mode, on the CPU.
        image_size: side of the images it was trained on.

    Raises:
        UserError: its code depends on the number of pairs or their size.
    """
    side = 64 * -(-2 * image_size // 64)  # so large that no scale of the network ends at one pixel
    example = torch.zeros(2, 1, side + 8, side + 72)  # and not what networks pad to
    anything = {0: Dim.DYNAMIC, 2: Dim.DYNAMIC, 3: Dim.DYNAMIC}
    try:
        with _quiet():
            program = torch.export.export(
                network, (example, example.clone()), dynamic_shapes=(anything, anything)
            )
    except Exception as error:  # torch has a dozen classes for code that it cannot follow
        raise UserError(
            f"{type(network).__name__} does not export for any size ({first_line(error)}); "
            "compute sizes without branches on them"
        ) from error
    # How the example lay in memory, of which nothing that is computed depends.
    program._guards_code.clear()
    program.example_inputs = None
    return program


def save_pt2(program: ExportedProgram, path: Path, preprocessing: str) -> None:
    """Write a .pt2 with how to feed it inside."""
    torch.export.save(program, path, extra_files={PREPROCESSING: preprocessing})


def save_onnx(program: ExportedProgram, path: Path, preprocessing: str) -> None:
    """Write an ONNX file with how to feed it in its metadata.

    Raises:
        UserError: an operation of the network has no counterpart in ONNX.
    """
    from onnx_ir import Shape

    try:
        with _quiet():
            onnx = torch.onnx.export(
                program,
                (),
                dynamo=True,
                verbose=False,
                input_names=INPUTS,
                output_names=[OUTPUT],
                opset_version=OPSET,
            )
    except Exception as error:  # whatever the exporter makes of an operation that it does not know
        raise UserError(
            f"this network is not to be had as ONNX ({first_line(error)}); name a .pt2"
        ) from error
    assert onnx is not None
    for value in (*onnx.model.graph.inputs, *onnx.model.graph.outputs):
        value.shape = Shape(["batch", 1, "height", "width"])
    onnx.model.metadata_props[PREPROCESSING] = preprocessing
    onnx.save(str(path))


def quantize(path: Path, out: Path, pairs: Iterable[tuple[Tensor, Tensor]]) -> None:
    """Write an ONNX file anew in 8 bits: weights, and what is computed, between the ranges met on `pairs`.

    Source: Jacob et al., "Quantization and Training of Neural Networks for Efficient
    Integer-Arithmetic-Only Inference", CVPR 2018, for the scheme.

    Args:
        path: in float32.
        out: what is written.
        pairs: `[B, 1, H, W]` baselines and followups.
    """
    from onnxruntime.quantization import CalibrationDataReader, quantize_static

    class Reader(CalibrationDataReader):
        """Hands the pairs over one by one."""

        def __init__(self) -> None:
            self._feeds = (
                dict(zip(INPUTS, (image.numpy() for image in pair), strict=True)) for pair in pairs
            )

        def get_next(self) -> dict[str, Any] | None:
            """The next pair, or None after the last."""
            return next(self._feeds, None)

    with _quiet():
        quantize_static(path, out, Reader(), op_types_to_quantize=_QUANTIZED, per_channel=True)


@contextmanager
def _quiet() -> Iterator[None]:
    """What libraries say to their developers goes nowhere."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
