"""Grids of images: one row a case, labelled, with colour bars."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backend_bases import FigureCanvasBase
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image
from torch import Tensor

from data.base.atomic import whole

PANEL_INCHES = 2.3
GAP_INCHES = 0.06
LABEL_INCHES = 1.5
TITLE_INCHES = 0.35
BAR_INCHES = 0.6
DPI = 110


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


def draw_grid(path: Path, labels: Sequence[str], columns: Sequence[Column]) -> None:
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
                at = axes.transAxes
                name = axes.text(-0.06, 0.5, text, transform=at, ha="right", va="center", fontsize=9)
                name.set_parse_math(False)  # a patient may be called $1
        if column.bar and column.norm:
            inset = 0.08 * PANEL_INCHES  # keeps the numbers of neighbouring bars apart
            bar = axes_at(left + inset, TITLE_INCHES + pitch * rows + 0.05, PANEL_INCHES - 2 * inset, 0.12)
            mappable = ScalarMappable(column.norm, column.bar_cmap or column.cmap)
            figure.colorbar(mappable, cax=bar, orientation="horizontal", label=column.bar)
            bar.xaxis.set_major_locator(MaxNLocator(4))
    save_figure(figure, path)


def without_labels(path: Path) -> Image.Image:
    """The picture that `draw_grid` wrote, of which the labels are cut off; they may name patients.

    Raises:
        ValueError: it is laid out in another way.
    """
    with Image.open(path) as picture:
        columns = (picture.width / DPI - LABEL_INCHES) / (PANEL_INCHES + GAP_INCHES)
        if columns < 0.9 or abs(columns - round(columns)) > 0.02:
            raise ValueError(f"{path} is not laid out as a grid of cases")
        left = round(LABEL_INCHES * DPI)
        return picture.convert("RGB").crop((left, 0, picture.width, picture.height))


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, whole or not at all; it is emptied.

    The parts of a figure refer to each other, and Python looks for such rings the more rarely the more it
    holds: it would keep the pixels of some twenty epochs.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path) as part:
        FigureCanvasAgg(figure).print_png(part)
    figure.clear()
    FigureCanvasBase(figure)  # takes the place of the canvas, which holds the pixels


def planes(images: Tensor) -> np.ndarray:
    """`[N, 1, H, W]` on any device to `[N, H, W]` in NumPy."""
    return images[:, 0].detach().float().cpu().numpy()
