"""From runs to a page."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from data.base.atomic import write_text
from gan.report.cases import collect_cases
from gan.report.curves import charts_of
from gan.report.evaluations import describe, find
from gan.report.facts import facts_of
from gan.report.names import labels_of
from gan.report.options import ReportConfig
from gan.report.page import page
from gan.report.samples import samples_of
from gan.run.directory import RunDir

_LIMIT = 24_500_000
"""Characters of a page."""


def write_report(config: ReportConfig, folders: Mapping[str, Path], out: Path) -> None:
    """Collect what there is of the runs and write the page.

    Args:
        config: the options.
        folders: of each run's generator.
        out: the file.

    Raises:
        UserError, DataError: a run or the data is not what it should be, or the file cannot be written.
    """
    labels = labels_of(config.runs)
    directories = {run: RunDir(Path(run)) for run in config.runs}
    found = find(config.runs, config.evaluation)
    thresholds = {run: one.threshold(run) for one in reversed(found) for run in one.methods}
    data: dict[str, Any] = {
        "made": datetime.now(UTC).isoformat(timespec="minutes"),
        "runs": [{"name": labels[run], **facts_of(of)} for run, of in directories.items()],
        "charts": charts_of([of.metrics for of in directories.values()]),
        "samples": [samples_of(of.samples) for of in directories.values()],
        "evaluations": [describe(one, labels) for one in found],
        "split": config.split,
        "viewer": None,
    }
    title = " and ".join(labels.values())
    if config.cases:
        rest = len(page(title, data))
        data["viewer"] = collect_cases(config, folders, thresholds).described(config.runs, _LIMIT - rest)
    write_text(out, page(title, data))
