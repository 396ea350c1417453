"""The training loop that both stages run."""

import math
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Protocol, cast

import torch
from accelerate import Accelerator, skip_first_batches
from accelerate.data_loader import prepare_data_loader
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, Sampler
from tqdm import tqdm

from data.base.errors import Interrupted, UserError
from data.base.seeds import fold_seed
from gan.checkpoint import save_checkpoint
from gan.config import StageConfig
from gan.logs import RunLog
from gan.rundir import RunDir
from gan.state import Progress, Terms


class EpochSampler(Sampler[int]):
    """A permutation of the data set that is a function of (seed, epoch) alone.

    The loop sets `epoch`. It is an attribute and no `set_epoch` method, which accelerate would call with
    a count of its own that starts at zero again in a resumed run.
    """

    def __init__(self, size: int, seed: int) -> None:
        self.size = size
        self.seed = seed
        self.epoch = 0

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(fold_seed("order", self.seed, self.epoch))
        yield from torch.randperm(self.size, generator=generator).tolist()

    def __len__(self) -> int:
        return self.size


@dataclass(frozen=True)
class Stage:
    """What a stage does at each point of the loop."""

    step: Callable[[Any, int, int], Terms]
    """(batch, epoch, optimiser step) -> raw terms; makes the optimiser step."""
    validate: Callable[[], dict[str, Any]]
    """Numbers on the validation split."""
    chooser: str
    """Which of those numbers chooses the model to keep."""
    higher_is_better: bool
    draw: Callable[[Path], None]
    """Draw the sample grid."""
    keep: Callable[[], None]
    """Save the model, since it is the best so far."""
    shown: tuple[str, ...]
    """Terms to show beside the progress bar."""
    settings: Callable[[], dict[str, Any]]
    """What the numbers of the moment depend on, such as weights and learning rates; logged with them."""
    ema: nn.Module | None = None


class StopSignal:
    """Turns the first SIGINT or SIGTERM into a flag; a second SIGINT interrupts at once."""

    def __init__(self, accelerator: Accelerator) -> None:
        self._accelerator = accelerator
        self._received = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "StopSignal":
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        if self._received and number == signal.SIGINT:
            raise KeyboardInterrupt
        self._received = True

    def agreed(self, *, ask: bool) -> bool:
        """Whether any process was told to stop.

        Several processes must agree on the step, which makes them wait for each other: only if `ask`.
        """
        if self._accelerator.num_processes == 1:
            return self._received
        if not ask:
            return False
        flag = torch.tensor(float(self._received), device=self._accelerator.device)
        return bool(self._accelerator.reduce(flag, reduction="sum").item() > 0)


class HasEpoch(Protocol):
    """What decides the order of the training data, by the epoch it is told."""

    epoch: int


def train_loader(
    accelerator: Accelerator, dataset: Any, collate: Callable[[Any], Any], config: StageConfig
) -> tuple[DataLoader[Any], HasEpoch]:
    """The shuffled training data on this process's device, and what is to be told the epoch.

    The last, smaller batch of an epoch is used too, except of streamed data.
    """
    pin_memory = torch.cuda.is_available() and not config.cpu
    if isinstance(dataset, IterableDataset):
        # It shares itself out among the processes; accelerate would have each of them read everything.
        streamed = cast(Any, dataset)
        streamed.configure(rank=accelerator.process_index, world=accelerator.num_processes, seed=config.seed)
        loader = DataLoader(
            dataset,
            batch_size=config.data.batch_size,
            collate_fn=collate,
            # Always one process, which reads ahead: in it `datasets` draws another order than outside of it.
            num_workers=1,
            prefetch_factor=4,
            pin_memory=pin_memory,
            persistent_workers=True,
        )
        loader = prepare_data_loader(
            loader,
            device=accelerator.device,
            num_processes=1,
            process_index=0,
            put_on_device=True,
            dispatch_batches=False,
        )
        return loader, streamed
    sampler = EpochSampler(len(dataset), config.seed)
    loader = DataLoader(
        dataset,
        batch_size=config.data.batch_size,
        sampler=sampler,
        collate_fn=collate,
        num_workers=config.data.workers,
        pin_memory=pin_memory,
        persistent_workers=config.data.workers > 0,
    )
    return accelerator.prepare(loader), sampler


def steps_per_epoch(loader: DataLoader[Any], config: StageConfig) -> int:
    """Optimiser steps in one pass over the training data on every process."""
    return math.ceil(len(loader) / config.gradient_accumulation)


def total_steps(loader: DataLoader[Any], config: StageConfig) -> int:
    """Optimiser steps of the whole run."""
    steps = config.epochs * steps_per_epoch(loader, config)
    return steps if config.max_steps is None else min(steps, config.max_steps)


