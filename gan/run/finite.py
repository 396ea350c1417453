"""Notices a number that is not finite, without a synchronisation at every step."""

import math
from collections.abc import Mapping, Sequence

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from data.base.errors import UserError
from gan.run.directory import RunDir
from gan.run.optim import all_finite, diverged, release


class FiniteWatch:
    """Remembers on the device when each term first was no finite number; asked before all that lasts.

    Args:
        accelerator: whose processes must agree.
        directory: the run, for what to do about it.
        kept: modules that are saved and that accelerate has not prepared.
        allowed: steps whose gradient is not finite that are left out before one stops the run.
        skipped: how many have been.
    """

    def __init__(
        self,
        accelerator: Accelerator,
        directory: RunDir,
        kept: Mapping[str, nn.Module] | None = None,
        *,
        allowed: int = 0,
        skipped: int = 0,
    ) -> None:
        self._accelerator = accelerator
        self._allowed = allowed
        self._skipped = torch.full((), float(skipped), device=accelerator.device)
        self._left_out: dict[int, Tensor] = {}
        self._kept = kept or {}
        self._sound = f"what {directory.checkpoints} holds is from before"
        self._first: dict[str, Tensor] = {}
        self._samples: dict[int, list[str]] = {}

    def add(self, terms: Mapping[str, Tensor], step: int, samples: Sequence[str]) -> Tensor | None:
        """Take in the terms of step `step` (from 1) on the samples of these ids.

        Returns:
            On the device, 1 where the step was left out and the next may be made, else 0; None where none may
            be left out.
        """
        gradient = self._gradient()
        left_out = self._leave_out(gradient, step)
        for name, value in {**terms, **gradient}.items():
            fine = value.isfinite() if left_out is None else value.isfinite() | (left_out > 0)
            at = torch.where(fine, math.inf, float(step))
            self._first[name] = torch.minimum(self._first[name], at) if name in self._first else at
        self._samples[step] = list(samples)
        return left_out

    def require(self) -> list[str]:
        """Stop a run that has diverged; every process calls this.

        Returns:
            What is to be said of the steps that were left out since the last call.

        Raises:
            UserError: a term, or a parameter, is not finite.
        """
        news = self._said()
        names, sound = list(self._first), self._parameters_are_finite()
        first = torch.stack([*self._first.values(), torch.where(sound, math.inf, 0.0)])
        firsts = self._accelerator.gather(first[None]).amin(0).tolist()
        samples, self._samples, self._first = self._samples, {}, {}
        step = min(firsts[:-1], default=math.inf)
        if math.isfinite(step):
            name = names[firsts.index(step)]  # terms come before the sums they are part of
            ids = ", ".join(samples.get(int(step), []))
            raise UserError(
                f"{name} is not finite at step {int(step)}, samples {ids}: the run has diverged, or the data "
                f"holds what it should not; look at the samples, or lower the learning rate; {self._sound}"
            )
        if math.isfinite(firsts[-1]):
            raise UserError(
                f"parameters or buffers are not finite after step {max(samples, default=0)}, although all "
                f"terms are; lower the learning rate or clip_norm; {self._sound}"
            )
        return news

    def _leave_out(self, gradient: Mapping[str, Tensor], step: int) -> Tensor | None:
        """Count a step whose gradient is not finite, and have the optimisers go on while that is allowed."""
        if not self._allowed or not gradient:
            return None
        (value,) = gradient.values()
        self._skipped = self._skipped + (~value.isfinite()).float()
        left_out = ((~value.isfinite()) & (self._skipped <= self._allowed)).float()
        for optimizer in self._accelerator._optimizers:
            release(optimizer, left_out)
        self._left_out[step] = left_out
        return left_out

    def _said(self) -> list[str]:
        if not self._left_out:
            return []
        *flags, total = torch.stack([*self._left_out.values(), self._skipped]).tolist()
        steps = [step for step, flag in zip(self._left_out, flags, strict=True) if flag]
        self._left_out = {}
        return [
            f"WARNING: the gradient is not finite at step {step}, samples {', '.join(self._samples[step])}: "
            f"the step is left out ({int(total)} so far, --skip-nonfinite {self._allowed})"
            for step in steps
        ]

    def _gradient(self) -> dict[str, Tensor]:
        """NaN from the step on whose gradient was not finite; a term like the others."""
        flags = [diverged(optimizer) for optimizer in self._accelerator._optimizers]
        known = [flag for flag in flags if flag is not None]
        return {"the gradient": torch.where(torch.stack(known).amax() > 0, math.nan, 0.0)} if known else {}

    def _parameters_are_finite(self) -> Tensor:
        modules = [*self._accelerator._models, *self._kept.values()]
        lasting = [part for module in modules for part in (*module.parameters(), *_quantities(module))]
        return all_finite(part.detach() for part in lasting)


def _quantities(module: nn.Module) -> list[Tensor]:
    """Buffers that are no counts or flags."""
    return [buffer for buffer in module.buffers() if buffer.is_floating_point() and buffer.numel()]
