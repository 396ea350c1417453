"""Notices a number that is not finite, without a synchronisation at every step."""

import math
from collections.abc import Iterable, Mapping, Sequence

import torch
from accelerate import Accelerator
from torch import Tensor

from data.base.errors import UserError
from gan.run.directory import RunDir


class FiniteWatch:
    """Remembers on the device when each term first was no finite number; asked before all that lasts.

    Args:
        accelerator: whose processes must agree.
        directory: the run, for what to do about it.
    """

    def __init__(self, accelerator: Accelerator, directory: RunDir) -> None:
        self._accelerator = accelerator
        self._sound = f"what {directory.checkpoints} holds is from before"
        self._first: dict[str, Tensor] = {}
        self._samples: dict[int, list[str]] = {}

    def add(self, terms: Mapping[str, Tensor], step: int, samples: Sequence[str]) -> None:
        """Take in the terms of step `step` (from 1) on the samples of these ids."""
        for name, value in terms.items():
            at = torch.where(value.isfinite(), math.inf, float(step))
            self._first[name] = torch.minimum(self._first[name], at) if name in self._first else at
        self._samples[step] = list(samples)

    def require(self) -> None:
        """Stop a run that has diverged; every process calls this.

        Raises:
            UserError: a term, or a parameter, is not finite.
        """
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
                f"parameters are not finite after step {max(samples, default=0)}, although all terms are: a "
                f"gradient overflowed; lower the learning rate or clip_norm; {self._sound}"
            )

    def _parameters_are_finite(self) -> Tensor:
        norms = [norm for model in self._accelerator._models for norm in _norms(model.parameters())]
        return torch.stack(norms).isfinite().all() if norms else torch.tensor(True)


def _norms(parameters: Iterable[Tensor]) -> list[Tensor]:
    """One infinity norm a tensor, in a few fused calls: it is finite only if all of the tensor is."""
    tensors = [parameter.detach() for parameter in parameters]
    return [norm.float() for norm in torch._foreach_norm(tensors, ord=math.inf)] if tensors else []
