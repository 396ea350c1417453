"""The gradient of each term at the generator's last layer: who pulls how hard at the maps."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from gan.adversarial.game import NORM_ADVERSARIAL, NORM_OTHERS

ADVERSARIAL = "adversarial"
SHARE = "gradient/"
"""Before the name of a term, in the log."""


def last_layer(generator: nn.Module) -> nn.Parameter:
    """The last trained matrix or kernel among a generator's parameters; any other, where it has none."""
    trained = [parameter for parameter in generator.parameters() if parameter.requires_grad]
    return next((parameter for parameter in reversed(trained) if parameter.ndim > 1), trained[-1])


@dataclass
class LastLayer:
    """Adds up the gradients of raw terms over the batches of one step."""

    accelerator: Accelerator
    parameter: nn.Parameter
    gradients: dict[str, Tensor] = field(default_factory=dict)

    def add(self, terms: Mapping[str, Tensor], share: Tensor | float) -> None:
        """Take in the terms of one batch and its share of the samples; their graphs stay."""
        scaler = self.accelerator.scaler
        for name, term in terms.items():
            scaled = term if scaler is None else scaler.scale(term)  # only ratios are of interest
            (gradient,) = torch.autograd.grad(scaled, self.parameter, retain_graph=True, allow_unused=True)
            if gradient is not None:
                self.gradients[name] = self.gradients.get(name, 0) + share * gradient.float()

    def norms(self) -> dict[str, Tensor]:
        """The norm of the gradient of each raw term, over all processes."""
        return {
            name: self.accelerator.reduce(gradient, reduction="mean").norm()
            for name, gradient in self.gradients.items()
        }


def shares_of(norms: Mapping[str, Tensor], weights: Mapping[str, Tensor | float]) -> dict[str, Tensor]:
    """Each weighted term's share of the sum of all norms, by its name in the log; 0 where there is no sum.

    With float16 a gradient may overflow here where the step itself is left out; that is no divergence.
    """
    if not norms:
        return {}
    weighted = torch.stack([weights[name] * norm for name, norm in norms.items()])
    shares = torch.nan_to_num(weighted / weighted.sum(), nan=0.0)
    return {f"{SHARE}{name}": share for name, share in zip(norms, shares, strict=True)}


def sides_of(norms: Mapping[str, Tensor], weights: Mapping[str, Tensor | float]) -> dict[str, Tensor]:
    """What the adversarial term's weight follows from: its raw norm, and those of all others, weighted."""
    if ADVERSARIAL not in norms:
        return {}
    others = [weights[name] * norm for name, norm in norms.items() if name != ADVERSARIAL]
    return {NORM_ADVERSARIAL: norms[ADVERSARIAL], NORM_OTHERS: torch.stack(others).sum()} if others else {}
