"""Curves of a run's numbers."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from gan.pictures.grid import DPI, save_figure
from gan.run.log import read_metrics

Series = dict[str, dict[str, list[tuple[int, float]]]]
"""Of every number, by split, its values over the optimiser steps."""


def series_of(lines: Iterable[Mapping[str, Any]]) -> Series:
    """The numbers in the lines of a metrics.jsonl that have a course: of training and of validation."""
    series: Series = {}
    for line in lines:
        for name, value in line.items():
            if name in ("step", "epoch", "pairs", "changed") or not isinstance(value, int | float):
                continue
            if line["split"] != "test":
                series.setdefault(name, {}).setdefault(line["split"], []).append((line["step"], value))
    return series


def draw_curves(path: Path, metrics: Path) -> None:
    """Every number of a metrics.jsonl over the optimiser steps, training and validation."""
    series = series_of(read_metrics(metrics))
    names = list(series)
    columns = min(4, max(1, len(names)))
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(3.6 * columns, 2.6 * rows), dpi=DPI, layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis, name in zip(axes, names, strict=False):
        for split, points in series[name].items():
            steps, values = zip(*points, strict=True)
            axis.plot(steps, values, marker="o" if len(points) < 30 else "", markersize=3, label=split)
        axis.set_title(name, fontsize=10, parse_math=False)
        axis.set_xlabel("step", fontsize=8)
        axis.tick_params(labelsize=8)
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    for axis in axes[len(names) :]:
        axis.set_visible(False)
    save_figure(figure, path)
