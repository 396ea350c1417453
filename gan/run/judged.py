"""Options of commands that judge generators: which are meant, and on what data where none is named."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol, TypeVar

from data.base.commandline import tyro_parse
from data.base.errors import UserError
from data.config import DataConfig
from gan.run.generator import generator_place
from gan.run.trained_on import data_of, how_fed, require_alike


class Judged(Protocol):
    """A dataclass of options with these two among them."""

    runs: tuple[str, ...]
    data: DataConfig


ConfigT = TypeVar("ConfigT", bound=Judged)


def parse_judged(
    options: type[ConfigT], argv: Sequence[str], *, prog: str
) -> tuple[ConfigT, dict[str, Path]]:
    """The options, with the data of the first run where they name none, and the folder of every generator.

    Images are fed as the first run was trained, whatever the data.

    Raises:
        UserError: an option is not what it should be, or a run has no generator.
    """
    given = tyro_parse(options, argv, prog=prog)
    if not given.runs:
        raise UserError("missing: RUN; name runs of gan.adversarial, their generator/ folders, or hub ids")
    if repeated := [run for run in given.runs if given.runs.count(run) > 1]:
        raise UserError(f"{repeated[0]} is named twice; name every run once")
    folders = {run: generator_place(run) for run in given.runs}
    fed = {run: how_fed(folder) for run, folder in folders.items()}
    require_alike(fed, ("change", "framing", "intensity"), "evaluate them one by one")
    default = options()
    default.data = replace(data_of(given.runs[0], given.data, argv, prog=prog), **fed[given.runs[0]])
    config = tyro_parse(options, argv, prog=prog, default=default)
    if config.data.change != default.data.change:
        raise UserError(
            f"--data.change {config.data.change}: {config.runs[0]} makes {default.data.change} maps; "
            "name a run of that kind, or drop the option"
        )
    return config, folders
