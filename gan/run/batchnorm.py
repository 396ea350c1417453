"""Batch statistics over all processes: those of the whole batch, as one process would see it."""

from typing import TypeVar

import torch
from accelerate import Accelerator
from torch import Tensor, distributed, nn
from torch.distributed.nn.functional import all_reduce
from torch.nn.modules.batchnorm import _BatchNorm

ModuleT = TypeVar("ModuleT", bound=nn.Module)


def synchronised(accelerator: Accelerator, model: ModuleT) -> ModuleT:
    """The model with BatchNorm layers over all processes; its tensors keep their names."""
    if accelerator.num_processes == 1:
        return model
    if accelerator.device.type == "cuda":
        converted: ModuleT = nn.SyncBatchNorm.convert_sync_batchnorm(model)
        return converted
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            module.__class__ = _SyncBatchNorm
    return model


class _SyncBatchNorm(_BatchNorm):
    """What `torch.nn.SyncBatchNorm` is on a GPU, for a CPU.

    Source: Ioffe and Szegedy, "Batch Normalization", ICML 2015, algorithm 1.
    """

    def _check_input_dim(self, input: Tensor) -> None:
        """Any number of dimensions, channels second."""

    def forward(self, input: Tensor) -> Tensor:
        """`[B, C, ...] -> [B, C, ...]`."""
        if not self.training or not distributed.is_initialized():
            return super().forward(input)
        dims, shape = [0, *range(2, input.ndim)], (1, -1, *[1] * (input.ndim - 2))
        count = all_reduce(input.new_tensor(float(input.numel() // input.shape[1])))
        mean = all_reduce(input.sum(dims)) / count
        centred = input - mean.view(shape)
        variance = all_reduce(centred.square().sum(dims)) / count
        self._follow(mean.detach(), variance.detach() * count / (count - 1).clamp(min=1))
        normalised = centred * torch.rsqrt(variance + self.eps).view(shape)
        return (
            normalised
            if self.weight is None
            else normalised * self.weight.view(shape) + self.bias.view(shape)
        )

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        """Move the running statistics, as `nn.BatchNorm1d` does."""
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked += 1
        momentum = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, momentum)
        self.running_var.lerp_(variance, momentum)
