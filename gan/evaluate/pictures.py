"""Figures of an evaluation: FROC, reliability, a bar a finding, the best and the worst cases."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from data import collate_pairs
from gan.evaluate.models import Model
from gan.measures.evaluation import Evaluation
from gan.pictures.change import MAGNITUDE, SIGNED, overlay
from gan.pictures.grid import DPI, Column, draw_grid, planes, save_figure

_FEW_PIXELS = 1e-4
"""A bin of the reliability curve with a smaller share of the pixels is not drawn."""
_BARS = {"pair_average_precision": "average precision, mean over pairs", "sensitivity": "sensitivity (FROC)"}
Summary = Mapping[str, Any]


def draw_pictures(
    folder: Path,
    summary: Summary,
    titles: Mapping[str, str],
    evaluation: Evaluation,
    pairs: Any,
    models: Mapping[str, Model],
    rows: int,
) -> None:
    """Every picture there is something for.

    Args:
        folder: where to.
        summary: see `gan.measures.report.summarise`.
        titles: what each method is called; one has the same colour in all pictures.
        evaluation: of the same pairs.
        pairs: the pairs themselves, by place.
        models: whose maps are shown.
        rows: cases in a grid.
    """
    if summary["changed_pairs"]:
        drawn = {name: title for name, title in titles.items() if name != "empty"}
        draw_froc(folder / "froc.png", summary, drawn)
        draw_reliability(folder / "reliability.png", summary, drawn)
        if summary["by"].get("finding"):
            draw_findings(folder / "findings.png", summary, drawn)
    for name, places in rank_cases(evaluation, next(iter(models)), rows).items():
        draw_cases(folder / f"{name}.png", pairs, evaluation, places, models)


def draw_froc(path: Path, summary: Summary, titles: Mapping[str, str]) -> None:
    """Sensitivity over false marks a pair, with 95 % intervals as bands."""
    figure = Figure(figsize=(6.4, 4.6), dpi=DPI, layout="constrained")
    axes = figure.subplots()
    rates = summary["false_marks_a_pair"]
    for colour, (method, title) in _coloured(titles):
        numbers = summary["methods"][method]
        row, mean = _row(numbers["sensitivities"]), numbers["sensitivity"]["value"]
        axes.plot(rates, row["value"], marker="o", color=colour, label=f"{title} (mean {mean:.2f})")
        _band(axes, rates, row, colour)
    axes.set_xscale("log", base=2)
    axes.set_xticks(rates, ["1/8", "1/4", "1/2", "1", "2", "4", "8"])
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("false marks a pair")
    axes.set_ylabel("share of the changes found")
    axes.set_title(_headline(summary), fontsize=10)
    _finish(axes)
    save_figure(figure, path)


def draw_reliability(path: Path, summary: Summary, titles: Mapping[str, str]) -> None:
    """The mean true over the mean predicted change of pixels with about the same prediction; below, how many.

    A calibrated map lies on the diagonal.
    """
    figure = Figure(figsize=(6.0, 6.4), dpi=DPI, layout="constrained")
    axes, below = figure.subplots(2, sharex=True, gridspec_kw={"height_ratios": [3, 1]})
    low = -1.0 if summary["signed"] else 0.0
    axes.plot([low, 1], [low, 1], color="black", linewidth=0.8, linestyle=":", label="calibrated")
    for colour, (method, title) in _coloured(titles):
        row = _row(summary["methods"][method]["reliability"])
        predicted, true, share = row["value"]
        drawn = share >= _FEW_PIXELS
        error = summary["methods"][method]["calibration_error"]["value"]
        axes.plot(predicted[drawn], true[drawn], marker=".", color=colour, label=f"{title} ({error:.4f})")
        ends: dict[str, np.ndarray] = {end: row[end][1][drawn] for end in ("low", "high") if end in row}
        _band(axes, predicted[drawn], ends, colour)
        below.plot(predicted[drawn], share[drawn], marker=".", color=colour)
    axes.set_ylabel("mean true change")
    axes.set_ylim(low, 1)
    axes.legend(title="expected error", fontsize=8, title_fontsize=8, loc="upper left")
    below.set_yscale("log")
    below.set_xlabel("predicted change")
    below.set_ylabel("share of pixels")
    axes.set_title(_headline(summary), fontsize=10)
    for part in (axes, below):
        part.grid(alpha=0.3)
    save_figure(figure, path)


def draw_findings(path: Path, summary: Summary, titles: Mapping[str, str]) -> None:
    """A bar a finding and method with its 95 % interval, for each of two numbers."""
    groups = summary["by"]["finding"]
    figure = Figure(
        figsize=(11, 1.2 + 0.16 * len(groups) * (len(titles) + 1.5)), dpi=DPI, layout="constrained"
    )
    for axes, (number, label) in zip(figure.subplots(1, 2, sharey=True), _BARS.items(), strict=True):
        for index, (colour, (method, title)) in enumerate(_coloured(titles)):
            high = 0.8 / len(titles)
            places = np.arange(len(groups)) + (index - (len(titles) - 1) / 2) * high
            of = [group["methods"][method].get(number, {"value": None}) for group in groups.values()]
            values = np.array([one["value"] for one in of], float)
            ends = np.array([[one.get("low"), one.get("high")] for one in of], float).T
            axes.barh(places, values, high, color=colour, label=title)
            reach = np.nan_to_num(np.abs(ends - values)).clip(0)
            axes.errorbar(values, places, xerr=reach, fmt="none", ecolor="black", elinewidth=0.8, capsize=1.5)
        names = [f"{name}\n{group['pairs']} pairs" for name, group in groups.items()]
        axes.set_yticks(range(len(groups)), names, fontsize=8)
        axes.set_xlim(0, 1.02)
        axes.set_xlabel(label, fontsize=9)
        axes.grid(alpha=0.3, axis="x")
    axes.invert_yaxis()
    figure.legend(
        *axes.get_legend_handles_labels(), fontsize=8, ncols=len(titles), loc="outside upper center"
    )
    save_figure(figure, path)


def rank_cases(evaluation: Evaluation, method: str, rows: int) -> dict[str, list[int]]:
    """The places of the pairs that a method is best and worst at, and of those it should be silent on.

    Changed pairs by average precision; of unchanged pairs, or of all where no change is known, those with
    the most area marked.
    """
    numbers = evaluation.cases()[method]
    precision = numbers["pair_average_precision"]
    changed = np.flatnonzero(~np.isnan(precision))
    order = changed[np.argsort(precision[changed], kind="stable")]
    silent = (
        np.flatnonzero(~np.isnan(numbers["silent_area"])) if evaluation.known else np.arange(len(precision))
    )
    loud = silent[np.argsort(-numbers["area"][silent], kind="stable")]
    ranked = {"best": order[::-1][:rows], "worst": order[:rows], "loudest": loud[:rows]}
    return {name: [int(place) for place in places] for name, places in ranked.items() if len(places)}


def draw_cases(
    path: Path,
    pairs: Any,
    evaluation: Evaluation,
    places: Sequence[int],
    models: Mapping[str, Model],
) -> None:
    """One row a case: baseline, followup, target, and the map of every model over the followup."""
    batch = collate_pairs([pairs[evaluation.pairs[place].place] for place in places])
    numbers = evaluation.cases()
    device = next(next(iter(models.values())).generator.parameters()).device
    cmap, norm = SIGNED if evaluation.signed else MAGNITUDE
    followups, grey = planes(batch.followup), Normalize(0, 1)
    meaning = "attenuation change" if evaluation.signed else "change"
    columns = [
        Column("baseline", planes(batch.baseline), norm=grey),
        Column("followup", followups, norm=grey),
    ]
    if batch.target is not None:
        columns.append(Column("target", planes(batch.target), cmap, norm, bar=meaning))
    for name, model in models.items():
        maps = planes(model(batch.baseline.to(device), batch.followup.to(device)))
        laid = np.stack(
            [overlay(f, m, signed=evaluation.signed) for f, m in zip(followups, maps, strict=True)]
        )
        columns.append(Column(_short(name), maps, cmap, norm, bar=meaning))
        columns.append(Column("over the followup", laid, None, norm, bar=meaning, bar_cmap=cmap))
    draw_grid(path, [_label(evaluation, numbers[next(iter(models))], place) for place in places], columns)


def _label(evaluation: Evaluation, numbers: Mapping[str, np.ndarray], place: int) -> str:
    precision, area = numbers["pair_average_precision"][place], numbers["area"][place]
    judged = f"{area:.1%} marked" if np.isnan(precision) else f"AP {precision:.2f}"
    return f"{evaluation.pairs[place].id} {judged}"


def _short(name: str) -> str:
    return name if len(name) <= 26 else f"..{name[-24:]}"


def _coloured(titles: Mapping[str, str]) -> list[tuple[str, tuple[str, str]]]:
    colours = ["tab:blue", "tab:orange", "tab:green", "tab:red", "tab:purple", "tab:brown", "tab:pink"]
    baselines = ["tab:gray", "silver"]
    models = [item for item in titles.items() if item[0] not in ("absdiff", "registered")]
    others = [item for item in titles.items() if item not in models]
    return [(colours[i % 7], item) for i, item in enumerate(models)] + list(
        zip(baselines, others, strict=True)
    )


def _row(numbers: Mapping[str, Any]) -> dict[str, np.ndarray]:
    return {name: np.array(values, float) for name, values in numbers.items()}


def _band(axes: Axes, x: Any, ends: Mapping[str, np.ndarray], colour: str) -> None:
    if "low" in ends:
        axes.fill_between(x, ends["low"], ends["high"], color=colour, alpha=0.15, linewidth=0)


def _headline(summary: Summary) -> str:
    return (
        f"{summary['pairs']} pairs of {summary['patients']} patients, {summary['changed_pairs']} changed; "
        "bands: 95 % intervals"
    )


def _finish(axes: Axes) -> None:
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
