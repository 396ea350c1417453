"""The three splits of a run on this process's device, and what a step number means in them."""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.data_loader import prepare_data_loader
from torch.utils.data import DataLoader, Dataset, Sampler

from data.base.seeds import fold_seed
from data.batch import uncounted
from data.config import DataConfig
from data.sources import MixedSplit, Split, StreamedSplit
from gan.run.options import StageConfig
from gan.run.signals import loader_processes

Collate = Callable[[Any], Any]
Open = Callable[[DataConfig], Mapping[str, Split[Any]]]
Order = Callable[[int, int], Sequence[int]]


class EpochSampler(Sampler[int]):
    """A permutation of the data set, or the order a mix asks for: a function of (seed, epoch) alone.

    The loop sets `epoch`. It is an attribute and no `set_epoch` method, which accelerate would call with
    a count of its own that starts at zero again in a resumed run.
    """

    def __init__(self, size: int, seed: int, order: Order | None = None) -> None:
        self.size = size
        self.seed = seed
        self.order = order or self._permutation
        self.epoch = 0

    def __iter__(self) -> Iterator[int]:
        yield from self.order(self.seed, self.epoch)

    def _permutation(self, seed: int, epoch: int) -> Sequence[int]:
        generator = torch.Generator().manual_seed(fold_seed("order", seed, epoch))
        permutation: list[int] = torch.randperm(self.size, generator=generator).tolist()
        return permutation

    def __len__(self) -> int:
        return self.size


class StepSampler:
    """The batches of one process: an optimiser step sees the same samples however many processes share it.

    An epoch is cut into steps, the last of which may be smaller, steps into batches, and these are shared out
    evenly; a process that gets none of a small one has a stand-in, the complement `~index` of an index. What
    would be a step of a single sample joins the step before it, and so within a process: statistics over a
    batch and contrasts within it have no meaning for one sample. Batches of one that were asked for stay.

    Args:
        order: the samples of an epoch.
        batch_size: samples of a batch of one process.
        accumulation: batches of a step in one process.
        process: which one this is.
        processes: how many share a step.
    """

    def __init__(
        self,
        order: EpochSampler,
        batch_size: int,
        *,
        accumulation: int = 1,
        process: int = 0,
        processes: int = 1,
    ) -> None:
        self.order = order
        self.batch_size, self.accumulation = batch_size, accumulation
        self.process, self.processes = process, processes

    def __iter__(self) -> Iterator[list[int]]:
        order = np.array(list(self.order), np.int64)
        for step in np.split(order, self._ends()[:-1]) if len(order) else []:
            for batch in np.array_split(step, self._batches(len(step))):
                mine = np.array_split(batch, self.processes)[self.process]
                yield mine.tolist() or [~int(batch[0])]

    def __len__(self) -> int:
        sizes = np.diff(self._ends(), prepend=0).tolist()
        return sum(map(self._batches, sizes))

    def _ends(self) -> list[int]:
        """Where each step ends."""
        count, size = len(self.order), self.batch_size * self.accumulation * self.processes
        ends = list(range(size, count, size))
        if ends and count - ends[-1] == 1 < size:
            ends.pop()
        return [*ends, count] if count else []

    def _batches(self, samples: int) -> int:
        """Batches of a step in every process."""
        largest = -(-samples // self.processes)
        whole, rest = divmod(largest, self.batch_size)
        return min(whole + (rest > 0 and not (whole > 0 and rest == 1)), self.accumulation)


class WithStandIns(Dataset[Any]):
    """A split in which sample `~index` is sample `index`, but nothing of it counts."""

    def __init__(self, split: Any) -> None:
        self.split = split

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, index: int) -> Any:
        return self.split[index] if index >= 0 else uncounted(self.split[~index])


class HasEpoch(Protocol):
    """What decides the order of the training data, by the epoch it is told."""

    epoch: int


@dataclass(frozen=True)
class Loaders:
    """Batches of the three splits."""

    splits: Mapping[str, Split[Any]]
    train: DataLoader[Any]
    """Shuffled; the last, smaller step of an epoch is used too, except of streamed data. A sample left over
    alone joins the step before."""
    val: Mapping[str, DataLoader[Any]]
    """Of each source by its name, which is empty where there is only one; see `gan.run.judge`."""
    test: Mapping[str, DataLoader[Any]]
    order: HasEpoch
    """What is to be told the epoch before `train` is iterated."""
    steps_per_epoch: int
    """Optimiser steps in one pass over the training data on every process."""
    total_steps: int
    """Optimiser steps of the whole run."""


