"""What changes between the two radiographs of a pair: which findings appear, resolve, or stay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from data.config import FINDINGS, Finding


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """What changes between baseline and followup."""

    appearing: tuple[Finding, ...] = ()
    resolving: tuple[Finding, ...] = ()
    stable: tuple[Finding, ...] = ()

    @property
    def changing(self) -> tuple[Finding, ...]:
        """Findings present in one image only, in the order of the registry."""
        changed = {*self.appearing, *self.resolving}
        return tuple(name for name in FINDINGS if name in changed)

    @property
    def present(self) -> tuple[tuple[Finding, ...], tuple[Finding, ...]]:
        """Findings that the baseline and that the followup shows, in the order of the registry."""
        old, new = {*self.resolving, *self.stable}, {*self.appearing, *self.stable}
        return tuple(x for x in FINDINGS if x in old), tuple(x for x in FINDINGS if x in new)

    @classmethod
    def draw(
        cls, changing: Sequence[Finding], stable: Sequence[Finding], rng: np.random.Generator
    ) -> Scenario:
        """Each changing finding appears or resolves, equally likely."""
        appears = [rng.random() < 0.5 for _ in changing]
        return cls(
            appearing=tuple(name for name, new in zip(changing, appears, strict=True) if new),
            resolving=tuple(name for name, new in zip(changing, appears, strict=True) if not new),
            stable=tuple(stable),
        )


def draw_in_turns(
    findings: Sequence[Finding],
    pairs: int,
    rng: np.random.Generator,
    *,
    unchanged: float,
    second: float,
    stable: float,
) -> list[Scenario]:
    """One scenario for every pair of a patient. Findings take turns, so each is equally frequent.

    Args:
        findings: what can change.
        pairs: how many scenarios.
        rng: source of randomness.
        unchanged: probability that nothing changes.
        second: probability that a second finding changes where one does.
        stable: probability that a finding is present in both images and therefore no part of the target.
    """
    turns = [findings[i] for i in rng.permutation(len(findings))]
    scenarios = []
    for pair in range(pairs):
        first = turns[pair % len(turns)]
        others = [turns[i] for i in rng.permutation(len(turns)) if turns[i] != first]
        changing: tuple[Finding, ...] = () if rng.random() < unchanged else (first,)
        if changing and others and rng.random() < second:
            changing = (first, others.pop())
        staying = (others.pop(),) if others and rng.random() < stable else ()
        scenarios.append(Scenario.draw(changing, staying, rng))
    return scenarios
