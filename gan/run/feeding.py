"""Radiographs of any size to what a generator is fed with, and its maps back onto their pixels."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from data import Geometry, Radiograph, fit_to_square
from data.alignment import LEAST_CONFIDENCE, lay, register
from gan.run.handover import Preprocessing

NATIVE = 0
"""Instead of a number of tiles: as fine as the file is."""


@dataclass(frozen=True, kw_only=True)
class Fed:
    """B pairs as squares of one size L, as a generator is fed with them."""

    baseline: Tensor
    """`[B, 1, L, L]` in `[0, 1]`, where it could be, laid on the followup."""
    followup: Tensor
    """`[B, 1, L, L]` in `[0, 1]`."""
    known: Tensor
    """`[B, 1, L, L]`: 1 where both are to be seen, so that something can be said."""
    geometry: Sequence[Geometry]
    """How each followup became a square."""
    confidence: Tensor | None
    """`[B]`, how good the fit of each baseline is; None where none was looked for."""

    def to(self, device: torch.device) -> "Fed":
        """The same with its tensors on a device."""
        moved = {name: getattr(self, name).to(device) for name in ("baseline", "followup", "known")}
        return replace(self, **moved)


@dataclass(frozen=True, kw_only=True)
class Squares:
    """The two radiographs of a pair as squares `[1, L, L]`, and where they lie in them."""

    baseline: Tensor
    followup: Tensor
    masks: tuple[Tensor, Tensor]
    geometry: Geometry
    """How the followup became a square."""


def fit_pair(
    before: Radiograph, after: Radiograph, preprocessing: Preprocessing, *, tiles: int = 1
) -> Squares:
    """A pair as squares.

    Args:
        before: the baseline.
        after: the followup.
        preprocessing: how they are framed, and the size of the training.
        tiles: how many times as fine as in training they are seen; with `NATIVE`, as fine as the followup is.
    """
    geometry = after.geometry(preprocessing.framing)
    side = side_of(geometry, preprocessing, tiles)
    (old, old_mask), (new, new_mask) = (
        fit_to_square(torch.from_numpy(picture.pixels)[None], side, picture.geometry(preprocessing.framing))
        for picture in (before, after)
    )
    return Squares(baseline=old, followup=new, masks=(old_mask, new_mask), geometry=geometry)


def side_of(geometry: Geometry, preprocessing: Preprocessing, tiles: int) -> int:
    """Side of the square in which a radiograph is seen, in pixels; at least that of the training."""
    if tiles != NATIVE:
        return tiles * preprocessing.image_size
    lengths = round(geometry.height * geometry.pixel_aspect), geometry.width
    return max(preprocessing.image_size, min(lengths) if geometry.framing == "crop" else max(lengths))


def feed(pairs: Sequence[Squares], *, align: bool) -> Fed:
    """Pairs of one size L; with `align`, each baseline laid on its followup where a good fit is found."""
    old, new = (torch.stack([getattr(pair, role) for pair in pairs]) for role in ("baseline", "followup"))
    masks = tuple(torch.stack([pair.masks[role] for pair in pairs]) for role in (0, 1))
    known, confidence = torch.ones_like(new), None
    if align:
        alignment = register(old, new, masks=(masks[0], masks[1]))
        fits, confidence = alignment.trusted[:, None, None, None], alignment.confidence
        laid, reached = lay(old, new, (masks[0], masks[1]), alignment.kept())
        old, known = torch.where(fits, laid, old), torch.where(fits, reached, known)
    geometry = [pair.geometry for pair in pairs]
    return Fed(baseline=old, followup=new, known=known, geometry=geometry, confidence=confidence)


def not_aligned(confidence: Tensor | None) -> str | None:
    """What to say of one pair whose baseline stays where it is though it was to be aligned."""
    if confidence is None or confidence.item() >= LEAST_CONFIDENCE:
        return None
    return (
        f"the baseline is not aligned: no good fit is found (confidence {confidence.item():.2f}, at least "
        f"{LEAST_CONFIDENCE:.2f} is needed)"
    )
