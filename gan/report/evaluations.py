"""What was found of the runs: by gan.evaluate, or by themselves at their end."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from data.base.errors import UserError
from gan.measures.baselines import BASELINES
from gan.measures.report import tables
from gan.pictures.evaluation import FIGURES, draw_figures
from gan.report.encoding import png_uri
from gan.report.names import last_name
from gan.run.directory import RunDir

_OWN = "model"
"""What a run calls its generator in the evaluation at its end."""
_NEEDED = ("methods", "differences", "by", "notes", "pairs", "patients", "changed_pairs", "thresholds")


@dataclass(frozen=True)
class Found:
    """An evaluation, and what its methods are of the runs of a report."""

    summary: Mapping[str, Any]
    methods: Mapping[str, str]
    """Which method of it a run is, by the run."""
    origin: str

    def threshold(self, run: str) -> float | None:
        """From which value a pixel of a run's maps is marked."""
        value: float | None = self.summary["thresholds"].get(self.methods.get(run, ""))
        return value


def find(runs: Sequence[str], named: Path | None) -> list[Found]:
    """The evaluations that there are: one of all runs together where there is one, else those of each.

    Raises:
        UserError: what is named is none, or of none of the runs.
    """
    if named is not None:
        found = _of(named, runs)
        if not found.methods:
            raise UserError(f"--evaluation {named} is of none of these runs; name another folder")
        return [found]
    others = [_of(path.parent, runs) for path in _newest_first(runs)]
    together = next((one for one in others if len(one.methods) == len(runs)), None)
    if together:
        return [together]
    return [one for run in runs for one in _alone(run, others)]


def describe(found: Found, labels: Mapping[str, str]) -> dict[str, Any]:
    """Its tables and figures, ready for JSON."""
    summary = _without_patients(found.summary)
    titles = {method: last_name(method) for method in summary["methods"]}
    titles |= {method: labels[run] for run, method in found.methods.items()} | BASELINES
    titles = {method: title for method, title in titles.items() if method in summary["methods"]}
    with TemporaryDirectory() as folder:
        draw_figures(Path(folder), summary, titles)
        drawn = {name: Path(folder) / f"{name}.png" for name in FIGURES}
        figures = {name: png_uri(path) for name, path in drawn.items() if path.is_file()}
    return {
        "runs": [place for place, run in enumerate(labels) if run in found.methods],
        "origin": found.origin,
        "counts": {name: summary[name] for name in ("pairs", "patients", "changed_pairs")},
        "notes": list(summary["notes"]),
        "tables": [asdict(table) for table in tables(summary, titles)],
        "figures": figures,
    }


def _newest_first(runs: Sequence[str]) -> list[Path]:
    places = dict.fromkeys(Path(run).resolve().parent for run in runs)
    found = [path for place in places for path in place.glob("evaluate*/summary.json")]
    return sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)


def _alone(run: str, others: Sequence[Found]) -> Iterator[Found]:
    """The newest evaluation of a run; or its own, one for each source of its data."""
    judged = next((one for one in others if run in one.methods), None)
    if judged:
        yield Found(judged.summary, {run: judged.methods[run]}, judged.origin)
        return
    own = RunDir(Path(run)).evaluation
    for path in (own / "summary.json", *sorted(own.glob("*/summary.json"))):
        if path.is_file():
            source = "" if path.parent == own else f", source {path.parent.name} of its data"
            yield Found(_read(path), {run: _OWN}, f"by the run itself, at its end{source}")


def _of(folder: Path, runs: Sequence[str]) -> Found:
    summary = _read(folder / "summary.json")
    methods: dict[str, str] = {}
    for run in runs:
        same = {Path(run).resolve(), RunDir(Path(run)).generator.resolve()}
        names = [name for name in summary.get("runs", ()) if Path(name).resolve() in same]
        if names:
            methods[run] = names[0]
    split = summary.get("split", "test")
    return Found(summary, methods, f"by gan.evaluate ({folder.name}), split {split}")


def _read(path: Path) -> dict[str, Any]:
    try:
        summary = json.loads(path.read_text())
        missing = [name for name in _NEEDED if name not in summary]
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"{path} is no summary of an evaluation ({error}); run gan.evaluate again") from error
    if missing:
        raise UserError(f"{path} has no {missing[0]}; run gan.evaluate again")
    return dict(summary)


def _without_patients(summary: Mapping[str, Any]) -> dict[str, Any]:
    """The summary without groups that are one patient each, and so are called as patients may be."""
    by = {
        column: groups
        for column, groups in summary["by"].items()
        if column == "finding" or any(group["patients"] > 1 for group in groups.values())
    }
    return {**summary, "by": by}
