"""What maps make of every pair, as sums: any number over any pairs follows from the total of theirs.

So little is kept of a pair, a resampled patient is a weight, and a number over one pair, over a finding, over
everything or over each of a thousand bootstrap replicates is computed in one place.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, identity, kron, vstack
from torch import Tensor

from data.findings import CHANGED
from gan.measures.lesions import LEVELS, SIZES, Lesions, find_lesions, sensitivities
from gan.measures.scores import Values, auroc, average_precision, bin_of, count_scores, overlaps
from gan.measures.similarity import local_similarity

DIRECTIONS = ("appearing", "resolving")
RELIABILITY_BINS = 20
"""Equally wide bins of the predicted value, for calibration."""
MARKS = ("area", "marks", "largest")
"""Share of the image that is marked, number of marks, largest value."""
_SAME = 1e-12  # a variance that is one of rounding
_COARSE = 4  # bins of a histogram that are one in a bootstrap, whose spread is wider by far
_CHUNK = 64  # pairs or replicates whose histograms are dense at once

Sums = dict[str, Values]


@dataclass(frozen=True)
class PairSums:
    """The sums of N pairs; of N patients or groups where pairs were added up."""

    scores: csr_matrix
    """Histograms `[N, K * 2 * bins]`, K being 1 (magnitude) or, signed, 3 (and appearing, resolving)."""
    others: Sums
    """Everything else `[N, ...]`, by name."""
    signed: bool

    def __len__(self) -> int:
        return int(self.scores.shape[0])

    @classmethod
    def joined(cls, parts: "Sequence[PairSums]") -> "PairSums":
        """Those of all parts, one after the other."""
        others = {name: np.concatenate([part.others[name] for part in parts]) for name in parts[0].others}
        return cls(vstack([part.scores for part in parts], "csr"), others, parts[0].signed)

    def select(self, pairs: NDArray[np.generic]) -> "PairSums":
        """Those of some pairs, by index or mask."""
        return PairSums(
            self.scores[pairs], {name: values[pairs] for name, values in self.others.items()}, self.signed
        )

    def grouped(self, group: NDArray[np.integer], groups: int) -> "PairSums":
        """One for each of so many groups, of the pairs that are in it."""
        member = csr_matrix((np.ones(len(self)), (group, np.arange(len(self)))), (groups, len(self)))
        others = {name: _combine(member, values) for name, values in self.others.items()}
        return PairSums(member @ self.scores, others, self.signed)

    def numbers(self) -> dict[str, Values]:
        """Numbers by name, `[N]` or `[N, ...]`; NaN where there is nothing to tell them from."""
        return self._in_chunks(self._rows())

    def total(self) -> dict[str, Values]:
        """The numbers of all together, `[1]` or `[1, ...]`."""
        return self.grouped(np.zeros(len(self), int), 1).numbers()

    def replicates(self, weights: Values) -> dict[str, Values]:
        """Numbers `[R, ...]` of weighted totals, weights being `[R, N]`, from coarser histograms."""
        width = self.scores.shape[1] // _COARSE
        scores = (self.scores @ kron(identity(width), np.ones((_COARSE, 1)), "csr")).toarray()
        chunks = (weights[start : start + _CHUNK] for start in range(0, len(weights), _CHUNK))
        return self._in_chunks(
            (chunk @ scores, {name: _combine(chunk, values) for name, values in self.others.items()})
            for chunk in chunks
        )

    def _rows(self) -> Iterator[tuple[Values, Sums]]:
        for start in range(0, len(self), _CHUNK):
            rows = slice(start, start + _CHUNK)
            yield self.scores[rows].toarray(), {name: values[rows] for name, values in self.others.items()}

    def _in_chunks(self, chunks: Iterable[tuple[Values, Sums]]) -> dict[str, Values]:
        layers = 3 if self.signed else 1
        parts = [
            _numbers(scores.reshape(len(scores), layers, 2, -1), others, signed=self.signed)
            for scores, others in chunks
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _combine(weights: Values | csr_matrix, values: Values) -> Values:
    flat: Values = weights @ values.reshape(len(values), -1)
    return flat.reshape(-1, *values.shape[1:])


def measure(
    prediction: Tensor,
    target: Tensor,
    valid: Tensor,
    *,
    signed: bool,
    threshold: int | None = None,
    further: Mapping[str, Sequence[float]] | None = None,
) -> PairSums:
    """The sums of every pair of a batch `[B, 1, H, W]`.

    Args:
        prediction: maps in `[0, 1]` or, signed, in `[-1, 1]`.
        target: the same; NaN everywhere in a pair whose change is not known.
        valid: bool, which pixels count.
        signed: what maps mean.
        threshold: the bin from which a pixel is marked; without it nothing is looked at that depends on it.
        further: numbers of each pair by name, NaN where unknown, of which means are taken.
    """
    known = ~target.isnan().flatten(1).any(1)
    batch = _Batch(prediction, target.nan_to_num(), valid, known, signed)
    scores = batch.scores()
    sums = batch.pixels() | _changes(scores, known.cpu().numpy())
    if threshold is not None:
        sums |= _at_threshold(scores, threshold) | batch.lesions(threshold)
        sums["false"] *= sums["known"][:, None]
        sums |= {f"silent_{name}": sums[name] * sums["unchanged"] for name in MARKS}
    for name, values in (further or {}).items():
        given = np.asarray(values, np.float64)
        sums[f"further/{name}"] = np.stack([np.nan_to_num(given), ~np.isnan(given)], 1).astype(np.float64)
    flat = scores.reshape(len(scores), -1).astype(np.uint32)
    return PairSums(csr_matrix(flat), sums, signed)


class _Batch:
    """Maps of a batch, and the scores by which their pixels are ranked."""

    def __init__(
        self, prediction: Tensor, target: Tensor, valid: Tensor, known: Tensor, signed: bool
    ) -> None:
        self.prediction, self.target, self.valid, self.signed = prediction, target, valid, signed
        self.counted = valid & known[:, None, None, None]
        layers = [(prediction.abs(), target.abs() > CHANGED)]
        if signed:
            layers += [(prediction, target > CHANGED), (-prediction, target < -CHANGED)]
        self.bins = [bin_of(score.clamp(0, 1)) for score, _ in layers]
        self.positive = [positive for _, positive in layers]

    def scores(self) -> NDArray[np.int64]:
        """Histograms `[B, K, 2, BINS]`."""
        pairs = zip(self.bins, self.positive, strict=True)
        counts = [count_scores(bins, positive, self.counted) for bins, positive in pairs]
        return torch.stack(counts, 1).cpu().numpy()

    def pixels(self) -> Sums:
        """Sums over pixels `[B]`, `moments` `[B, 5]` and `reliability` `[B, 3, RELIABILITY_BINS]`."""
        error = self.prediction - self.target
        similar = local_similarity(
            self.prediction * self.counted, self.target * self.counted, 2.0 if self.signed else 1.0
        )
        sums = {
            "pixels": self._sum(torch.ones_like(error)),
            "changed_pixels": self._sum(self.positive[0].float()),
            "absolute": self._sum(error.abs()),
            "squared": self._sum(error**2),
            "similar": self._sum(similar),
            "moments": self._moments(),
            "reliability": self._reliability(),
        }
        return {name: values.cpu().numpy() for name, values in sums.items()}

    def lesions(self, threshold: int) -> Sums:
        """Lesions and marks of every pair; of signed maps those of either sign, each with its own kind."""
        levels = (*LEVELS, threshold)
        layers = slice(1, None) if self.signed else slice(0, 1)
        bins = [torch.where(self.valid, b, -1).short().cpu().numpy()[:, 0] for b in self.bins[layers]]
        changed = [(p & self.counted).cpu().numpy()[:, 0] for p in self.positive[layers]]
        pixels = self.valid.flatten(1).sum(1).tolist()
        rows = []
        for pair, count in enumerate(pixels):
            found = [
                find_lesions(b[pair], c[pair], count, levels) for b, c in zip(bins, changed, strict=True)
            ]
            rows.append(_lesion_row(found))
        sums = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
        strength = (self.prediction.abs() * self.valid).flatten(1)
        marked = (self.bins[0] >= threshold) & self.valid
        sums["area"] = (marked.flatten(1).sum(1) / self.valid.flatten(1).sum(1)).double().cpu().numpy()
        sums["largest"] = strength.amax(1).double().cpu().numpy()
        return sums

    def _sum(self, values: Tensor) -> Tensor:
        return (values * self.counted).flatten(1).sum(1, dtype=torch.float64)

    def _moments(self) -> Tensor:
        """Sums `[B, 5]` of prediction, target, their squares and their product."""
        x, y = self.prediction.double(), self.target.double()
        return torch.stack([self._sum(values) for values in (x, y, x * x, y * y, x * y)], 1)

    def _reliability(self) -> Tensor:
        low = -1.0 if self.signed else 0.0
        place = ((self.prediction - low) / (1 - low) * RELIABILITY_BINS).long()
        place = place.clamp(0, RELIABILITY_BINS - 1)
        pair = torch.arange(len(place), device=place.device)[:, None, None, None]
        cells = (pair * RELIABILITY_BINS + place)[self.counted]
        size = len(place) * RELIABILITY_BINS
        weights = (None, self.prediction[self.counted].double(), self.target[self.counted].double())
        sums = [torch.bincount(cells, weight, minlength=size).double() for weight in weights]
        return torch.stack(sums).view(3, len(place), RELIABILITY_BINS).transpose(0, 1)


def directed(scores: NDArray[np.generic]) -> NDArray[np.generic]:
    """Of histograms `[..., K, 2, bins]` those in which a wrong sign is a miss and a false alarm at once."""
    return scores[..., 0, :, :] if scores.shape[-3] == 1 else scores[..., 1:, :, :].sum(-3)


def _changes(scores: NDArray[np.int64], known: NDArray[np.bool_]) -> Sums:
    """How many pairs of what kind there are, and the average precision of those that changed."""
    changed = scores[:, 0, 1].sum(-1) > 0
    return {
        "pairs": np.ones(len(known)),
        "known": known.astype(np.float64),
        "changed": changed.astype(np.float64),
        "unchanged": (known & ~changed).astype(np.float64),
        "pair_ap": np.nan_to_num(average_precision(directed(scores))),
    }


def _at_threshold(scores: NDArray[np.int64], threshold: int) -> Sums:
    dice, union = (np.nan_to_num(values[..., threshold]) for values in overlaps(directed(scores)))
    return {"dice": dice, "iou": union}


def _lesion_row(parts: Sequence[Lesions]) -> Sums:
    """Sums of one pair, over the directions of its change."""
    share = np.concatenate([part.share for part in parts])
    found = np.concatenate([part.found for part in parts]).astype(np.float64)
    size = np.searchsorted(list(SIZES.values()), share)
    return {
        "found": np.stack([found[size == place].sum(0) for place in range(len(SIZES))]),
        "lesions": np.bincount(size, minlength=len(SIZES)).astype(np.float64),
        "false": np.sum([part.false for part in parts], 0, dtype=np.float64),
        "marks": np.array(sum(part.marks[-1] for part in parts), np.float64),
    }


def _numbers(scores: Values, sums: Sums, *, signed: bool) -> dict[str, Values]:
    """Numbers of totals; see `gan.measures.table` for what each is."""
    with np.errstate(divide="ignore", invalid="ignore"):
        numbers = _of_pixels(scores, sums, signed=signed) | _of_calibration(sums)
        if "false" in sums:
            numbers |= _of_lesions(sums) | _of_marks(sums)
        for name, values in sums.items():
            if name.startswith("further/"):
                numbers[name.removeprefix("further/")] = values[..., 0] / values[..., 1]
    return numbers


def _of_pixels(scores: Values, sums: Sums, *, signed: bool) -> dict[str, Values]:
    pixels, squared = sums["pixels"], sums["squared"]
    numbers = {
        "auroc": auroc(scores[..., 0, :, :]),
        "average_precision": average_precision(scores[..., 0, :, :]),
        "mae": sums["absolute"] / pixels,
        "psnr": np.where(squared > 0, 10 * np.log10((4.0 if signed else 1.0) * pixels / squared), np.nan),
        "ssim": sums["similar"] / pixels,
        "correlation": _correlation(sums["moments"] / pixels[..., None]),
        "pair_average_precision": sums["pair_ap"] / sums["changed"],
    }
    if signed:
        numbers["directed_average_precision"] = average_precision(directed(scores))
        for layer, name in enumerate(DIRECTIONS, 1):
            numbers[f"{name}_average_precision"] = average_precision(scores[..., layer, :, :])
    if "dice" in sums:
        numbers |= {name: sums[name] / sums["changed"] for name in ("dice", "iou")}
    return numbers


def _correlation(moments: Values) -> Values:
    """Pearson's correlation `[...]` from means `[..., 5]`; NaN where map or target is the same everywhere."""
    x, y, xx, yy, xy = np.moveaxis(moments, -1, 0)
    varies = (xx - x**2 > _SAME) & (yy - y**2 > _SAME)
    return np.where(varies, (xy - x * y) / np.sqrt((xx - x**2) * (yy - y**2)), np.nan)


