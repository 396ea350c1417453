"""One model that learns from one loss; what stages without a game between two networks are made of."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from gan.run.batchnorm import synchronised
from gan.run.optim import BatchT, channels_last, decay_groups, optimiser_step, set_learning_rate, shares
from gan.run.options import OptimConfig


@dataclass
class Learner:
    """A model and its optimiser on the devices."""

    accelerator: Accelerator
    model: nn.Module
    optimizer: Optimizer
    optim: OptimConfig

    @classmethod
    def prepare(cls, accelerator: Accelerator, model: nn.Module, optim: OptimConfig) -> "Learner":
        """Put a model and an AdamW for it on the devices."""
        model = synchronised(accelerator, channels_last(model))
        groups = decay_groups(model.parameters(), optim.weight_decay)
        optimizer = AdamW(groups, lr=optim.lr, betas=(0.9, 0.95), fused=True)
        model, optimizer = accelerator.prepare(model, optimizer)
        return cls(accelerator, model, optimizer, optim)

    @property
    def network(self) -> nn.Module:
        """The model without what several processes wrap it in."""
        network: nn.Module = self.accelerator.unwrap_model(self.model)
        return network

    def set_rate(self, step: int, total: int) -> None:
        """The learning rate of optimiser step `step` of `total`."""
        set_learning_rate(self.optimizer, self.optim.lr, self.optim, step=step, total=total)

    def descend(
        self, batches: Sequence[BatchT], counts: Sequence[Tensor], loss: Callable[[BatchT], Tensor]
    ) -> Tensor:
        """One optimiser step on a loss that is a mean over what counts.

        Args:
            batches: of this process.
            counts: how much counts in each of them.
            loss: of a batch.

        Returns:
            The loss of all batches, detached; that of all processes is the mean over these.
        """
        total = torch.zeros((), device=self.accelerator.device)
        for batch, share in shares(self.accelerator, batches, self.model, counts=counts):
            value = share * loss(batch)
            self.accelerator.backward(value)
            total = total + value.detach()
        optimiser_step(self.accelerator, self.optimizer, clip=self.model, clip_norm=self.optim.clip_norm)
        return total
