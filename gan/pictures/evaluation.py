"""Figures of an evaluation, from its summary alone: FROC, reliability, a bar a finding."""

from collections.abc import Mapping
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gan.pictures.grid import DPI, save_figure

_FEW_PIXELS = 1e-4
"""A bin of the reliability curve with a smaller share of the pixels is not drawn."""
_BARS = {"pair_average_precision": "average precision, mean over pairs", "sensitivity": "sensitivity (FROC)"}
FIGURES = ("froc", "reliability", "findings")
"""What the files are called."""
Summary = Mapping[str, Any]
"""Read from summary.json; see `gan.measures.report.summarise`."""


def draw_figures(folder: Path, summary: Summary, titles: Mapping[str, str]) -> None:
    """Every figure there is something for, as PNG.

    Args:
        folder: where to.
        summary: what an evaluation came to.
        titles: what each method is called; one has the same colour in all figures.
    """
    if not summary["changed_pairs"]:
        return
    drawn = {name: title for name, title in titles.items() if name != "empty"}
    draw_froc(folder / "froc.png", summary, drawn)
    draw_reliability(folder / "reliability.png", summary, drawn)
    if summary["by"].get("finding"):
        draw_findings(folder / "findings.png", summary, drawn)


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


def _coloured(titles: Mapping[str, str]) -> list[tuple[str, tuple[str, str]]]:
    colours = ["tab:blue", "tab:orange", "tab:green", "tab:red", "tab:purple", "tab:brown", "tab:pink"]
    baselines = ["tab:gray", "silver"]
    models = [item for item in titles.items() if item[0] not in ("absdiff", "registered")]
    others = [item for item in titles.items() if item not in models]
    return [*zip(cycle(colours), models, strict=False), *zip(baselines, others, strict=False)]


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
