"""How well labels are told, one by one, and pictures of it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from data import ImageBatch
from gan.pictures.grid import DPI, PANEL_INCHES, planes, save_figure

_BAR_INCHES = 4.0
_LABEL_INCHES = 0.22


def known_bce(logits: Tensor, labels: Tensor) -> Tensor:
    """Binary cross-entropy over the labels that are known: scalar float32, 0 where none is.

    Args:
        logits: `[B, L]`.
        labels: `[B, L]`, 1, 0, or NaN where unknown.
    """
    known = ~labels.isnan()
    loss = binary_cross_entropy_with_logits(logits.float(), labels.nan_to_num(), reduction="none")
    return torch.where(known, loss, 0).sum() / known.sum().clamp(min=1)


def label_report(names: Sequence[str], logits: Tensor, labels: Tensor) -> dict[str, Any]:
    """AUROC of every label over the images on which it is known, and their mean.

    Args:
        names: the labels.
        logits: `[N, L]`.
        labels: `[N, L]`, 1, 0, or NaN where unknown.

    Returns:
        `auroc`, the mean over labels that have it (None where none has); `images`; and `labels`: of each
        label `auroc` (None where only one class is there), `positives` and `known`.
    """
    from torchmetrics.functional.classification import binary_auroc

    of: dict[str, dict[str, float | int | None]] = {}
    for column, name in enumerate(names):
        known = ~labels[:, column].isnan()
        truth = labels[known, column].int()
        positives = int(truth.sum())
        both = 0 < positives < len(truth)
        auroc = binary_auroc(logits[known, column], truth).item() if both else None
        of[name] = {"auroc": auroc, "positives": positives, "known": len(truth)}
    found = [numbers["auroc"] for numbers in of.values() if numbers["auroc"] is not None]
    return {"auroc": float(np.mean(found)) if found else None, "images": len(labels), "labels": of}


def label_table(report: Mapping[str, Any]) -> str:
    """The report as a table for a terminal."""
    width = max(len("mean"), *(len(name) for name in report["labels"]))
    lines = [f"{'':<{width}}{'AUROC':>10}{'positives':>11}{'known':>8}"]
    for name, numbers in report["labels"].items():
        counts = f"{numbers['positives']:>11}{numbers['known']:>8}"
        lines.append(f"{name:<{width}}{_cell(numbers['auroc'])}{counts}")
    return "\n".join([*lines, f"{'mean':<{width}}{_cell(report['auroc'])}"])


def _cell(value: float | None) -> str:
    return f"{'-':>10}" if value is None else f"{value:>10.4f}"


def draw_label_grid(path: Path, batch: ImageBatch, names: Sequence[str], probabilities: Tensor) -> None:
    """One row a case: the radiograph, and the probability `[N, L]` of each label beside what is true."""
    assert batch.labels is not None
    images, truths = planes(batch.image), batch.labels.cpu().numpy()
    high = max(PANEL_INCHES, _LABEL_INCHES * len(names) + 0.5)
    figure = Figure(figsize=(PANEL_INCHES + _BAR_INCHES, high * len(batch)), dpi=DPI, layout="constrained")
    widths = {"width_ratios": [PANEL_INCHES, _BAR_INCHES]}
    rows = figure.subplots(len(batch), 2, squeeze=False, gridspec_kw=widths)
    meaning = {1.0: ("tab:red", "present"), 0.0: ("tab:gray", "absent")}
    for (left, right), image, truth, sample, probability in zip(
        rows, images, truths, batch.id, probabilities.cpu().numpy(), strict=True
    ):
        left.imshow(image, cmap="gray", vmin=0, vmax=1)
        left.set_axis_off()
        left.set_title(sample, fontsize=8, parse_math=False)
        colours = [meaning.get(float(value), ("white", "unknown"))[0] for value in truth]
        right.barh(range(len(names)), probability, color=colours, edgecolor="black", linewidth=0.5)
        right.set_yticks(range(len(names)), names, fontsize=8)
        right.set_xlim(0, 1)
        right.invert_yaxis()
        right.tick_params(axis="x", labelsize=7)
    for colour, label in (*meaning.values(), ("white", "unknown")):
        rows[0, 1].barh([0], [0], color=colour, edgecolor="black", linewidth=0.5, label=label)
    rows[0, 1].legend(fontsize=7, loc="lower right")
    rows[-1, 1].set_xlabel("probability", fontsize=8)
    save_figure(figure, path)
