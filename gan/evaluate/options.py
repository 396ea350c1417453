"""Options of `gan.evaluate`, and the data that is meant where they name none."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import tyro

from data.base.checks import at_least, between
from data.base.errors import UserError
from data.config import DataConfig
from gan.run.directory import RUNS
from gan.run.judged import parse_judged

PROGRAM = "python -m gan.evaluate"


@dataclass(kw_only=True)
class EvaluateConfig:
    """Judge trained generators beside each other and beside maps without a model."""

    runs: tyro.conf.Positional[tuple[str, ...]] = ()
    """Runs of gan.adversarial, their generator/ folders, hub ids, or exported files. The first is
    compared with each other one."""
    data: DataConfig = field(default_factory=DataConfig)
    split: Literal["test", "val", "train", "all"] = "test"
    """Which pairs to judge on; all takes those of every split."""
    by: tuple[str, ...] = ("finding",)
    """What to break numbers down by: finding, size (changed share of the image), or columns of the data.
    Columns of many numbers are divided into thirds."""
    threshold: float | None = None
    """From which value a pixel is marked. Without it, each method takes the one with the best Dice on the
    validation pairs, or 0.05 where there are none that changed."""
    replicates: int = 1000
    """Bootstrap replicates of the patients, for 95 % intervals; 0 for none."""
    critic: bool = False
    """Also say how real the maps of changed pairs look: how well a small critic, trained afresh on other
    patients, tells them from true maps, and how far their spectra are off."""
    cases: int = 5
    """Rows in the pictures of the best and of the worst cases."""
    out: Path | None = None
    """A new folder for what is written; the next free runs/evaluate, runs/evaluate-2, ... by default."""
    trust_remote_code: bool = False
    """Import a class of its own that a folder names; only for folders whose makers you trust."""
    cpu: bool = False
    """Stay on the CPU even where there is a GPU."""

    def __post_init__(self) -> None:
        at_least(self, 0, "replicates")
        at_least(self, 1, "cases")
        if self.threshold is not None:
            between(self, 0, 1, "threshold")


def parse(argv: Sequence[str]) -> tuple[EvaluateConfig, dict[str, Path]]:
    """The options, with the data of the first run where they name none, and the folder of every generator.

    Raises:
        UserError: an option is not what it should be, or a run has no generator.
    """
    return parse_judged(EvaluateConfig, argv, prog=PROGRAM)


def free_folder(config: EvaluateConfig) -> Path:
    """Where the results go; nothing that is there is touched.

    Raises:
        UserError: the folder that was named is taken.
    """
    if config.out is not None:
        if config.out.exists() and (not config.out.is_dir() or any(config.out.iterdir())):
            raise UserError(f"--out {config.out} is taken; name a new folder")
        return config.out
    number, folder = 1, RUNS / "evaluate"
    while folder.exists():
        number += 1
        folder = RUNS / f"evaluate-{number}"
    return folder
