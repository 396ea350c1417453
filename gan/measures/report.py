"""What an evaluation comes to: summary.json, cases.csv, and the line of a run's log."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data.base.atomic import write_rows, write_text
from data.manifests.regions import is_place
from gan.measures.evaluation import Estimate, Evaluation, edge
from gan.measures.lesions import LEVELS, RATES
from gan.measures.localisation import SCORES, Localisation, by_change, by_label
from gan.measures.table import BROKEN_DOWN, NUMBERS, Table, difference_table, group_tables, main_table

LOGGED = ("auroc", "average_precision", "mae", "psnr", "ssim")
"""The numbers of a run's log."""
_OF_A_CASE = {
    *LOGGED,
    *(
        "directed_average_precision",
        "dice",
        "iou",
        "area",
        "marks",
        "largest",
        "lesions_found",
        "false_marks",
    ),
}
_CURVES = ("sensitivities", "froc_sensitivity", "froc_false", "reliability")


def logged(evaluation: Evaluation, method: str) -> dict[str, float | None]:
    """The numbers of one method in a run's log, without intervals."""
    estimate = evaluation.estimate(replicates=0)
    return {name: estimate.described(method, name)["value"] for name in LOGGED}


def final_line(evaluation: Evaluation, method: str, others: Sequence[str]) -> dict[str, Any]:
    """The last line of a run's log: its numbers, those of other methods, and both by finding."""

    def of(estimate: Estimate) -> dict[str, Any]:
        numbers = {
            name: {key: estimate.described(name, key)["value"] for key in LOGGED}
            for name in (method, *others)
        }
        return {**numbers.pop(method), "pairs": estimate.pairs, **numbers}

    groups = {
        group.name: of(evaluation.estimate(group.pairs, replicates=0))
        for group in evaluation.groups("finding")
    }
    whole = of(evaluation.estimate(replicates=0))
    return {**whole, "changed": evaluation.changed_share, "findings": groups}


def summarise(
    evaluation: Evaluation, *, models: Sequence[str], by: Sequence[str], replicates: int
) -> dict[str, Any]:
    """Everything that an evaluation comes to, ready for JSON.

    Args:
        evaluation: what to sum up.
        models: methods that are compared with each other: the first with every other one.
        by: columns to break numbers down by.
        replicates: of the bootstrap.
    """
    estimate = evaluation.estimate(replicates=replicates)
    return {
        "signed": evaluation.signed,
        "pairs": estimate.pairs,
        "patients": estimate.patients,
        "pairs_with_target": evaluation.known,
        "changed_pairs": evaluation.changed,
        "changed": evaluation.changed_share,
        "thresholds": {name: edge(level) for name, level in (evaluation.thresholds or {}).items()},
        "notes": notes(evaluation, estimate),
        "false_marks_a_pair": list(RATES),
        "froc_thresholds": [edge(level) for level in LEVELS],
        "methods": _methods(estimate, curves=True),
        "differences": {
            f"{models[0]} - {other}": {
                name: estimate.difference(models[0], other, name)
                for name in _told(estimate, models[0])
                if name in estimate.values[other]
            }
            for other in models[1:]
        },
        "by": {column: _groups(evaluation, column, replicates) for column in by},
    }


def summarise_places(methods: Mapping[str, Localisation], *, replicates: int) -> dict[str, Any]:
    """What boxes and labels of real pairs come to, ready for JSON, by how and by what changed."""
    groups = {
        column: by_change(methods, column, replicates=replicates) for column in ("progression", "finding")
    }
    groups["label"] = by_label(methods, replicates=replicates)
    return {
        column: {name: _group(of) for name, of in found.items()} for column, found in groups.items() if found
    }