def _of_calibration(sums: Sums) -> dict[str, Values]:
    """The curve of the mean true over the mean predicted value, and its mean distance from the diagonal."""
    pixels, predicted, true = (sums["reliability"][..., part, :] for part in range(3))
    share = pixels / sums["pixels"][..., None]
    return {
        "calibration_error": np.abs(predicted - true).sum(-1) / sums["pixels"],
        "reliability": np.stack([predicted / pixels, true / pixels, share], -2),
    }


def _of_lesions(sums: Sums) -> dict[str, Values]:
    """Sensitivities over false marks; of each size, false marks are those of all pairs."""
    found, lesions, false = sums["found"], sums["lesions"], sums["false"]
    looked_at = sums["known"]
    everything = sensitivities(found.sum(-2)[..., :-1], lesions.sum(-1), false[..., :-1], looked_at)
    numbers = {"sensitivities": everything, "sensitivity": everything.mean(-1)}
    for place, size in enumerate(SIZES):
        of_size = sensitivities(found[..., place, :-1], lesions[..., place], false[..., :-1], looked_at)
        numbers[f"{size}_sensitivity"] = of_size.mean(-1)
    return numbers | {
        "lesions_found": found.sum(-2)[..., -1] / lesions.sum(-1),
        "false_marks": false[..., -1] / looked_at,
        "froc_sensitivity": found.sum(-2)[..., :-1] / lesions.sum(-1)[..., None],
        "froc_false": false[..., :-1] / looked_at[..., None],
    }


def _of_marks(sums: Sums) -> dict[str, Values]:
    """What is marked in any pair, and in those in which nothing changed."""
    numbers = {}
    for name in MARKS:
        numbers[name] = sums[name] / sums["pairs"]
        numbers[f"silent_{name}"] = sums[f"silent_{name}"] / sums["unchanged"]
    return numbers
