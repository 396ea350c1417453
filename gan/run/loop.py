"""The training loop that all stages run."""

import gc
import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import torch
from accelerate import skip_first_batches
from tqdm import tqdm

from data.base.errors import Interrupted, UserError
from data.base.seeds import fold_seed
from gan.run.checkpoint import keep_best
from gan.run.finite import FiniteWatch
from gan.run.judge import SOURCES, judge_sources, line_of
from gan.run.loaders import Loaders
from gan.run.progress import Terms
from gan.run.run import Run
from gan.run.signals import StopSignal


class Stage(Protocol):
    """What the loop asks of a stage; counting, logging, saving and stopping are the loop's."""

    @property
    def chooser(self) -> str:
        """Which of the numbers of `evaluate` chooses the model to keep."""

    @property
    def higher_is_better(self) -> bool:
        """Whether more of it is better."""

    @property
    def shown(self) -> tuple[str, ...]:
        """Terms to show beside the progress bar."""

    def step(self, batches: Sequence[Any], epoch: int, step: int) -> Terms:
        """Make optimiser step number `step` of epoch `epoch` (both from 0) on the batches together."""

    def settings(self) -> dict[str, Any]:
        """What the terms of the moment depend on, such as weights and learning rates; logged with them."""

    def evaluate(self, batches: Iterable[Any]) -> dict[str, Any]:
        """Numbers on a split; every process calls this."""

    def draw(self, path: Path) -> None:
        """Draw the sample grid; the main process calls this."""

    def export(self) -> None:
        """Save the model, since it is the best so far; the main process calls this."""


def train(run: Run, stage: Stage, loaders: Loaders) -> None:
    """Run `stage` from where the run stands to the end.

    Every epoch ends with numbers, a sample grid and a checkpoint, in this order, so that a run that is cut
    off in between does all three again.

    Raises:
        Interrupted: a signal asked to stop; a checkpoint has been written.
    """
    config, accelerator, log, progress = run.config, run.accelerator, run.log, run.progress
    total, per_epoch = loaders.total_steps, loaders.steps_per_epoch
    bar = tqdm(
        total=total,
        initial=progress.step,
        unit="step",
        disable=not accelerator.is_main_process,
        dynamic_ncols=True,
    )
    keep_if_best(run, stage)
    clock = Clock(config.checkpoint_minutes)
    watch = DataWatch()
    allowed, skipped = config.skip_nonfinite, int(progress.skipped)
    finite = FiniteWatch(accelerator, run.directory, run.kept, allowed=allowed, skipped=skipped)
    # Where asking costs nothing, every step is asked; elsewhere parameters rest from the first bad one on.
    asynchronous = accelerator.num_processes > 1 or accelerator.device.type != "cpu"
    with StopSignal(accelerator) as stop, closing(bar):
        while progress.step < total:
            epoch, done = divmod(progress.step, per_epoch)
            bar.set_description(f"epoch {epoch + 1}/{config.epochs}")
            loaders.order.epoch = epoch
            size = config.gradient_accumulation
            waiting = skip_first_batches(loaders.train, done * size) if done else loaders.train
            for index, batches in enumerate(in_groups(watch.iterate(waiting), size), start=done):
                log.note_skipped(reason for batch in batches for reason in batch.skipped)
                # Whatever is random inside the networks follows from here, so a resumed run repeats it.
                torch.manual_seed(fold_seed("step", config.seed, epoch, index, accelerator.process_index))
                terms = stage.step(batches, epoch, progress.step)
                progress.step += 1
                ids = [name for batch in batches for name in batch.id]
                progress.add(terms, finite.add(terms, progress.step, ids))
                bar.update()
                ends = progress.step % per_epoch == 0 or progress.step == total
                logs = progress.step % config.log_every == 0 or progress.step == total
                stopping, due = stop.agreed(clock.is_due())
                saves = not ends and (stopping or due or progress.step % config.checkpoint_every == 0)
                if ends or logs or saves or not asynchronous:
                    for line in finite.require():
                        log.say(line)
                if logs:
                    means = progress.take_means(accelerator)
                    skips = {"skipped_steps": int(progress.skipped)} if allowed else {}
                    numbers = {**means, **stage.settings(), **skips}
                    log.write(numbers, step=progress.step, epoch=epoch + 1, split="train")
                    bar.set_postfix({name: f"{means[name]:.3g}" for name in stage.shown if name in means})
                if ends:
                    end_epoch(run, stage, loaders, epoch + 1)
                    stopping = stopping or stop.agreed()[0]
                if saves:
                    log.report_skipped()  # a resumed run does not meet them again
                    run.save()
                if ends or saves:
                    clock.restart()
                if stopping:
                    raise Interrupted(
                        f"stopped at step {progress.step} and saved; "
                        f"continue with --resume {run.directory.path}"
                    )
                if progress.step == total:
                    break
    log.say(f"waiting for data took {watch.share:.1%} of the time of training")


