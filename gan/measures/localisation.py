"""Whether maps of real pairs say where and whether something changed, by boxes and labels of radiologists.

Nobody draws change maps of real radiographs. What there is are boxes around findings in one or both images,
with how each finding changed, or labels of the pair alone (`data.manifests.regions`). A map is judged by the
followup's boxes where a finding is new or worse, by the baseline's where it improved or resolved (there it
was larger), by both where it is stable; where one of the images has none, by the other's.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data import Geometry, PairBatch
from data.geometry import boxes_in_square, mask_in_square
from data.manifests.regions import PROGRESSIONS, FindingChange, Progression, changes_of, mask_of
from gan.measures.bootstrap import resample
from gan.measures.evaluation import Estimate
from gan.measures.scores import Values

Numbers = dict[str, float | None]
Number = Callable[[Values], Values]
"""What cases `[N]` come to `[R]`, that count as often as weights `[R, N]` say."""
SCORES = ("pointing_game", "energy_in_box", "contrast_to_noise", "box_iou", "box_auroc")
"""Names of the scores of a map against boxes; of all of them more is better."""
AIR = ("pneumothorax", "emphysema", "hyperinflation", "pneumomediastinum", "air trapping", "bulla")
"""Findings that attenuate less the worse they are: in a signed map, worse is negative."""
_RISING: Mapping[Progression, int] = {"new": 1, "worse": 1, "stable": 0, "improved": -1, "resolved": -1}
_BASELINE_FIRST = ("improved", "resolved")


def box_scores(score: NDArray[np.floating], inside: NDArray[np.bool_]) -> Numbers:
    """How well the values of a map single out boxes; None where boxes hold no pixel that counts, or all.

    - `pointing_game`: 1 where the largest value lies in a box, 0 elsewhere; of equal ones the share that do,
      so that an empty map scores as chance does. Source: Zhang et al., "Top-down Neural Attention by
      Excitation Backprop", ECCV 2016.
    - `energy_in_box`: share of the map's sum that lies in boxes; 0 for an empty map. Source: Wang et al.,
      "Score-CAM: Score-Weighted Visual Explanations for Convolutional Neural Networks", CVPR Workshops 2020.
    - `contrast_to_noise`: difference of the means inside and outside by the root of the sum of the variances;
      negative where the map is larger outside, None where both are flat and differ. Source: Boecking et al.,
      "Making the Most of Text Semantics to Improve Biomedical Vision-Language Processing", ECCV 2022.
    - `box_iou`: of the boxes and as many pixels as they have, the largest ones; of equal ones by chance.
    - `box_auroc`: the probability that a pixel inside exceeds one outside.

    Args:
        score: values `[P]` of the pixels that count, not negative.
        inside: `[P]`, whether each lies in a box.
    """
    count = int(inside.sum())
    if not 0 < count < len(inside):
        return dict.fromkeys(SCORES)
    score = score.astype(np.float64)
    total = score.sum()
    return {
        "pointing_game": float(inside[score == score.max()].mean()),
        "energy_in_box": float(score[inside].sum() / total) if total > 0 else 0.0,
        "contrast_to_noise": _contrast(score[inside], score[~inside]),
        "box_iou": _iou_at_equal_area(score, inside, count),
        "box_auroc": auroc(score, inside),
    }


def auroc(score: NDArray[np.floating], positive: NDArray[np.bool_]) -> float | None:
    """The probability that a positive exceeds a negative, ties counted half; None where one is missing."""
    positives, negatives = np.sort(score[positive]), np.sort(score[~positive])
    if not len(positives) or not len(negatives):
        return None
    below, not_above = (np.searchsorted(negatives, positives, side) for side in ("left", "right"))
    return float((below.mean() + not_above.mean()) / 2 / len(negatives))


def towards(values: NDArray[np.floating], change: FindingChange, *, signed: bool) -> NDArray[np.floating]:
    """What of a map speaks for a change: its magnitude; of a signed map, what has the sign to be expected.

    A stable finding has none, so that its is the magnitude as well.
    """
    sign = direction_of(change.finding, change.progression)
    return np.clip(values * sign, 0, None) if signed and sign else np.abs(values)


def direction_of(finding: str, progression: Progression) -> int:
    """1 where attenuation rises from baseline to followup, -1 where it falls, 0 where it stays."""
    is_air = any(name in finding.lower() for name in AIR)
    return -_RISING[progression] if is_air else _RISING[progression]


def boxes_of_change(
    change: FindingChange, size: int, followup: Geometry, baseline: Geometry
) -> NDArray[np.bool_]:
    """`[size, size]`: where a map is judged for a change, as read by these geometries; see the module."""
    in_followup = boxes_in_square(change.followup, size, followup)[0].numpy()
    in_baseline = boxes_in_square(change.baseline, size, baseline)[0].numpy()
    if change.progression == "stable":
        return in_followup | in_baseline
    first, second = in_followup, in_baseline
    if change.progression in _BASELINE_FIRST:
        first, second = second, first
    return first if first.any() else second


@dataclass(frozen=True, kw_only=True)
class Case:
    """One change that has boxes."""

    id: str
    patient_id: str
    finding: str
    progression: Progression
    scores: Numbers


@dataclass(frozen=True, kw_only=True)
class LabelledPair:
    """One pair that has labels."""

    id: str
    patient_id: str
    mass: float
    """Mean magnitude of the map in the lungs, or in the whole image where the manifest has no lungs."""
    rise: float
    """Mean of the map there, with its sign."""
    labels: tuple[tuple[str, Progression], ...]
    """Findings, and how each changed."""


@dataclass
class Localisation:
    """Scores of the maps of real pairs, gathered batch by batch; only numbers are kept."""

    signed: bool
    cases: list[Case] = field(default_factory=list)
    pairs: list[LabelledPair] = field(default_factory=list)

    def add(self, prediction: Tensor, batch: PairBatch) -> None:
        """Take in maps `[B, 1, S, S]` of the pairs of a batch, of which those without labels are left out.

        Raises:
            DataError: a cell of the manifest is not what it should be.
        """
        maps = prediction.detach().float().cpu()
        valid = torch.ones_like(maps) if batch.valid is None else batch.valid.cpu()
        for row, columns in enumerate(batch.columns):
            if columns.get("changes") and valid[row].any():
                self._add_pair(row, batch, maps[row, 0].numpy(), valid[row, 0].bool().numpy())

    def extend(self, other: "Localisation") -> None:
        """Take in what another has gathered."""
        self.cases += other.cases
        self.pairs += other.pairs

    def _add_pair(
        self, row: int, batch: PairBatch, values: NDArray[np.float32], valid: NDArray[np.bool_]
    ) -> None:
        columns, known = batch.columns[row], {"id": batch.id[row], "patient_id": batch.patient_id[row]}
        square = Geometry(height=values.shape[0], width=values.shape[1])
        followup, baseline = batch.geometry[row] or square, batch.geometry_baseline[row] or square
        place = f"of pair {batch.id[row]!r}"
        changes = changes_of(columns["changes"], f"changes {place}")
        for change in changes:
            if change.followup or change.baseline:
                inside = boxes_of_change(change, len(values), followup, baseline)
                scores = box_scores(towards(values, change, signed=self.signed)[valid], inside[valid])
                finding, progression = change.finding, change.progression
                self.cases.append(Case(**known, finding=finding, progression=progression, scores=scores))
        if cell := columns.get("followup_lungs"):
            mask = torch.from_numpy(mask_of(cell, f"followup_lungs {place}"))
            valid = valid & mask_in_square(mask, len(values), followup)[0].numpy()
        if valid.any():
            mass, rise = float(np.abs(values[valid]).mean()), float(values[valid].mean())
            labels = tuple((change.finding, change.progression) for change in changes)
            self.pairs.append(LabelledPair(**known, mass=mass, rise=rise, labels=labels))


def by_change(methods: Mapping[str, Localisation], column: str, *, replicates: int) -> dict[str, Estimate]:
    """Means of the scores for each `progression` or `finding` that occurs, and for all that changed.

    Args:
        methods: the scores of each method on the same pairs.
        column: what to group changes by.
        replicates: of the bootstrap over patients, by which intervals are found; 0 for none.
    """
    cases = next(iter(methods.values())).cases
    named = sorted({str(getattr(case, column)) for case in cases}, key=_in_order)
    groups = {
        name: [row for row, case in enumerate(cases) if getattr(case, column) == name] for name in named
    }
    groups["changed"] = [row for row, case in enumerate(cases) if case.progression != "stable"]
    return {
        name: _estimate([cases[row].patient_id for row in rows], _scores_of(methods, rows), replicates)
        for name, rows in groups.items()
        if rows
    }


def by_label(methods: Mapping[str, Localisation], *, replicates: int) -> dict[str, Estimate]:
    """How well the map's mean magnitude in the lungs tells changed pairs from stable ones.

    Of signed maps also how well their mean tells rising attenuation from falling, of pairs with one of both.
    By finding, and for all together (`all`). The arguments are those of `by_change`.
    """
    pairs = next(iter(methods.values())).pairs
    findings = sorted({finding for pair in pairs for finding, _ in pair.labels})
    groups = {name: [name] for name in findings} | ({"all": findings} if findings else {})
    return {name: _of_labels(methods, meant, replicates) for name, meant in groups.items()}


def _of_labels(methods: Mapping[str, Localisation], findings: Sequence[str], replicates: int) -> Estimate:
    """Over the pairs that have a label of one of the findings."""
    pairs = next(iter(methods.values())).pairs
    labels = [[label for label in pair.labels if label[0] in findings] for pair in pairs]
    rows = [row for row, meant in enumerate(labels) if meant]
    changed = np.array([any(word != "stable" for _, word in labels[row]) for row in rows])
    directions = [{direction_of(*label) for label in labels[row]} - {0} for row in rows]
    one_way, rising = (np.array([test(found) for found in directions]) for test in (_is_one, _rises))
    numbers: dict[str, dict[str, Number]] = {}
    for method, scores in methods.items():
        mass, rise = (
            np.array([getattr(scores.pairs[row], name) for row in rows]) for name in ("mass", "rise")
        )
        numbers[method] = {"label_auroc": partial(weighted_auroc, mass, changed)}
        if scores.signed:
            numbers[method]["direction_auroc"] = partial(_auroc_of_some, rise, rising, one_way)
    return _estimate([pairs[row].patient_id for row in rows], numbers, replicates)


def weighted_auroc(score: Values, positive: NDArray[np.bool_], weights: Values) -> Values:
    """AUROC `[R]` of scores `[N]` that count as often as weights `[R, N]` say; NaN where there is none."""
    if not len(score):
        return np.full(len(weights), np.nan)
    order = np.argsort(score, kind="stable")
    first = np.flatnonzero(np.diff(score[order], prepend=-np.inf))
    sides = (weights[:, order] * side[order] for side in (positive, ~positive))
    above, below = (np.add.reduceat(side, first, axis=1) for side in sides)
    won = above * (np.cumsum(below, axis=1) - below / 2)
    with np.errstate(invalid="ignore"):
        return won.sum(1) / (above.sum(1) * below.sum(1))


def _iou_at_equal_area(score: NDArray[np.floating], inside: NDArray[np.bool_], count: int) -> float:
    least = np.partition(score, -count)[-count]
    above, equal = score > least, score == least
    taken = (count - above.sum()) / equal.sum()
    shared = inside[above].sum() + taken * inside[equal].sum()
    return float(shared / (2 * count - shared))


def _contrast(inside: NDArray[np.floating], outside: NDArray[np.floating]) -> float | None:
    difference, noise = inside.mean() - outside.mean(), math.sqrt(inside.var() + outside.var())
    if noise == 0:
        return 0.0 if difference == 0 else None
    return float(difference / noise)


def _scores_of(methods: Mapping[str, Localisation], rows: Sequence[int]) -> dict[str, dict[str, Number]]:
    return {
        method: {
            name: partial(_mean, np.array([scores.cases[row].scores[name] for row in rows], np.float64))
            for name in SCORES
        }
        for method, scores in methods.items()
    }


def _mean(values: Values, weights: Values) -> Values:
    """Of values `[N]`, of which those that are NaN do not count, as often as `weights` `[R, N]` say."""
    counted = weights * ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return counted @ np.nan_to_num(values) / counted.sum(1)


def _auroc_of_some(
    score: Values, positive: NDArray[np.bool_], some: NDArray[np.bool_], weights: Values
) -> Values:
    return weighted_auroc(score[some], positive[some], weights[:, some])


def _estimate(
    patients: Sequence[str], numbers: Mapping[str, Mapping[str, Number]], replicates: int
) -> Estimate:
    """What numbers of cases of these patients come to, and what they are when patients are drawn anew."""
    names, patient = np.unique(patients, return_inverse=True)
    values = {
        method: {name: number(np.ones((1, len(patients))))[0] for name, number in of.items()}
        for method, of in numbers.items()
    }
    drawn = {}
    if len(names) > 1 and replicates:
        weights = resample(len(names), replicates)[:, patient]
        drawn = {
            method: {name: number(weights) for name, number in of.items()} for method, of in numbers.items()
        }
    return Estimate(len(patients), len(names), values, drawn)


def _in_order(name: str) -> tuple[int, str]:
    return (PROGRESSIONS.index(name) if name in PROGRESSIONS else len(PROGRESSIONS), name)


def _is_one(directions: set[int]) -> bool:
    return len(directions) == 1


def _rises(directions: set[int]) -> bool:
    return 1 in directions