def open_loaders(accelerator: Accelerator, config: StageConfig, source: Open, collate: Collate) -> Loaders:
    """Open the data and put its splits behind loaders; nothing of the run is written yet.

    One process goes first, so that data that is rendered is there for the others.
    """
    with accelerator.main_process_first():
        splits = source(config.data)
    train, order = train_loader(accelerator, splits["train"], collate, config)
    val, test = (
        {
            name: accelerator.prepare(
                DataLoader(
                    cast(Any, part),
                    batch_size=config.data.batch_size,
                    collate_fn=collate,
                    **loader_processes(config.data.workers),
                )
            )
            for name, part in parts_of(splits[split]).items()
        }
        for split in ("val", "test")
    )
    per_epoch = math.ceil(len(train) / config.gradient_accumulation)
    total = min(config.epochs * per_epoch, config.max_steps or config.epochs * per_epoch)
    return Loaders(splits, train, val, test, order, per_epoch, total)


def parts_of(split: Split[Any]) -> Mapping[str, Split[Any]]:
    """The split of each source of a mix by the source's name; one that is no mix has an empty name."""
    return split.parts if isinstance(split, MixedSplit) else {"": split}


def train_loader(
    accelerator: Accelerator, split: Split[Any], collate: Collate, config: StageConfig
) -> tuple[DataLoader[Any], HasEpoch]:
    """The shuffled training data on this process's device, and what is to be told the epoch."""
    pin_memory = torch.cuda.is_available() and not config.cpu
    if isinstance(split, StreamedSplit):
        # It shares itself out among the processes; accelerate would have each of them read everything.
        split.configure(rank=accelerator.process_index, world=accelerator.num_processes, seed=config.seed)
        loader = DataLoader(
            cast(Any, split),
            batch_size=config.data.batch_size,
            collate_fn=collate,
            # Always one process, which reads ahead: in it `datasets` draws another order than outside of it.
            **loader_processes(1),
            prefetch_factor=4,
            pin_memory=pin_memory,
            persistent_workers=True,
        )
        return _alone(accelerator, loader), split
    order = split.order if isinstance(split, MixedSplit) else None
    sampler = EpochSampler(len(split), config.seed, order)
    batches = StepSampler(
        sampler,
        config.data.batch_size,
        accumulation=config.gradient_accumulation,
        process=accelerator.process_index,
        processes=accelerator.num_processes,
    )
    loader = DataLoader(
        WithStandIns(split),
        batch_sampler=cast(Any, batches),
        collate_fn=collate,
        **loader_processes(config.data.workers),
        pin_memory=pin_memory,
        persistent_workers=config.data.workers > 0,
    )
    return _alone(accelerator, loader), sampler


def _alone(accelerator: Accelerator, loader: DataLoader[Any]) -> DataLoader[Any]:
    """A loader that knows what its process is to get; only the device is accelerate's."""
    prepared: DataLoader[Any] = prepare_data_loader(
        loader,
        device=accelerator.device,
        num_processes=1,
        process_index=0,
        put_on_device=True,
        dispatch_batches=False,
    )
    return prepared


def choose_cases(split: Split[Any], count: int) -> list[Any]:
    """Samples for the grid, always the same: spread over the split, each finding once before any twice.

    Of a mix, each finding of each source.
    """
    order = torch.randperm(len(split), generator=torch.Generator().manual_seed(0)).tolist()
    seen: Counter[tuple[str, ...]] = Counter()
    ranked: list[tuple[int, int, int, Any]] = []
    for index in order:
        if len(ranked) == 8 * count:
            break
        sample = split[index]
        if sample.skipped:
            continue
        kind = (sample.columns.get("source", ""), *getattr(sample, "findings", ()))
        ranked.append((seen[kind], len(ranked), index, sample))
        seen[kind] += 1
    chosen = sorted(ranked, key=lambda entry: entry[:2])[:count]
    return [sample for *_, sample in sorted(chosen, key=lambda entry: entry[2])]
