"""The pictures a run draws: sample grids, overlays, loss curves."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from gan.logs import read_metrics

PANEL_INCHES = 2.3
GAP_INCHES = 0.06
LABEL_INCHES = 1.5
TITLE_INCHES = 0.35
BAR_INCHES = 0.6
DPI = 110
SHOWN_MAX = 0.6
"""Magnitude of change with the brightest colour: few changes are larger, and most are much smaller."""
OPAQUE_FROM = 0.2
"""Magnitude from which a change hides the radiograph under it in an overlay; below it shines through."""

_MAGNITUDE = ("inferno", Normalize(0, SHOWN_MAX))
_SIGNED = ("coolwarm", Normalize(-SHOWN_MAX, SHOWN_MAX))


@dataclass(frozen=True)
class Column:
    """One column of a grid: `[N, H, W]` grey values, or `[N, H, W, 3]` colours where `cmap` is None."""

    title: str
    images: np.ndarray
    cmap: str | None = "gray"
    norm: Normalize | None = None
    bar: str | None = None
    bar_cmap: str | None = None
    smooth: bool = True


def draw_change_grid(
    path: Path,
    *,
    labels: Sequence[str],
    baseline: Tensor,
    followup: Tensor,
    target: Tensor,
    prediction: Tensor,
    logits: Tensor,
    signed: bool,
) -> None:
    """One row a case: baseline, followup, target, prediction, overlay, and what D says patch by patch.

    All `[N, 1, H, W]`; `logits` `[N, 1, h, w]` are D's for the prediction.
    """
    cmap, norm = _SIGNED if signed else _MAGNITUDE
    grey = Normalize(0, 1)
    followups, predictions = _planes(followup), _planes(prediction)
    overlays = np.stack(
        [overlay(image, change, signed=signed) for image, change in zip(followups, predictions, strict=True)]
    )
    patches = _planes(logits)
    reach = max(1.0, float(np.abs(patches).max()))
    meaning = "attenuation change" if signed else "change"
    columns = [
        Column("baseline", _planes(baseline), norm=grey),
        Column("followup", followups, norm=grey),
        Column("target", _planes(target), cmap, norm, bar=meaning),
        Column("prediction", predictions, cmap, norm, bar=meaning),
        Column("prediction on followup", overlays, None, norm, bar=meaning, bar_cmap=cmap),
        Column(
            "D's patch logits",
            patches,
            "PuOr",
            Normalize(-reach, reach),
            bar="fake  <  0  <  real",
            smooth=False,
        ),
    ]
    _draw_grid(path, labels, columns)


def draw_reconstruction_grid(
    path: Path, *, labels: Sequence[str], image: Tensor, mask: Tensor, reconstruction: Tensor
) -> None:
    """One row a case: image, what the network saw, its reconstruction, and the error of hidden pixels.

    All `[N, 1, H, W]`; `mask` is True where a pixel was hidden.
    """
    images, hidden, filled = _planes(image), _planes(mask.float()) > 0.5, _planes(reconstruction)
    seen = np.repeat(images[..., None], 3, axis=-1)
    seen[hidden] = (0.16, 0.24, 0.36)  # a colour no radiograph has
    error = np.where(hidden, np.abs(filled - images), 0)
    grey = Normalize(0, 1)
    columns = [
        Column("image", images, norm=grey),
        Column("masked image", np.clip(seen, 0, 1), None, smooth=False),
        Column("reconstruction", np.where(hidden, filled, images), norm=grey),
        Column(
            "error on hidden patches",
            error,
            "inferno",
            Normalize(0, 0.25),
            bar="absolute error",
            smooth=False,
        ),
    ]
    _draw_grid(path, labels, columns)


def overlay(radiograph: np.ndarray, change: np.ndarray, *, signed: bool) -> np.ndarray:
    """A change map `[H, W]` laid over a radiograph `[H, W]` in `[0, 1]`: RGB `[H, W, 3]` in `[0, 1]`."""
    cmap, norm = _SIGNED if signed else _MAGNITUDE
    colour = matplotlib.colormaps[cmap](norm(change))[..., :3]
    alpha = np.clip(np.abs(change) / OPAQUE_FROM, 0, 1)[..., None] * 0.85
    return np.clip((1 - alpha) * radiograph[..., None] + alpha * colour, 0, 1)


def save_overlay(path: Path, radiograph: np.ndarray, change: np.ndarray, *, signed: bool) -> None:
    """An overlay in the radiograph's own pixels, with a colour bar beside it."""
    cmap, norm = _SIGNED if signed else _MAGNITUDE
    height, width = radiograph.shape
    inches = max(4.0, height / DPI)
    figure = Figure(figsize=(inches * width / height + 1.2, inches), dpi=DPI, layout="constrained")
    axis = figure.subplots()
    axis.imshow(overlay(radiograph, change, signed=signed), interpolation="nearest")
    axis.set_axis_off()
    figure.colorbar(ScalarMappable(norm, cmap), ax=axis, label="attenuation change" if signed else "change")
    _save(figure, path)


