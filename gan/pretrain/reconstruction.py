"""How well hidden pixels are reconstructed, and two ways to fill them without a model."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from matplotlib.colors import Normalize
from torch import Tensor

from data import ImageBatch
from gan.pictures.grid import Column, draw_grid, planes


@dataclass
class ReconstructionErrors:
    """Mean absolute error over masked pixels: of the model, and of two ways to fill them without one."""

    sums: dict[str, float] = field(default_factory=dict)
    pixels: int = 0

    def add(
        self, *, image: Tensor, reconstruction: Tensor, mask: Tensor, valid: Tensor | None, baselines: bool
    ) -> None:
        """Take in one batch `[B, 1, H, W]`; `mask` is True where a pixel was hidden."""
        counted = mask if valid is None else mask & valid.bool()
        fills = {"mae": reconstruction.float()}
        if baselines:
            fills |= {
                "visible_mean": fill_with_visible_mean(image, mask, valid),
                "interpolation": fill_by_interpolation(image, mask, valid),
            }
        for name, fill in fills.items():
            error = (fill - image).abs()[counted].double().sum().item()
            self.sums[name] = self.sums.get(name, 0.0) + error
        self.pixels += int(counted.sum())

    def report(self) -> dict[str, float]:
        """Mean absolute error of each fill."""
        return {name: total / max(1, self.pixels) for name, total in self.sums.items()}


def fill_with_visible_mean(image: Tensor, mask: Tensor, valid: Tensor | None = None) -> Tensor:
    """Hidden pixels of `[B, 1, H, W]` set to the mean of the image's visible ones (that count)."""
    visible = _visible(mask, valid).to(image.dtype)
    count = visible.sum(dim=(1, 2, 3), keepdim=True).clamp(min=1)
    mean = (image * visible).sum(dim=(1, 2, 3), keepdim=True) / count
    return torch.where(mask, mean, image)


def _visible(mask: Tensor, valid: Tensor | None) -> Tensor:
    return ~mask if valid is None else ~mask & valid.bool()


def fill_by_interpolation(image: Tensor, mask: Tensor, valid: Tensor | None = None) -> Tensor:
    """Hidden pixels of `[B, 1, H, W]` interpolated linearly between visible ones, nearest outside."""
    from scipy.interpolate import griddata

    filled, visible = image.clone(), _visible(mask, valid)
    for row in range(len(image)):
        seen = visible[row, 0].cpu().numpy()
        if not seen.any():  # stands in for an image that could not be read
            continue
        pixels = image[row, 0].cpu().numpy()
        known, wanted = np.argwhere(seen), np.argwhere(mask[row, 0].cpu().numpy())
        values = griddata(known, pixels[seen], wanted, method="linear")
        outside = np.isnan(values)
        if outside.any():
            values[outside] = griddata(known, pixels[seen], wanted[outside], method="nearest")
        filled[row, 0][mask[row, 0]] = torch.from_numpy(values).to(image)
    return filled


def reconstruction_table(errors: Mapping[str, float]) -> str:
    """The final numbers of pretraining as a table for a terminal."""
    labels = {
        "mae": "reconstruction",
        "visible_mean": "mean of the visible pixels",
        "interpolation": "linear interpolation",
    }
    return "\n".join(f"{labels[name]:<28}{value:8.4f}" for name, value in errors.items())


def draw_reconstruction_grid(path: Path, batch: ImageBatch, mask: Tensor, reconstruction: Tensor) -> None:
    """One row a case: image, what the network saw, its reconstruction, and the error of hidden pixels.

    `mask` and `reconstruction` are `[N, 1, H, W]`; `mask` is True where a pixel was hidden.
    """
    images, hidden, filled = planes(batch.image), planes(mask.float()) > 0.5, planes(reconstruction)
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
    draw_grid(path, batch.id, columns)