class Clock:
    """When it is time for a checkpoint; it does not jump with that of the wall.

    Args:
        minutes: between two of them; None for never.
    """

    def __init__(self, minutes: float | None) -> None:
        self._seconds = math.inf if minutes is None else 60 * minutes
        self.restart()

    def restart(self) -> None:
        """A checkpoint was made just now."""
        self._made = time.monotonic()

    def is_due(self) -> bool:
        """Whether the last one is that long ago."""
        return time.monotonic() - self._made >= self._seconds


def in_groups(batches: Iterable[Any], size: int) -> Iterator[list[Any]]:
    """The batches of one optimiser step after the other; the last group may be smaller."""
    iterator = iter(batches)
    while group := list(islice(iterator, size)):
        yield group


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


def end_epoch(run: Run, stage: Stage, loaders: Loaders, epoch: int) -> None:
    """Numbers, sample grid, checkpoint; keep the model if it is the best so far."""
    log, progress = run.log, run.progress
    numbers = judge_sources(stage.evaluate, loaders.val, log)
    log.report_skipped()
    require_finite(numbers, progress.step)
    log.write(numbers, step=progress.step, epoch=epoch, split="val")
    log.say(f"epoch {epoch}: {line_of(numbers)}")
    for source, of_source in numbers.get(SOURCES, {}).items():
        log.say(f"    {source}: {line_of(of_source)}")
    if run.accelerator.is_main_process:
        grid = run.directory.sample(epoch)
        stage.draw(grid)
        log.picture("samples", grid, step=progress.step)
        if run.files is not None and (warning := run.files.warning()):
            log.say(warning)
    gc.collect()  # Python by itself would keep what grids and figures leave for tens of epochs
    value = numbers[stage.chooser]
    if value is None:
        log.say(
            f"no {stage.chooser} on the validation split, which does not allow it: the newest model is kept"
        )
    best = value is None or progress.best is None or is_better(value, progress.best, stage)
    if best:
        progress.best, progress.best_step = value, progress.step
    run.save()
    keep_if_best(run, stage)


def keep_if_best(run: Run, stage: Stage) -> None:
    """Hand on the model of the newest checkpoint where that is the best.

    The checkpoint says so; a run that was cut off before this does it when it is resumed.
    """
    if run.progress.step == run.progress.best_step and run.accelerator.is_main_process:
        stage.export()
        keep_best(run.directory)
    run.accelerator.wait_for_everyone()


def is_better(value: float, than: float, stage: Stage) -> bool:
    """Whether a number that chooses the model beats another."""
    return value > than if stage.higher_is_better else value < than


def require_finite(numbers: Mapping[str, Any], step: int) -> None:
    """Stop a run whose numbers on the validation split are none.

    Raises:
        UserError: a number is not finite.
    """
    for name, value in numbers.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise UserError(
                f"{name} on the validation split is {value} at step {step}: the run has diverged; "
                "start again with a lower learning rate"
            )
