"""How far a run is."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

Terms = dict[str, Tensor]
"""Raw, unweighted numbers of a step by name; they stay on the device."""


@dataclass
class Progress:
    """How far a run is; saved in every checkpoint."""

    step: int = 0
    """Optimiser steps made."""
    best: float | None = None
    """Best value so far of the number that chooses the model to keep."""
    best_step: int | None = None
    """The step at which the model that is kept was the one trained."""
    samples: int | None = None
    """Samples of an optimiser step, in all processes together."""
    identity: dict[str, Any] = field(default_factory=dict)
    """What must not change when the run is resumed, since the step counts on it."""
    sums: dict[str, Tensor] = field(default_factory=dict)
    """Sums of the terms since the last line of the log; they stay on the device."""
    counts: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, Tensor] = field(default_factory=dict)
    """Of the counts, how many steps were left out and are in no sum; on the device."""
    skipped: Tensor = field(default_factory=lambda: torch.zeros(()))
    """Steps left out since the run began."""

    def add(self, terms: Mapping[str, Tensor], left_out: Tensor | None = None) -> None:
        """Take one step's terms into the running means; `left_out`, of a step, is 1 where it was, else 0."""
        if left_out is not None:
            self.skipped = self.skipped.to(left_out.device) + left_out
        for name, value in terms.items():
            value = value.detach()
            if left_out is not None:
                value = torch.where(left_out > 0, torch.zeros_like(value), value)
                self.left_out[name] = self.left_out.get(name, 0) + left_out
            self.sums[name] = self.sums[name] + value if name in self.sums else value.clone()
            self.counts[name] = self.counts.get(name, 0) + 1

    def take_means(self, accelerator: Accelerator) -> dict[str, float]:
        """Means since the last call, over all processes; the only place where terms leave the device."""
        if not self.sums:
            return {}
        names = sorted(self.sums)
        counts = [self.counts[name] - self.left_out.get(name, 0) for name in names]
        means = torch.stack(
            [self.sums[name].float() / count for name, count in zip(names, counts, strict=True)]
        )
        means = accelerator.reduce(means, reduction="mean")
        self.sums, self.counts, self.left_out = {}, {}, {}
        found = zip(names, means.tolist(), strict=True)
        return {name: mean for name, mean in found if not math.isnan(mean)}  # all of its steps were left out

    def state_dict(self) -> dict[str, Any]:
        """Everything of it, on the CPU."""
        sums = {name: value.cpu() for name, value in self.sums.items()}
        return {
            "step": self.step,
            "best": self.best,
            "best_step": self.best_step,
            "identity": dict(self.identity),
            "sums": sums,
            "counts": dict(self.counts),
            "left_out": {name: value.cpu() for name, value in self.left_out.items()},
            "skipped": self.skipped.cpu(),
        }

    def load_state_dict(self, state: Mapping[str, Any], device: torch.device) -> None:
        """Continue from `state_dict()`."""
        self.step, self.best, self.counts = state["step"], state["best"], dict(state["counts"])
        self.best_step = state.get("best_step")
        self.identity = dict(state["identity"])
        self.sums = {name: value.to(device) for name, value in state["sums"].items()}
        self.left_out = {name: value.to(device) for name, value in state.get("left_out", {}).items()}
        self.skipped = state.get("skipped", torch.zeros(())).to(device)


def mean_state(states: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The state of several processes as one: they differ in their sums only, of which means are taken."""
    first, *others = states
    if not others:
        return first
    names = first["sums"]
    return {**first, "sums": {name: torch.stack([x["sums"][name] for x in states]).mean(0) for name in names}}