def draw_curves(path: Path, metrics: Path) -> None:
    """Every number of a metrics.jsonl over the optimiser steps, training and validation."""
    series: dict[str, dict[str, list[tuple[int, float]]]] = {}
    for line in read_metrics(metrics):
        for name, value in _numbers(line):
            series.setdefault(name, {}).setdefault(line["split"], []).append((line["step"], value))
    names = [name for name in series if "test" not in series[name] or len(series[name]) > 1]
    columns = min(4, max(1, len(names)))
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(3.6 * columns, 2.6 * rows), dpi=DPI, layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis, name in zip(axes, names, strict=False):
        for split, points in series[name].items():
            if split != "test":
                steps, values = zip(*points, strict=True)
                axis.plot(steps, values, marker="o" if len(points) < 30 else "", markersize=3, label=split)
        axis.set_title(name, fontsize=10)
        axis.set_xlabel("step", fontsize=8)
        axis.tick_params(labelsize=8)
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    for axis in axes[len(names) :]:
        axis.set_visible(False)
    _save(figure, path)


def _numbers(line: Mapping[str, Any]) -> list[tuple[str, float]]:
    skipped = ("step", "epoch", "pairs", "changed")
    return [
        (name, value)
        for name, value in line.items()
        if name not in skipped and isinstance(value, int | float)
    ]


def _draw_grid(path: Path, labels: Sequence[str], columns: Sequence[Column]) -> None:
    """Panels on a fixed raster in inches, labels to their left, colour bars under them."""
    rows = len(labels)
    pitch = PANEL_INCHES + GAP_INCHES
    width = LABEL_INCHES + pitch * len(columns)
    height = TITLE_INCHES + pitch * rows + BAR_INCHES
    figure = Figure(figsize=(width, height), dpi=DPI)

    def axes_at(left: float, top: float, wide: float, high: float) -> Axes:
        return figure.add_axes((left / width, 1 - (top + high) / height, wide / width, high / height))

    for position, column in enumerate(columns):
        left = LABEL_INCHES + pitch * position
        for row in range(rows):
            axes = axes_at(left, TITLE_INCHES + pitch * row, PANEL_INCHES, PANEL_INCHES)
            axes.imshow(
                column.images[row],
                cmap=column.cmap,
                norm=column.norm if column.cmap else None,
                interpolation="bilinear" if column.smooth else "nearest",
                aspect="auto" if column.images[row].shape[0] == column.images[row].shape[1] else "equal",
            )
            axes.set_axis_off()
            if row == 0:
                axes.set_title(column.title, fontsize=11)
            if position == 0:
                text = "\n".join(textwrap.wrap(labels[row], 16, break_on_hyphens=False))
                axes.text(-0.06, 0.5, text, transform=axes.transAxes, ha="right", va="center", fontsize=9)
        if column.bar and column.norm:
            inset = 0.08 * PANEL_INCHES  # keeps the numbers of neighbouring bars apart
            bar = axes_at(left + inset, TITLE_INCHES + pitch * rows + 0.05, PANEL_INCHES - 2 * inset, 0.12)
            mappable = ScalarMappable(column.norm, column.bar_cmap or column.cmap)
            figure.colorbar(mappable, cax=bar, orientation="horizontal", label=column.bar)
            bar.xaxis.set_major_locator(MaxNLocator(4))
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    """Write under another name first: a kill leaves no half picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    staging = path.with_name(f".{path.name}.tmp")
    FigureCanvasAgg(figure).print_png(staging)
    staging.replace(path)


def _planes(images: Tensor) -> np.ndarray:
    """`[N, 1, H, W]` on any device to `[N, H, W]` in NumPy."""
    return images[:, 0].detach().float().cpu().numpy()
