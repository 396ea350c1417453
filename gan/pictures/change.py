"""Pictures of change maps: the sample grid, and a map over its radiograph."""

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from torch import Tensor

from data import PairBatch
from gan.pictures.grid import DPI, Column, draw_grid, planes, save_figure

SHOWN_MAX = 0.6
"""Magnitude of change with the brightest colour: few changes are larger, and most are much smaller."""
OPAQUE_FROM = 0.2
"""Magnitude from which a change hides the radiograph under it in an overlay; below it shines through."""

MAGNITUDE = ("inferno", Normalize(0, SHOWN_MAX))
SIGNED = ("coolwarm", Normalize(-SHOWN_MAX, SHOWN_MAX))


def draw_change_grid(
    path: Path, batch: PairBatch, prediction: Tensor, *, logits: Tensor, signed: bool
) -> None:
    """One row a case: baseline, followup, target, prediction, overlay, and what D says patch by patch.

    `prediction` is `[N, 1, H, W]`; `logits` `[N, 1, h, w]` are D's for it.
    """
    assert batch.target is not None
    cmap, norm = SIGNED if signed else MAGNITUDE
    grey = Normalize(0, 1)
    followups, predictions = planes(batch.followup), planes(prediction)
    overlays = np.stack(
        [overlay(image, change, signed=signed) for image, change in zip(followups, predictions, strict=True)]
    )
    patches = planes(logits)
    reach = max(1.0, float(np.abs(patches).max()))
    opinion = Normalize(-reach, reach)
    meaning = "attenuation change" if signed else "change"
    columns = [
        Column("baseline", planes(batch.baseline), norm=grey),
        Column("followup", followups, norm=grey),
        Column("target", planes(batch.target), cmap, norm, bar=meaning),
        Column("prediction", predictions, cmap, norm, bar=meaning),
        Column("prediction on followup", overlays, None, norm, bar=meaning, bar_cmap=cmap),
        Column("D's patch logits", patches, "PuOr", opinion, bar="fake  <  0  <  real", smooth=False),
    ]
    draw_grid(path, batch.id, columns)


def overlay(radiograph: np.ndarray, change: np.ndarray, *, signed: bool) -> np.ndarray:
    """A change map `[H, W]` laid over a radiograph `[H, W]` in `[0, 1]`: RGB `[H, W, 3]` in `[0, 1]`."""
    cmap, norm = SIGNED if signed else MAGNITUDE
    colour = matplotlib.colormaps[cmap](norm(change))[..., :3]
    alpha = np.clip(np.abs(change) / OPAQUE_FROM, 0, 1)[..., None] * 0.85
    return np.clip((1 - alpha) * radiograph[..., None] + alpha * colour, 0, 1)


def save_overlay(
    path: Path, radiograph: np.ndarray, change: np.ndarray, *, signed: bool, aspect: float = 1.0
) -> None:
    """An overlay in the radiograph's own pixels, `aspect` as high as wide, with a colour bar beside it."""
    cmap, norm = SIGNED if signed else MAGNITUDE
    height, width = radiograph.shape[0] * aspect, radiograph.shape[1]
    inches = max(4.0, height / DPI)
    figure = Figure(figsize=(inches * width / height + 1.2, inches), dpi=DPI, layout="constrained")
    axis = figure.subplots()
    axis.imshow(overlay(radiograph, change, signed=signed), interpolation="nearest", aspect=aspect)
    axis.set_axis_off()
    figure.colorbar(ScalarMappable(norm, cmap), ax=axis, label="attenuation change" if signed else "change")
    save_figure(figure, path)
