"""Options of `gan.export`; free of torch."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro

from data.base.checks import at_least
from data.base.commandline import tyro_parse
from data.base.errors import UserError
from data.config import DataConfig, EmbeddedConfig
from gan.run.generator import EXPORTED, generator_place, require_export_extra
from gan.run.trained_on import data_of, how_fed

PROGRAM = "python -m gan.export"
Precision = Literal["float32", "float16", "bfloat16", "int8"]
# Of a generator whose data nobody knows; some pairs are rendered in seconds.
_FEW = DataConfig(synthesis=EmbeddedConfig(test_patients=2))


@dataclass(kw_only=True)
class ExportConfig:
    """Write a trained generator as one file, and hold the file against PyTorch on real pairs."""

    model: tyro.conf.Positional[str]
    """A run of gan.adversarial, its generator/ folder, or a hub id."""
    output: tyro.conf.Positional[Path]
    """The file: .onnx (ONNX) or .pt2 (torch.export)."""
    precision: Precision = "float32"
    """Of the weights; what is computed stays float32. int8, in .onnx only, is of weights and of what
    convolutions and products compute; its ranges are those of pairs that are trained on."""
    data: Annotated[DataConfig, tyro.conf.arg(help="Pairs to compare on; by default those of the run.")] = (
        field(default_factory=DataConfig)
    )
    split: Literal["test", "val", "train"] = "test"
    """Which pairs to compare on."""
    pairs: int = 32
    """How many of them, evenly spread."""
    trust_remote_code: bool = False
    """Import the generator's class where it is not one of ours: code of whoever made the run is executed."""

    def __post_init__(self) -> None:
        at_least(self, 1, "pairs")


def parse(argv: Sequence[str]) -> tuple[ExportConfig, Path]:
    """The options, with the data of the run where they name none, and the folder of the generator.

    Raises:
        UserError: an option is not what it should be, or there is no generator.
    """
    given = tyro_parse(ExportConfig, argv, prog=PROGRAM)
    if given.output.suffix not in EXPORTED:
        raise UserError(f"{given.output}: end it in {' or '.join(EXPORTED)}")
    if given.precision == "int8" and given.output.suffix != ".onnx":
        raise UserError(f"--precision int8: {given.output} cannot hold it; end it in .onnx")
    folder = generator_place(given.model)
    if folder.suffix in EXPORTED:
        raise UserError(f"{folder} is exported already; name the run it was made from")
    if given.output.suffix == ".onnx":
        require_export_extra()
    pairs = data_of(given.model, given.data, argv, prog=PROGRAM, otherwise=_FEW)
    pairs = replace(pairs, **how_fed(folder))
    default = ExportConfig(model=given.model, output=given.output, data=pairs)
    return tyro_parse(ExportConfig, argv, prog=PROGRAM, default=default), folder
