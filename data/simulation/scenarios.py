"""What changes between the two radiographs of a pair: which findings appear, resolve, or stay."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from data.config import ScenarioOptions, changing
from data.findings import CHANGED, FINDINGS, Finding


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """What changes between baseline and followup."""

    appearing: tuple[Finding, ...] = ()
    resolving: tuple[Finding, ...] = ()
    stable: tuple[Finding, ...] = ()
    arriving: tuple[Finding, ...] = ()
    """Nuisances that only the followup shows; no part of the target."""
    leaving: tuple[Finding, ...] = ()
    """Nuisances that only the baseline shows."""

    @property
    def changing(self) -> tuple[Finding, ...]:
        """Findings present in one image only, in the order of the table."""
        changed = {*self.appearing, *self.resolving}
        return tuple(name for name in FINDINGS if name in changed)

    @property
    def present(self) -> tuple[tuple[Finding, ...], tuple[Finding, ...]]:
        """Findings that the baseline and that the followup shows, in the order of the registry."""
        old = {*self.resolving, *self.stable, *self.leaving}
        new = {*self.appearing, *self.stable, *self.arriving}
        return tuple(x for x in FINDINGS if x in old), tuple(x for x in FINDINGS if x in new)

    @classmethod
    def draw(cls, changing: Sequence[Finding], stable: Sequence[Finding], rng: np.random.Generator) -> Self:
        """Each changing finding appears or resolves, equally likely."""
        appears = [rng.random() < 0.5 for _ in changing]
        return cls(
            appearing=tuple(name for name, new in zip(changing, appears, strict=True) if new),
            resolving=tuple(name for name, new in zip(changing, appears, strict=True) if not new),
            stable=tuple(stable),
        )


def draw_in_turns(
    findings: Sequence[Finding], pairs: int, shares: ScenarioOptions, rng: np.random.Generator
) -> list[Scenario]:
    """One scenario for every pair of a patient. Findings take turns, so each is equally frequent."""
    can_change = changing(findings, shares)
    turns = [can_change[i] for i in rng.permutation(len(can_change))]
    scenarios = []
    for change in range(math.ceil(pairs / shares.views_per_change)):
        first = turns[change % len(turns)]
        others = [turns[i] for i in rng.permutation(len(turns)) if turns[i] != first]
        chosen: tuple[Finding, ...] = () if rng.random() < shares.unchanged else (first,)
        if chosen and others and rng.random() < shares.second:
            chosen = (first, others.pop())
        staying = (others.pop(),) if others and rng.random() < shares.stable else ()
        scenarios.append(_disturbed(Scenario.draw(chosen, staying, rng), shares, rng))
    return [scenario for scenario in scenarios for _ in range(shares.views_per_change)][:pairs]


def draw_by_weight(
    weights: Mapping[Finding, float], shares: ScenarioOptions, rng: np.random.Generator
) -> Scenario:
    """The scenario of one pair, whatever others there are. Findings are as frequent as they weigh."""
    changes = rng.random() >= shares.unchanged
    second = changes and rng.random() < shares.second
    stays = rng.random() < shares.stable
    left = {name: weights[name] for name in changing(weights, shares) if weights[name] > 0}
    drawn = [_take(left, rng) if wanted else () for wanted in (changes, second, stays)]
    return _disturbed(Scenario.draw((*drawn[0], *drawn[1]), drawn[2], rng), shares, rng)


def _take(left: dict[Finding, float], rng: np.random.Generator) -> tuple[Finding, ...]:
    """Take one finding out of those that are left; none where none is."""
    if not left:
        return ()
    weights = np.array(list(left.values()))
    name = list(left)[int(rng.choice(len(left), p=weights / weights.sum()))]
    del left[name]
    return (name,)


def _disturbed(scenario: Scenario, shares: ScenarioOptions, rng: np.random.Generator) -> Scenario:
    """With a nuisance that comes, goes or is moved, equally likely, as often as asked."""
    if not shares.nuisances or rng.random() >= shares.nuisance:
        return scenario
    name = (shares.nuisances[int(rng.integers(len(shares.nuisances)))],)
    arriving, leaving = ((name, ()), ((), name), (name, name))[int(rng.integers(3))]
    return replace(scenario, arriving=arriving, leaving=leaving)


def columns_of(scenario: Scenario, target: NDArray[np.float32]) -> dict[str, str]:
    """What a pair shows, by the names of a manifest's columns, for numbers to be broken down by.

    Args:
        scenario: what changes.
        target: the signed change `[H, W]` in [-1, 1].

    Returns:
        `direction` (appearing, resolving, both, unchanged), `stable` and `nuisances` (names joined by +, or
        none) and, where something changed, `size` (share of the image that did) and `contrast` (the largest
        change).
    """
    directions = {(True, True): "both", (True, False): "appearing", (False, True): "resolving"}
    change = np.abs(target)
    columns = {
        "direction": directions.get((bool(scenario.appearing), bool(scenario.resolving)), "unchanged"),
        "stable": "+".join(scenario.stable) or "none",
        "nuisances": "+".join(dict.fromkeys((*scenario.arriving, *scenario.leaving))) or "none",
    }
    if scenario.changing:
        columns |= {"size": f"{(change > CHANGED).mean():.4f}", "contrast": f"{change.max():.3f}"}
    return columns


class Place(Protocol):
    """What findings are put into: a thorax, or a radiograph."""

    def with_change(self, change: Any) -> Self:
        """The same with a finding in it."""


PlaceT = TypeVar("PlaceT", bound=Place)
ChangeT = TypeVar("ChangeT")


@dataclass(frozen=True, kw_only=True)
class Played(Generic[ChangeT]):
    """What the findings of a scenario look like; the fields are those of the scenario."""

    stable: list[ChangeT]
    appearing: list[ChangeT]
    resolving: list[ChangeT]
    arriving: list[ChangeT]
    leaving: list[ChangeT]

    def totals(self, total: Callable[[list[ChangeT]], NDArray[np.float32]]) -> Sequence[NDArray[np.float32]]:
        """What each of the five adds to a film, in the order of the fields."""
        return [
            total(changes)
            for changes in (self.stable, self.appearing, self.resolving, self.arriving, self.leaving)
        ]


def play(scenario: Scenario, place: PlaceT, draw: Callable[[PlaceT, Finding], ChangeT]) -> Played[ChangeT]:
    """Draw the findings of a scenario.

    Each is drawn into what it meets: the stable ones are there before any other.

    Args:
        scenario: which findings.
        place: what they are put into.
        draw: one finding, drawn into the place as it is by then.
    """
    stable, place = _put(scenario.stable, place, draw)
    appearing, resolving = (_put(names, place, draw)[0] for names in (scenario.appearing, scenario.resolving))
    arriving, leaving = (_put(names, place, draw)[0] for names in (scenario.arriving, scenario.leaving))
    return Played(stable=stable, appearing=appearing, resolving=resolving, arriving=arriving, leaving=leaving)


def _put(
    names: Sequence[Finding], place: PlaceT, draw: Callable[[PlaceT, Finding], ChangeT]
) -> tuple[list[ChangeT], PlaceT]:
    changes = []
    for name in names:
        changes.append(draw(place, name))
        place = place.with_change(changes[-1])
    return changes, place
