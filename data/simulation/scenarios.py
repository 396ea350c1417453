"""What changes between the two radiographs of a pair: which findings appear, resolve, or stay."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self, TypeVar

import numpy as np

from data.config import ScenarioOptions
from data.findings import FINDINGS, Finding


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """What changes between baseline and followup."""

    appearing: tuple[Finding, ...] = ()
    resolving: tuple[Finding, ...] = ()
    stable: tuple[Finding, ...] = ()

    @property
    def changing(self) -> tuple[Finding, ...]:
        """Findings present in one image only, in the order of the table."""
        changed = {*self.appearing, *self.resolving}
        return tuple(name for name in FINDINGS if name in changed)

    @property
    def present(self) -> tuple[tuple[Finding, ...], tuple[Finding, ...]]:
        """Findings that the baseline and that the followup shows, in the order of the registry."""
        old, new = {*self.resolving, *self.stable}, {*self.appearing, *self.stable}
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
    turns = [findings[i] for i in rng.permutation(len(findings))]
    scenarios = []
    for pair in range(pairs):
        first = turns[pair % len(turns)]
        others = [turns[i] for i in rng.permutation(len(turns)) if turns[i] != first]
        changing: tuple[Finding, ...] = () if rng.random() < shares.unchanged else (first,)
        if changing and others and rng.random() < shares.second:
            changing = (first, others.pop())
        staying = (others.pop(),) if others and rng.random() < shares.stable else ()
        scenarios.append(Scenario.draw(changing, staying, rng))
    return scenarios


def draw_by_weight(
    weights: Mapping[Finding, float], shares: ScenarioOptions, rng: np.random.Generator
) -> Scenario:
    """The scenario of one pair, whatever others there are. Findings are as frequent as they weigh."""
    changes = rng.random() >= shares.unchanged
    second = changes and rng.random() < shares.second
    stays = rng.random() < shares.stable
    left = {name: weight for name, weight in weights.items() if weight > 0}
    drawn = [_take(left, rng) if wanted else () for wanted in (changes, second, stays)]
    return Scenario.draw((*drawn[0], *drawn[1]), drawn[2], rng)


def _take(left: dict[Finding, float], rng: np.random.Generator) -> tuple[Finding, ...]:
    """Take one finding out of those that are left; none where none is."""
    if not left:
        return ()
    weights = np.array(list(left.values()))
    name = list(left)[int(rng.choice(len(left), p=weights / weights.sum()))]
    del left[name]
    return (name,)


class Place(Protocol):
    """What findings are put into: a thorax, or a radiograph."""

    def with_change(self, change: Any) -> Self:
        """The same with a finding in it."""


PlaceT = TypeVar("PlaceT", bound=Place)
ChangeT = TypeVar("ChangeT")


def play(
    scenario: Scenario, place: PlaceT, draw: Callable[[PlaceT, Finding], ChangeT]
) -> tuple[list[ChangeT], list[ChangeT], list[ChangeT]]:
    """Draw the stable, the appearing and the resolving findings.

    Each is drawn into what it meets: the stable ones are there before any other.

    Args:
        scenario: which findings.
        place: what they are put into.
        draw: one finding, drawn into the place as it is by then.
    """
    stable, place = _put(scenario.stable, place, draw)
    return stable, _put(scenario.appearing, place, draw)[0], _put(scenario.resolving, place, draw)[0]


def _put(
    names: Sequence[Finding], place: PlaceT, draw: Callable[[PlaceT, Finding], ChangeT]
) -> tuple[list[ChangeT], PlaceT]:
    changes = []
    for name in names:
        changes.append(draw(place, name))
        place = place.with_change(changes[-1])
    return changes, place
