"""`python -m gan.ablate TABLE.yaml OUT`: a table of configurations over seeds, trained and judged."""

from dataclasses import dataclass
from pathlib import Path

import tyro

from data.base.checks import at_least
from data.base.commandline import argv, run_command, tyro_parse


@dataclass(kw_only=True)
class AblateConfig:
    """Train and judge every row of a table with every seed; what is finished is not done again."""

    table: tyro.conf.Positional[Path]
    """A YAML file of rows of options, seeds, and data to judge on; see docs/ablate.md."""
    out: tyro.conf.Positional[Path]
    """A folder for runs, evaluations and results; the same command goes on with it."""
    jobs: int = 1
    """Runs that are under way at the same time, each in a process of its own."""

    def __post_init__(self) -> None:
        at_least(self, 1, "jobs")


def main() -> None:
    """Parse the command line, then run what is left of the table."""
    config = tyro_parse(AblateConfig, argv(), prog="python -m gan.ablate")
    from gan.ablate.ablate import ablate
    from gan.ablate.jobs import start

    ablate(config.table, config.out, jobs=config.jobs, start=start)


if __name__ == "__main__":
    run_command(main)
