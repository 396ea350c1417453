"""`python -m data.check MANIFEST`: open every file and say what is wrong with which, before training does."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from data.base.checks import at_least
from data.base.commandline import argv, run_command, tyro_parse
from data.config import ChangeOption, ClusterOption, ExactPatientsOption, IntensityOption, ProcessesOption


@dataclass(kw_only=True)
class CheckConfig:
    """Open every file of a data set and list those that cannot be used; exit code 1 if there are any."""

    manifest: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="MANIFEST")]
    """A manifest (CSV or Parquet) or a folder, as for --data.path."""
    change: ChangeOption = "magnitude"
    intensity: IntensityOption = "dicom"
    report: Path | None = None
    """A CSV file to write the table to as well: path, reason."""
    exact_patients: ExactPatientsOption = False
    workers: ProcessesOption = 0
    cluster: ClusterOption = None

    def __post_init__(self) -> None:
        at_least(self, 0, "workers")


def main() -> None:
    """Parse the command line, open everything, print the table."""
    config = tyro_parse(CheckConfig, argv(), prog="python -m data.check")
    from data.base.atomic import write_rows
    from data.base.engines import engine_of
    from data.check.problems import check_records, table
    from data.manifests import records_of
    from data.manifests.splits import require_whole_patients

    records = records_of(config.manifest)
    require_whole_patients(records, exact=config.exact_patients, place=str(config.manifest))
    files, problems = check_records(
        records,
        change=config.change,
        intensity=config.intensity,
        engine=engine_of(config.workers, config.cluster, isolate=True),
    )
    if config.report is not None:
        rows = [(str(problem.path), problem.reason) for problem in problems]
        write_rows(config.report, [("path", "reason"), *rows])
    if not problems:
        print(f"{config.manifest}: all of {files} files can be used")
        return
    print(table(problems))
    print(f"{config.manifest}: {len(problems)} of {files} files cannot be used")
    raise SystemExit(1)


if __name__ == "__main__":
    run_command(main)
