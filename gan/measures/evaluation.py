"""Maps of several methods on the same pairs: collected batch by batch, and judged in the end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data.batch import PairBatch
from gan.measures.bootstrap import interval, resample
from gan.measures.groups import Group, groups_of
from gan.measures.pairs import PairSums, directed, measure
from gan.measures.scores import BINS, EDGES, Values, best_threshold

REPLICATES = 1000
Maps = Mapping[str, Tensor]
"""A change map `[B, 1, H, W]` of each method."""


@dataclass(frozen=True)
class Pair:
    """What is known of a pair besides its images."""

    place: int
    """Which one it is of those that were looked at, counted from 0."""
    id: str
    patient_id: str
    findings: tuple[str, ...]
    columns: Mapping[str, str]


@dataclass
class Tally:
    """Collects what the methods make of each pair.

    Args:
        signed: what maps mean.
        thresholds: the bin from which a pixel is marked, of each method; without them, lesions and
            overlaps are left out.
    """

    signed: bool
    thresholds: Mapping[str, int] | None = None
    _seen: int = 0
    _pairs: list[Pair] = field(default_factory=list)
    _parts: dict[str, list[PairSums]] = field(default_factory=dict)

    def add(
        self,
        maps: Maps,
        batch: PairBatch,
        further: Mapping[str, Mapping[str, Sequence[float]]] | None = None,
    ) -> None:
        """Take in one batch.

        A pair without a pixel that counts stands in for one that could not be read, and is left out.

        Args:
            maps: of every method.
            batch: the pairs; a target that is not known is NaN.
            further: of methods, numbers of each pair; see `measure`.
        """
        target = batch.target if batch.target is not None else torch.full_like(batch.followup, torch.nan)
        valid = torch.ones_like(target) if batch.valid is None else batch.valid
        counts = valid.flatten(1).any(1)
        kept = counts.nonzero()[:, 0].tolist()
        for name, prediction in maps.items() if kept else ():
            sums = measure(
                prediction[counts].float(),
                target[counts].float(),
                valid[counts].bool(),
                signed=self.signed,
                threshold=self.thresholds[name] if self.thresholds else None,
                further={
                    key: [values[pair] for pair in kept]
                    for key, values in (further or {}).get(name, {}).items()
                },
            )
            self._parts.setdefault(name, []).append(sums)
        patients, columns = batch.patient_id or batch.id, batch.columns or [{}] * len(batch)
        self._pairs += [
            Pair(self._seen + i, batch.id[i], patients[i], batch.findings[i], columns[i]) for i in kept
        ]
        self._seen += len(batch)

    def extend(self, other: "Tally") -> None:
        """Take in what another has collected, of pairs that come after these."""
        self._pairs += [replace(pair, place=self._seen + pair.place) for pair in other._pairs]
        for name, parts in other._parts.items():
            self._parts.setdefault(name, []).extend(parts)
        self._seen += other._seen

    def judge(self) -> "Evaluation":
        """What all pairs come to.

        Raises:
            ValueError: there is none.
        """
        if not self._pairs:
            raise ValueError("no pair could be read; there is nothing to judge")
        sums = {name: PairSums.joined(parts) for name, parts in self._parts.items()}
        return Evaluation(self._pairs, sums, self.thresholds)


@dataclass(frozen=True)
class Evaluation:
    """What the methods make of every pair."""

    pairs: list[Pair]
    sums: Mapping[str, PairSums]
    thresholds: Mapping[str, int] | None

    @property
    def methods(self) -> list[str]:
        """Their names."""
        return list(self.sums)

    @property
    def signed(self) -> bool:
        """Whether maps tell the direction of a change."""
        return self._any.signed

    @cached_property
    def patients(self) -> list[str]:
        """Their names, one a pair."""
        return [pair.patient_id for pair in self.pairs]

    @property
    def known(self) -> int:
        """Pairs whose change is known."""
        return int(self._any.others["known"].sum())

    @property
    def changed(self) -> int:
        """Pairs in which something changed."""
        return int(self._any.others["changed"].sum())

    @property
    def changed_share(self) -> float | None:
        """The share of pixels that changed."""
        pixels = self._any.others["pixels"].sum()
        return float(self._any.others["changed_pixels"].sum() / pixels) if pixels else None

    def best_thresholds(self) -> dict[str, int]:
        """Of each method the bin from which its marks overlap best with change, as a mean over pairs.

        Raises:
            ValueError: nothing changed.
        """
        return {name: best_threshold(directed(dense_scores(sums))) for name, sums in self.sums.items()}

    def cases(self) -> dict[str, dict[str, Values]]:
        """The numbers of every pair, by method."""
        return {name: sums.numbers() for name, sums in self.sums.items()}

    def groups(self, column: str) -> list[Group]:
        """The pairs by what a column says of them; see `groups_of`."""
        shares = np.divide(
            self._any.others["changed_pixels"],
            self._any.others["pixels"],
            out=np.full(len(self.pairs), np.nan),
            where=self._any.others["changed"] > 0,
        )
        return groups_of(column, self.pairs, shares)

    def estimate(
        self, chosen: NDArray[np.integer] | None = None, *, replicates: int = REPLICATES, seed: int = 0
    ) -> "Estimate":
        """Numbers of all pairs, or of some, with their bootstrap replicates where there are two patients."""
        every = np.arange(len(self.pairs)) if chosen is None else chosen
        names, patient = np.unique([self.patients[pair] for pair in every], return_inverse=True)
        weights = resample(len(names), replicates, seed) if len(names) > 1 and replicates else None
        values, drawn = {}, {}
        for method, sums in self.sums.items():
            of_patients = sums.select(every).grouped(patient, len(names))
            values[method] = {name: value[0] for name, value in of_patients.total().items()}
            if weights is not None:
                drawn[method] = of_patients.replicates(weights)
        return Estimate(len(every), len(names), values, drawn)

    @property
    def _any(self) -> PairSums:
        return next(iter(self.sums.values()))


def dense_scores(sums: PairSums) -> NDArray[np.generic]:
    """Histograms `[N, K, 2, BINS]`."""
    return sums.scores.toarray().reshape(len(sums), -1, 2, BINS)


@dataclass(frozen=True)
class Estimate:
    """Numbers of some pairs, by method and name, and what they are when patients are drawn anew."""

    pairs: int
    patients: int
    values: Mapping[str, Mapping[str, Values]]
    replicates: Mapping[str, Mapping[str, Values]]
    """`[R, ...]`; empty without replicates."""

    def described(self, method: str, name: str) -> dict[str, Any]:
        """A number, or a row of numbers, as `value`, `low` and `high`, ready for JSON."""
        drawn = self.replicates[method][name] if self.replicates else None
        return self._described(self.values[method][name], drawn)

    def difference(self, first: str, second: str, name: str) -> dict[str, Any]:
        """The same of a difference of two methods on the same drawn patients."""
        drawn = self.replicates[first][name] - self.replicates[second][name] if self.replicates else None
        return self._described(self.values[first][name] - self.values[second][name], drawn)

    def _described(self, value: Values, drawn: Values | None) -> dict[str, Any]:
        if drawn is None:
            return {"value": plain(value)}
        low, high = interval(drawn, self.patients)
        return {"value": plain(value), "low": plain(low), "high": plain(high)}


def plain(value: Values) -> Any:
    """Numbers ready for JSON, None for NaN."""
    if value.ndim:
        return [plain(part) for part in value]
    return None if np.isnan(value) else float(value)


def edge(level: int) -> float:
    """The lowest score of a bin."""
    return float(EDGES[level])
