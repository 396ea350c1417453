"""Trained generators on pairs of any size, and whether they say the same of the same."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from data import PairBatch
from data.base.errors import UserError
from gan.measures.scores import bin_of
from gan.run.exported import load_generator
from gan.run.exposure import exposed_anew


@dataclass(frozen=True)
class Model:
    """A generator in eval mode, and the size of the images it was trained on."""

    name: str
    generator: nn.Module
    image_size: int
    signed: bool

    @classmethod
    def load(cls, name: str, folder: Path, device: torch.device, *, trusted: str = "") -> "Model":
        """What adversarial training saved as `generator/`, or an exported file; see `load_generator`."""
        generator, fed = load_generator(folder, device=device, trusted=trusted)
        return cls(name, generator, fed.image_size, fed.change == "signed")

    @torch.no_grad()
    def __call__(self, baseline: Tensor, followup: Tensor) -> Tensor:
        """The change map `[B, 1, H, W]` of images of that size, made at the size of the training.

        Raises:
            UserError: it is not finite.
        """
        side = followup.shape[-1]
        change = self.generator(*(_resized(image, self.image_size) for image in (baseline, followup)))
        if not change.isfinite().all():
            raise UserError(f"{self.name} makes maps that are not finite; evaluate another checkpoint of it")
        return _resized(change.float(), side)

    def consistency(self, batch: PairBatch, change: Tensor, threshold: int) -> Mapping[str, list[float]]:
        """Whether the marks of every pair stay where it is shown in another way.

        Args:
            batch: the pairs.
            change: the maps of them.
            threshold: the bin from which a pixel is marked.

        Returns:
            Of the pair the other way round and of the pair exposed anew, the Dice of the marks with those of
            `change`, 1 where there are none; of the followup against itself, the share of the area that is
            marked, and the largest value.
        """
        valid = torch.ones_like(change) if batch.valid is None else batch.valid
        anew = exposed_anew(batch)
        turned = self(batch.followup, batch.baseline) * (-1 if self.signed else 1)
        itself = self(batch.followup, batch.followup) * valid
        marks = _marks(change, threshold) * valid
        others = {
            "reversed_agreement": _marks(turned, threshold) * valid,
            "exposed_agreement": _marks(self(anew.baseline, anew.followup), threshold) * valid,
        }
        area = _marks(itself, threshold).abs().flatten(1).sum(1) / valid.flatten(1).sum(1)
        return {
            **{name: _agreement(marks, other).tolist() for name, other in others.items()},
            "itself_area": area.tolist(),
            "itself_largest": itself.abs().flatten(1).amax(1).tolist(),
        }


def _marks(change: Tensor, threshold: int) -> Tensor:
    """Of every pixel the sign of its change where it is marked, else 0."""
    return change.sign() * (bin_of(change.abs().clamp(0, 1)) >= threshold)


def _agreement(marks: Tensor, others: Tensor) -> Tensor:
    same = ((marks == others) & (marks != 0)).flatten(1).sum(1)
    total = (marks != 0).flatten(1).sum(1) + (others != 0).flatten(1).sum(1)
    return torch.where(total > 0, 2 * same / total.clamp(min=1), 1.0)


def _resized(images: Tensor, side: int) -> Tensor:
    if images.shape[-1] == side:
        return images
    return interpolate(images, size=(side, side), mode="bilinear", align_corners=False, antialias=True)
