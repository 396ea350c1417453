"""How far a run is."""

from collections.abc import Mapping
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
    identity: dict[str, Any] = field(default_factory=dict)
    """What must not change when the run is resumed, since the step counts on it."""
    sums: dict[str, Tensor] = field(default_factory=dict)
    """Sums of the terms since the last line of the log; they stay on the device."""
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, terms: Mapping[str, Tensor]) -> None:
        """Take one batch's terms into the running means."""
        for name, value in terms.items():
            self.sums[name] = (
                self.sums[name] + value.detach() if name in self.sums else value.detach().clone()
            )
            self.counts[name] = self.counts.get(name, 0) + 1

    def take_means(self, accelerator: Accelerator) -> dict[str, float]:
        """Means since the last call, over all processes; the only place where terms leave the device."""
        if not self.sums:
            return {}
        names = sorted(self.sums)
        means = torch.stack([self.sums[name].float() / self.counts[name] for name in names])
        means = accelerator.reduce(means, reduction="mean")
        self.sums, self.counts = {}, {}
        return dict(zip(names, means.tolist(), strict=True))

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
        }

    def load_state_dict(self, state: Mapping[str, Any], device: torch.device) -> None:
        """Continue from `state_dict()`."""
        self.step, self.best, self.counts = state["step"], state["best"], dict(state["counts"])
        self.best_step = state.get("best_step")
        self.identity = dict(state["identity"])
        self.sums = {name: value.to(device) for name, value in state["sums"].items()}
