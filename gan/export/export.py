"""From a generator to a file that is known to say the same."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader, Subset

from data import collate_pairs
from data.base.atomic import scratch_folder, whole
from data.base.errors import UserError
from data.sources import StreamedSplit, open_pairs, settled
from gan.export.comparison import Comparison, pairs_of
from gan.export.options import ExportConfig
from gan.export.program import OPSET, program_of, quantize, save_onnx, save_pt2, with_weights_as
from gan.run.disk import named_if_not_written
from gan.run.exported import described, load_generator
from gan.run.handover import ANY, Preprocessing

TOLERANCE = {"float32": 1e-4, "float16": 1e-2, "bfloat16": 1e-2, "int8": float("inf")}
"""Largest difference of two maps; what int8 costs is told in average precision."""
_DTYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16}
_CALIBRATED = 64
"""Pairs to find the ranges of int8 on."""


def export(config: ExportConfig, folder: Path) -> Iterator[str]:
    """Write the generator of a folder as one file; yields what was found, line by line.

    Nothing is left of a file that differs from PyTorch.

    Raises:
        UserError, DataError: an option or a file is not what it should be, or the file differs.
    """
    config = replace(config, data=settled(config.data))
    trusted = ANY if config.trust_remote_code else ""
    network, preprocessing = load_generator(folder, trusted=trusted)
    pairs = _loader(config, config.split, config.pairs)
    comparison = Comparison(signed=preprocessing.change == "signed")
    with whole(config.output) as part:
        with named_if_not_written(config.output):
            write(network, preprocessing, part, config)
        exported, _ = load_generator(part, trusted=ANY)
        comparison.run(exported, network, pairs)
        _require_alike(config, comparison)
    yield f"{config.output}: {_kind(config)}, {config.output.stat().st_size / 1e6:.1f} MB"
    found = (f"{value:.1e} at {height} x {width}" for (height, width), value in comparison.largest.items())
    yield f"largest difference from PyTorch: {', '.join(found)}"
    yield _cost(comparison)


def write(network: nn.Module, preprocessing: Preprocessing, path: Path, config: ExportConfig) -> None:
    """Write a generator in the format and the precision that are asked for."""
    if config.precision in _DTYPES:
        network = with_weights_as(network, _DTYPES[config.precision])
    program = program_of(network, preprocessing.image_size)
    text = described(preprocessing)
    if path.suffix == ".pt2":
        save_pt2(program, path, text)
    elif config.precision == "int8":
        with _scratch(path) as float32:
            save_onnx(program, float32, text)
            quantize(float32, path, pairs_of(_loader(config, "train", _CALIBRATED)))
    else:
        save_onnx(program, path, text)


@contextmanager
def _scratch(path: Path) -> Iterator[Path]:
    with scratch_folder(path.with_suffix(".float32")) as folder:
        yield folder / path.name


def _loader(config: ExportConfig, split: str, most: int) -> Any:
    """Batches of some pairs of a split, evenly spread; a target may be missing."""
    pairs: Any = open_pairs(config.data, [split], with_targets=False)[split]
    if isinstance(pairs, StreamedSplit):
        raise UserError(f"--split {split} of {config.data.prepared} is streamed; choose test or val")
    chosen = (
        [number * len(pairs) // most for number in range(most)] if len(pairs) > most else range(len(pairs))
    )
    return DataLoader(
        Subset(pairs, list(chosen)), batch_size=config.data.batch_size, collate_fn=collate_pairs
    )


def _require_alike(config: ExportConfig, comparison: Comparison) -> None:
    tolerance = TOLERANCE[config.precision]
    for (height, width), difference in comparison.largest.items():
        if difference > tolerance:
            raise UserError(
                f"{config.output} is not kept: it differs from PyTorch by {difference:.1e} at {height} x "
                f"{width}, more than the {tolerance:g} of {config.precision}; try another --precision"
            )


def _kind(config: ExportConfig) -> str:
    format_ = f"ONNX opset {OPSET}" if config.output.suffix == ".onnx" else "torch.export"
    return f"{format_}, {config.precision} weights"


def _cost(comparison: Comparison) -> str:
    found = comparison.average_precision()
    if found is None:
        return "average precision: not measured, for no pair is known to have changed"
    of_file, of_network, difference = found
    return (
        f"average precision: {of_file['value']:.4f}, in PyTorch {of_network['value']:.4f}; difference "
        f"{_with_interval(difference)}"
    )


def _with_interval(number: dict[str, Any]) -> str:
    text = f"{number['value']:+.4f}"
    if number.get("low") is None:
        return text
    return f"{text} [{number['low']:+.4f}, {number['high']:+.4f}]"
