"""Options of `gan.report`, and the runs that are meant."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import tyro

from data.base.checks import at_least
from data.base.errors import UserError
from data.config import DataConfig
from gan.run.directory import RunDir
from gan.run.judged import parse_judged

PROGRAM = "python -m gan.report"
MOST_RUNS = 4
"""Runs that one page can show beside each other."""


@dataclass(kw_only=True)
class ReportConfig:
    """Write what runs were, did and came to as one HTML file that opens without a network."""

    runs: tyro.conf.Positional[tuple[str, ...]] = ()
    """Runs of gan.adversarial, beside each other."""
    data: DataConfig = field(default_factory=DataConfig)
    split: Literal["test", "val"] = "test"
    """Which pairs the viewer shows."""
    cases: int = 200
    """Pairs in the viewer, evenly spread over the split; 0 for none. Where they are too large for the file,
    they are shown smaller."""
    evaluation: Path | None = None
    """What gan.evaluate wrote of these runs; by default the newest evaluate* beside them, or what they found
    themselves at their end."""
    out: Path | None = None
    """The file; report.html in the first run by default, which an earlier report makes way for."""
    trust_remote_code: bool = False
    """Import a class of its own that a run names; only for runs whose makers you trust."""
    cpu: bool = False
    """Stay on the CPU even where there is a GPU."""

    def __post_init__(self) -> None:
        at_least(self, 0, "cases")


def parse(argv: Sequence[str]) -> tuple[ReportConfig, dict[str, Path]]:
    """The options, with the data of the first run where they name none, and the folder of every generator.

    Raises:
        UserError: an option is not what it should be, or a run is none, or one without weights.
    """
    config, folders = parse_judged(ReportConfig, argv, prog=PROGRAM)
    if len(config.runs) > MOST_RUNS:
        raise UserError(f"{len(config.runs)} runs do not fit beside each other; name at most {MOST_RUNS}")
    for run in config.runs:
        for path in (RunDir(Path(run)).config, RunDir(Path(run)).metrics):
            if not path.is_file():
                raise UserError(f"{run} has no {path.name}, so it is no run; name a run of gan.adversarial")
    return config, folders


def free_file(config: ReportConfig) -> Path:
    """Where the page goes.

    Raises:
        UserError: that is no place for an HTML file.
    """
    if config.out is None:
        return Path(config.runs[0]) / "report.html"
    if config.out.suffix not in (".html", ".htm") or config.out.is_dir():
        raise UserError(f"--out {config.out}: name a file that ends in .html")
    return config.out