def train(
    accelerator: Accelerator,
    config: StageConfig,
    run: RunDir,
    log: RunLog,
    loader: DataLoader[Any],
    order: HasEpoch,
    progress: Progress,
    stage: Stage,
) -> None:
    """Run `stage` from where `progress` stands to the end.

    Every epoch ends with numbers, a sample grid and a checkpoint, in this order, so that a run that is cut
    off in between does all three again.

    Raises:
        Interrupted: a signal asked to stop; a checkpoint has been written.
    """
    total, per_epoch = total_steps(loader, config), steps_per_epoch(loader, config)
    bar = tqdm(
        total=total,
        initial=progress.step,
        unit="step",
        disable=not accelerator.is_main_process,
        dynamic_ncols=True,
    )
    watch = DataWatch()
    with StopSignal(accelerator) as stop, closing(bar):
        while progress.step < total:
            epoch, done = divmod(progress.step, per_epoch)
            bar.set_description(f"epoch {epoch + 1}/{config.epochs}")
            order.epoch = epoch
            batches = skip_first_batches(loader, done * config.gradient_accumulation) if done else loader
            timed = watch.iterate(batches)
            for index, batch in enumerate(timed, start=done * config.gradient_accumulation):
                log.note_skipped(batch.skipped)
                # Whatever is random inside the networks follows from here, so a resumed run repeats it.
                torch.manual_seed(fold_seed("step", config.seed, epoch, index, accelerator.process_index))
                progress.add(stage.step(batch, epoch, progress.step))
                if not accelerator.sync_gradients:
                    continue
                progress.step += 1
                bar.update()
                if progress.step % config.log_every == 0 or progress.step == total:
                    means = progress.take_means(accelerator)
                    require_finite(means, run, progress.step)
                    log.write(
                        {**means, **stage.settings()}, step=progress.step, epoch=epoch + 1, split="train"
                    )
                    bar.set_postfix({name: f"{means[name]:.3g}" for name in stage.shown if name in means})
                if progress.step % per_epoch == 0 or progress.step == total:
                    end_epoch(accelerator, config, run, log, progress, stage, epoch + 1)
                saved = progress.step % per_epoch == 0
                if progress.step == total:
                    break
                stopping = stop.agreed(ask=progress.step % config.log_every == 0)
                if not saved and (stopping or progress.step % config.checkpoint_every == 0):
                    log.report_skipped()  # a resumed run does not meet them again
                    save_checkpoint(accelerator, run, progress, keep=config.keep_checkpoints, ema=stage.ema)
                if stopping:
                    raise Interrupted(
                        f"stopped at step {progress.step} and saved; continue with --resume {run.path}"
                    )
    log.say(f"waiting for data took {watch.share:.1%} of the time of training")


class DataWatch:
    """How much of the time goes by waiting for the next batch."""

    def __init__(self) -> None:
        self.waiting = 0.0
        self.total = 0.0

    def iterate(self, batches: Iterable[Any]) -> Iterator[Any]:
        """The batches, with the clock read before and after each."""
        iterator = iter(batches)
        while True:
            asked = time.perf_counter()
            try:
                batch = next(iterator)
            except StopIteration:
                return
            received = time.perf_counter()
            yield batch
            self.waiting += received - asked
            self.total += time.perf_counter() - asked

    @property
    def share(self) -> float:
        """Share of the time between the request for one batch and that for the next."""
        return self.waiting / self.total if self.total else 0.0


def end_epoch(
    accelerator: Accelerator,
    config: StageConfig,
    run: RunDir,
    log: RunLog,
    progress: Progress,
    stage: Stage,
    epoch: int,
) -> None:
    """Numbers, sample grid, checkpoint; keep the model if it is the best so far."""
    numbers = stage.validate()
    log.report_skipped()
    require_finite(numbers, run, progress.step)
    log.write(numbers, step=progress.step, epoch=epoch, split="val")
    log.say(
        f"epoch {epoch}: "
        + ", ".join(f"{name} {value:.4g}" for name, value in numbers.items() if isinstance(value, float))
    )
    if accelerator.is_main_process:
        stage.draw(run.sample(epoch))
        log.picture("samples", run.sample(epoch), step=progress.step)
    value = numbers[stage.chooser]
    if value is None:
        log.say(
            f"no {stage.chooser} on the validation split, where nothing changed: the newest model is kept"
        )
    best = value is None or progress.best is None or is_better(value, progress.best, stage)
    if best:
        progress.best = value
        if accelerator.is_main_process:
            stage.keep()
    save_checkpoint(accelerator, run, progress, keep=config.keep_checkpoints, ema=stage.ema, best=best)


def is_better(value: float, than: float, stage: Stage) -> bool:
    """Whether a number that chooses the model beats another."""
    return value > than if stage.higher_is_better else value < than


def require_finite(numbers: Mapping[str, Any], run: RunDir, step: int) -> None:
    """Stop a run that has diverged.

    Raises:
        UserError: a number is not finite.
    """
    for name, value in numbers.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise UserError(
                f"{name} is {value} at step {step}: the run has diverged; start again with a lower "
                f"learning rate, or delete the newest of {run.checkpoints}, then --resume"
            )