def notes(evaluation: Evaluation, estimate: Estimate) -> list[str]:
    """What is missing, and why."""
    found = []
    if not evaluation.known:
        found.append("no pair has a target: only what is marked is told, and not whether it is right")
    elif evaluation.known < estimate.pairs:
        found.append(f"{estimate.pairs - evaluation.known} pairs have no target, and count in no comparison")
    if evaluation.known and not evaluation.changed:
        found.append("no pair changed: there is nothing to find, only silence is told")
    if estimate.patients == 1:
        found.append("all pairs are of one patient: no interval, for patients are what is drawn anew")
    return found


def tables(summary: Mapping[str, Any], titles: Mapping[str, str]) -> list[Table]:
    """All numbers of a summary.

    Args:
        summary: see `summarise`.
        titles: what each method is called.
    """
    found = [main_table(summary["methods"], titles)]
    if summary["differences"]:
        found.append(
            difference_table({_titled(name, titles): of for name, of in summary["differences"].items()})
        )
    for column, groups in summary["by"].items():
        found += group_tables(column, groups, titles, BROKEN_DOWN)
    for column, groups in summary.get("places", {}).items():
        found += group_tables(column, groups, titles, [*NUMBERS["boxes"], *NUMBERS["labels"]])
    return found


def table(summary: Mapping[str, Any], titles: Mapping[str, str]) -> str:
    """The same for a terminal, with the notes."""
    return "\n\n".join([*(found.text() for found in tables(summary, titles)), *summary["notes"]])


def write_summary(path: Path, summary: Mapping[str, Any]) -> None:
    """Write summary.json."""
    write_text(path, json.dumps(summary, indent=1, allow_nan=False) + "\n")


def write_places(path: Path, methods: Mapping[str, Localisation]) -> None:
    """Write boxes.csv: a line a change that has boxes, with the scores of every method."""
    names = [f"{method}:{name}" for method in methods for name in SCORES]
    lines = [["id", "patient_id", "finding", "progression", *names]]
    for cases in zip(*(scores.cases for scores in methods.values()), strict=True):
        first, values = cases[0], [case.scores[name] for case in cases for name in SCORES]
        known = [first.id, first.patient_id, first.finding, first.progression]
        lines.append([*known, *("" if value is None else f"{value:.6g}" for value in values)])
    write_rows(path, lines)


def write_cases(path: Path, evaluation: Evaluation) -> None:
    """Write cases.csv: a line a pair, with what the data says of it and the numbers of every method."""
    columns = list(dict.fromkeys(name for pair in evaluation.pairs for name in pair.columns))
    columns = [
        name for name in columns if name not in ("id", "patient_id", "findings") and not is_place(name)
    ]
    numbers = {
        f"{method}:{name}": values
        for method, of in evaluation.cases().items()
        for name, values in of.items()
        if name in _OF_A_CASE or name in NUMBERS["consistency"]
    }
    lines = [["id", "patient_id", "findings", *columns, *numbers]]
    for place, pair in enumerate(evaluation.pairs):
        known = [pair.id, pair.patient_id, "+".join(pair.findings), *map(pair.columns.get, columns)]
        lines.append([*(cell or "" for cell in known), *(_text(of[place]) for of in numbers.values())])
    write_rows(path, lines)


def _groups(evaluation: Evaluation, column: str, replicates: int) -> dict[str, Any]:
    estimates = {
        group.name: evaluation.estimate(group.pairs, replicates=replicates)
        for group in evaluation.groups(column)
    }
    return {name: _group(of) for name, of in estimates.items()}


def _group(estimate: Estimate) -> dict[str, Any]:
    return {"pairs": estimate.pairs, "patients": estimate.patients, "methods": _methods(estimate)}


def _methods(estimate: Estimate, *, curves: bool = False) -> dict[str, Any]:
    return {
        method: {name: estimate.described(method, name) for name in _told(estimate, method, curves=curves)}
        for method in estimate.values
    }


def _told(estimate: Estimate, method: str, *, curves: bool = False) -> list[str]:
    return [name for name in estimate.values[method] if curves or name not in _CURVES]


def _titled(difference: str, titles: Mapping[str, str]) -> str:
    return " - ".join(titles.get(name, name) for name in difference.split(" - "))


def _text(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.6g}"
