"""Maps without a model, which every model must beat."""

import torch
from torch import Tensor

BASELINES = {
    "empty": "empty map",
    "absdiff": "|followup - baseline|",
    "registered": "the same, registered",
}
"""What each is called in a table."""


def baseline_maps(baseline: Tensor, followup: Tensor, *, signed: bool) -> dict[str, Tensor]:
    """The maps of all `BASELINES` for images `[B, 1, H, W]` in `[0, 1]`; signed ones keep their signs.

    The registered difference is 0 where the moved baseline has no pixels.
    """
    moved, seen = register(baseline, followup)
    maps = {
        "empty": torch.zeros_like(followup),
        "absdiff": followup - baseline,
        "registered": (followup - moved) * seen,
    }
    return maps if signed else {name: values.abs() for name, values in maps.items()}


def register(baseline: Tensor, followup: Tensor) -> tuple[Tensor, Tensor]:
    """The baseline `[B, 1, H, W]` shifted onto the followup by whole pixels, and where it has pixels then.

    By the peak of the phase correlation of both, as `skimage.registration.phase_cross_correlation` finds it;
    here for a batch at once, on its device. Shifts of more than an eighth of the image are taken for errors,
    and not made.

    Source: Kuglin and Hines, "The phase correlation image alignment method", 1975.
    """
    height, width = followup.shape[-2:]
    product = torch.fft.rfft2(followup) * torch.fft.rfft2(baseline).conj()
    peaks = torch.fft.irfft2(product / product.abs().clamp(min=1e-8), s=(height, width))
    place = peaks.flatten(1).argmax(1)
    down, right = (_around_zero(v, n) for v, n in ((place // width, height), (place % width, width)))
    plausible = (8 * down.abs() <= height) & (8 * right.abs() <= width)
    rows, row_seen = _sources(height, down * plausible)
    columns, column_seen = _sources(width, right * plausible)
    seen = (row_seen[:, :, None] & column_seen[:, None])[:, None]
    pair = torch.arange(len(place), device=place.device)[:, None, None]
    moved = baseline[pair, 0, rows[:, :, None], columns[:, None]]
    return moved[:, None] * seen, seen


def _sources(length: int, shift: Tensor) -> tuple[Tensor, Tensor]:
    """From where each row (or column) of a shifted image comes `[B, length]`, and whether it is there."""
    places = torch.arange(length, device=shift.device) - shift[:, None]
    return places.clamp(0, length - 1), (places >= 0) & (places < length)


def _around_zero(shift: Tensor, length: int) -> Tensor:
    """A circular shift in `[0, length)` as one in `[-length / 2, length / 2)`."""
    return (shift + length // 2) % length - length // 2
