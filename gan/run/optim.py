"""Parameter groups, learning rates, and the step of an optimiser."""

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, Protocol, TypeVar, cast

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim import Optimizer

from data import PairBatch
from gan.run.options import Schedule
from gan.run.schedules import learning_rate_factor

BatchT = TypeVar("BatchT")
ModuleT = TypeVar("ModuleT", bound=nn.Module)


class Course(Protocol):
    """The options of an optimiser that decide the course of its learning rate."""

    schedule: Schedule
    warmup_steps: int


def decay_groups(parameters: Iterable[nn.Parameter], weight_decay: float) -> list[dict[str, Any]]:
    """Weight decay for matrices and kernels, none for biases, norms and other vectors."""
    parameters = list(parameters)
    return [
        {
            "params": [parameter for parameter in parameters if parameter.ndim > 1],
            "weight_decay": weight_decay,
        },
        {"params": [parameter for parameter in parameters if parameter.ndim <= 1], "weight_decay": 0.0},
    ]


def set_learning_rate(optimizer: Optimizer, peak: float, course: Course, *, step: int, total: int) -> None:
    """The learning rate of optimiser step `step` of `total`."""
    factor = learning_rate_factor(step, total=total, warmup=course.warmup_steps, schedule=course.schedule)
    for group in optimizer.param_groups:
        group["lr"] = peak * factor


def learning_rate(optimizer: Optimizer) -> float:
    """The learning rate of the step just made."""
    rate: float = optimizer.param_groups[0]["lr"]
    return rate


def shares(
    accelerator: Accelerator,
    batches: Sequence[BatchT],
    *models: nn.Module,
    counts: Sequence[Tensor] | None = None,
) -> Iterator[tuple[BatchT, Tensor]]:
    """The batches of one optimiser step of this process, each with its share of it; see `parts`.

    Several processes exchange the gradients of the models at the last batch only.

    Args:
        accelerator: whose processes share the step.
        batches: of this process.
        models: what is trained on them.
        counts: how much counts in each; without it, its samples.
    """
    if counts is None:
        counts = [cast(Any, batch).counted.sum() for batch in batches]
    for number, (batch, share) in enumerate(zip(batches, parts(accelerator, counts), strict=True), start=1):
        with ExitStack() as stack:
            if number < len(batches):
                for model in models:
                    stack.enter_context(accelerator.no_sync(model))
            yield batch, share


def parts(accelerator: Accelerator, counts: Sequence[Tensor]) -> Tensor:
    """What part of an optimiser step each batch of this process is, by how much of it counts.

    Losses that are means over what counts, times these parts, add up to that of one large batch of all
    processes, once gradients are averaged over these.

    Args:
        accelerator: whose processes share the step.
        counts: of each batch, such as its samples or its valid pixels.

    Returns:
        `[batches]` float32, whose sum is 1 in the mean over the processes.
    """
    mine = torch.stack([count.float() for count in counts])
    whole = mine.sum()
    if accelerator.num_processes > 1:
        whole = accelerator.reduce(whole, reduction="mean")
    return mine / whole.clamp(min=torch.finfo(torch.float32).tiny)


def emphasised(accelerator: Accelerator, batches: Sequence[PairBatch]) -> list[PairBatch]:
    """The batches of a step with their emphasis: their part of its pixels against that of its samples."""
    masks = [torch.ones_like(batch.followup) if batch.valid is None else batch.valid for batch in batches]
    pixels = parts(accelerator, [mask.sum() for mask in masks])
    samples = parts(accelerator, [batch.counted.sum() for batch in batches])
    emphases = pixels / samples.clamp(min=torch.finfo(torch.float32).tiny)
    return [replace(batch, emphasis=emphasis) for batch, emphasis in zip(batches, emphases, strict=True)]


def optimiser_step(
    accelerator: Accelerator, *optimizers: Optimizer, clip: nn.Module, clip_norm: float
) -> None:
    """Clip the gradient of one model, then have all optimisers step and clear.

    Where a gradient is not finite nothing moves, neither then nor later, and fused optimisers are `diverged`,
    on the device. With float16 they step together: accelerate's own step changes the scale after each, and
    what is left would be divided by another one than it was multiplied with.
    """
    if accelerator.scaler is None:
        _hold_if_not_finite(optimizers)
    if clip_norm > 0:
        accelerator.clip_grad_norm_(clip.parameters(), clip_norm)
    if accelerator.scaler is not None:
        for optimizer in optimizers:
            accelerator.scaler.step(getattr(optimizer, "optimizer", optimizer))
        accelerator.scaler.update()
    for optimizer in optimizers:
        if accelerator.scaler is None:
            optimizer.step()
        optimizer.zero_grad()


def diverged(optimizer: Optimizer) -> Tensor | None:
    """1 where a gradient of this optimiser, or of one that stepped with it, was not finite; 0 elsewhere."""
    flag: Tensor | None = getattr(getattr(optimizer, "optimizer", optimizer), "found_inf", None)
    return flag


def release(optimizer: Optimizer, where: Tensor) -> None:
    """Have an optimiser that is held go on with the next step, where a flag on the device is not 0."""
    flag, plain = diverged(optimizer), cast(Any, getattr(optimizer, "optimizer", optimizer))
    if flag is not None:
        plain.found_inf = torch.where(where > 0, torch.zeros_like(flag), flag)


def _hold_if_not_finite(optimizers: Sequence[Optimizer]) -> None:
    """Set the flag by which fused optimisers leave out a step without the host having to know."""
    gradients = [
        parameter.grad
        for optimizer in optimizers
        for group in optimizer.param_groups
        for parameter in group["params"]
        if parameter.grad is not None
    ]
    flags = [flag for optimizer in optimizers if (flag := diverged(optimizer)) is not None]
    if gradients:
        flags.append((~all_finite(gradients)).float())
    flag = torch.stack(flags).amax()
    for optimizer in optimizers:
        plain: Any = getattr(optimizer, "optimizer", optimizer)
        if plain.defaults.get("fused"):
            plain.found_inf = flag


def all_finite(tensors: Iterable[Tensor]) -> Tensor:
    """Whether all numbers of all tensors are finite, on their device, in a few fused calls; True of none.

    The largest magnitude says it. On a CPU the Euclidean norm takes an eighth of the time, and all is finite
    where it is; only where it is not can that be for numbers above 1e19, whose squares are no float32.
    """
    alike: dict[torch.dtype, list[Tensor]] = {}
    for tensor in tensors:
        alike.setdefault(tensor.dtype, []).append(tensor)
    groups = list(alike.values())
    if all(tensor.device.type == "cpu" for group in groups for tensor in group):
        quick = _have_finite_norms(groups, 2.0)
        if quick:
            return quick
    return _have_finite_norms(groups, math.inf)


def _have_finite_norms(groups: Sequence[list[Tensor]], order: float) -> Tensor:
    norms = [norm.float() for group in groups for norm in torch._foreach_norm(group, ord=order)]
    return torch.stack(norms).isfinite().all() if norms else torch.tensor(True)


def average_gradients(accelerator: Accelerator, module: nn.Module) -> None:
    """Mean over the processes, for a module that accelerate has not prepared, before a step."""
    if accelerator.num_processes > 1:
        for parameter in module.parameters():
            if parameter.grad is not None:
                parameter.grad = accelerator.reduce(parameter.grad, reduction="mean")


def channels_last(model: ModuleT) -> ModuleT:
    """The same network with its kernels laid out for convolutions over `[B, H, W, C]` memory.

    The numbers stay what they are; a step of the tiny preset takes about half the time on a CPU.
    """
    return model.to(memory_format=torch.channels_last)
