"""What finished jobs come to: one table of all numbers, one of means and deviations, one figure."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from matplotlib.figure import Figure

from data.base.atomic import write_rows, write_text
from gan.ablate.jobs import Job
from gan.ablate.table import ADVERSARIAL
from gan.measures.table import BY_NAME, Number
from gan.pictures.grid import DPI, save_figure
from gan.run.directory import RunDir
from gan.run.log import read_metrics

TEST = "test"
"""The source of the numbers of stages that judge themselves."""
SHOWN = (
    "average_precision",
    "pair_average_precision",
    "sensitivity",
    "silent_marks",
    "silent_area",
    "mae",
    "ssim",
    "critic",
    "spectral_distance",
    "checkerboard",
)
"""Numbers of `gan.evaluate` in the table of means and in the figure; results.csv has all."""


@dataclass(frozen=True)
class Result:
    """The numbers of one row with one seed on one source."""

    command: str
    row: str
    seed: int
    source: str
    numbers: dict[str, float]


def collect(jobs: Iterable[Job]) -> list[Result]:
    """The numbers of finished jobs: of `gan.evaluate`, or of the last line of a stage's own log."""
    results = []
    for job in jobs:
        if job.row.command == ADVERSARIAL:
            found = {source: _of_summary(job.summary(source)) for source in job.sources}
        else:
            last = [line for line in read_metrics(RunDir(job.run).metrics) if line["split"] == TEST][-1]
            found = {TEST: {name: last[name] for name in last if name not in ("step", "epoch")}}
        results += [
            Result(job.row.command, job.row.name, job.seed, source, _floats(numbers))
            for source, numbers in found.items()
        ]
    return results


def write_csv(path: Path, results: Sequence[Result]) -> None:
    """A line a row, seed and source, with every number there is."""
    names = dict.fromkeys(name for result in results for name in result.numbers)
    lines = [["command", "row", "source", "seed", *names]]
    for result in results:
        numbers = (result.numbers.get(name) for name in names)
        cells = ["" if number is None else f"{number:.6g}" for number in numbers]
        lines.append([result.command, result.row, result.source, str(result.seed), *cells])
    write_rows(path, lines)


def write_markdown(path: Path, results: Sequence[Result]) -> str:
    """A table a command and source, means and standard deviations over seeds; its text."""
    parts = []
    for (command, source), group in _groups(results).items():
        names = _shown(group)
        rows = _by_row(group)
        head = ["", "seeds", *(_number(name).label.strip() for name in names)]
        lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
        for row, of in rows.items():
            cells = [_cell(_values(of, name), _number(name)) for name in names]
            lines.append(f"| {' | '.join([row.replace('|', '/'), str(len(of)), *cells])} |")
        parts.append(f"{command}, {source}\n\n" + "\n".join(lines))
    text = "\n\n".join(parts) + "\n"
    write_text(path, text)
    return text


def draw_results(path: Path, results: Sequence[Result]) -> None:
    """A panel a number: a dot a seed, mean and deviation of every row, a colour a source."""
    panels: dict[tuple[str, str], dict[str, list[Result]]] = {}
    for (command, source), group in _groups(results).items():
        for name in _shown(group):
            panels.setdefault((command, name), {})[source] = group
    columns = min(4, len(panels))
    lines = -(-len(panels) // columns)
    tallest = max(len(_by_row(group)) for of in panels.values() for group in of.values())
    size = (4.2 * columns, (1 + 0.35 * tallest) * lines)
    figure = Figure(figsize=size, dpi=DPI, layout="constrained")
    axes = figure.subplots(lines, columns, squeeze=False).ravel()
    for axis, ((_, name), of) in zip(axes, panels.items(), strict=False):
        _draw_panel(axis, name, of)
    for axis in axes[len(panels) :]:
        axis.set_visible(False)
    save_figure(figure, path)


def _draw_panel(axis: Any, name: str, sources: dict[str, list[Result]]) -> None:
    labels = list(dict.fromkeys(result.row for group in sources.values() for result in group))
    for index, (source, group) in enumerate(sources.items()):
        for row, of in _by_row(group).items():
            values, place = _values(of, name), labels.index(row) + 0.15 * index
            if values:
                spread = stdev(values) if len(values) > 1 else 0
                axis.plot(values, [place] * len(values), ".", color=f"C{index}", alpha=0.4)
                label = source if row == labels[0] else None
                axis.errorbar(mean(values), place, xerr=spread, fmt="o", color=f"C{index}", label=label)
    axis.set_yticks(range(len(labels)), labels, fontsize=8)
    axis.invert_yaxis()
    axis.set_title(_number(name).label.strip(), fontsize=9)
    axis.grid(alpha=0.3)
    if len(sources) > 1:
        axis.legend(fontsize=7)


def _of_summary(path: Path) -> dict[str, Any]:
    summary = json.loads(path.read_text())
    return {name: of["value"] for name, of in summary["methods"][summary["runs"][0]].items()}


def _floats(numbers: dict[str, Any]) -> dict[str, float]:
    """Those that are one number each, and known."""
    return {name: float(value) for name, value in numbers.items() if type(value) in (int, float)}


def _groups(results: Sequence[Result]) -> dict[tuple[str, str], list[Result]]:
    groups: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        groups.setdefault((result.command, result.source), []).append(result)
    return groups


def _by_row(group: Sequence[Result]) -> dict[str, list[Result]]:
    rows: dict[str, list[Result]] = {}
    for result in group:
        rows.setdefault(result.row, []).append(result)
    return rows


def _shown(group: Sequence[Result]) -> list[str]:
    """Of an evaluation a choice, of other commands all."""
    there = dict.fromkeys(name for result in group for name in result.numbers)
    return [name for name in SHOWN if name in there] if group[0].command == ADVERSARIAL else list(there)


def _values(of: Sequence[Result], name: str) -> list[float]:
    return [result.numbers[name] for result in of if name in result.numbers]


def _number(name: str) -> Number:
    return BY_NAME.get(name, Number(name))


def _cell(values: Sequence[float], how: Number) -> str:
    if not values:
        return "-"
    text = f"{mean(values):.{how.digits}f}"
    return f"{text} ± {stdev(values):.{how.digits}f}" if len(values) > 1 else text
