"""A split of several sources: which sample comes next follows from (seed, epoch) alone."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import count
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset, IterableDataset

from data.base.errors import DataError
from data.base.seeds import fold_seed
from data.batch import ImageSample
from data.prepared.streaming import SharedEpoch


class OfSource(Dataset[Any]):
    """A split of one source of a mix, whose samples say so: in their id and in the column `source`.

    Args:
        name: of the source.
        number: of the source; random changes follow from it and not from the name, since data may be moved.
        split: what the source yields.
        labels: those that all sources of the mix have.
    """

    def __init__(self, name: str, number: int, split: Any, labels: tuple[str, ...]) -> None:
        self.name, self.number, self.split, self.labels = name, number, split, labels
        self.patients, self.identity = split.patients, split.identity

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, index: int) -> Any:
        return self.named(self.split[index])

    def named(self, sample: Any, repeat: int = 0) -> Any:
        """A sample as one of this source, which is seen for the `repeat`-th time (from 0) in an epoch."""
        columns = {**sample.columns, "source": self.name}
        if "source" in sample.columns:
            columns["own_source"] = sample.columns["source"]
        fewer = {"labels": None} if isinstance(sample, ImageSample) and not self.labels else {}
        key = f"{self.number}/{repeat}/{sample.id}"
        return replace(sample, id=f"{self.name}:{sample.id}", key=key, columns=columns, **fewer)


class Mixture(Dataset[Any]):
    """The samples of all sources, one source after the other, and an order in which each has its share.

    An epoch has as many samples as all sources together. A source takes up in an epoch where it stopped in
    the one before: it goes through all its samples in a random order, then again in another one. So all of
    them are seen equally often, to within one time. Index `i + r * len(mixture)` is sample `i` once more,
    with the random changes of its `r`-th repetition.

    Args:
        parts: the split of each source.
        weights: of the sources; only their ratios count.
    """

    def __init__(self, parts: Sequence[OfSource], weights: Sequence[float]) -> None:
        self.parts: Mapping[str, OfSource] = {part.name: part for part in parts}
        self.labels = parts[0].labels
        self._members, self._weights = list(parts), list(weights)
        self._measure([len(part) for part in parts])

    def _measure(self, sizes: Sequence[int]) -> None:
        """Share the samples of an epoch out among sources of so many samples."""
        self.sizes, self.total = list(sizes), sum(sizes)
        self._ends = np.cumsum(self.sizes)
        shares = np.cumsum([0, *self._weights]) / sum(self._weights)
        self.counts: list[int] = np.diff(np.round(shares * self.total).astype(int)).tolist()

    @property
    def patients(self) -> list[str] | None:
        """Names of the patients, sorted; None where those of a source are not known."""
        names: set[str] = set()
        for part in self._members:
            if part.patients is None:
                return None
            names |= set(part.patients)
        return sorted(names)

    @property
    def files(self) -> list[str]:
        """Paths of what the samples of all sources are read from, of those that are read from files."""
        splits = [part.split for part in self._members if hasattr(part.split, "files")]
        return list(dict.fromkeys(path for split in splits for path in split.files))

    @property
    def identity(self) -> str:
        """That of each source and its weight."""
        members = zip(self._members, self._weights, strict=True)
        return "+".join(f"{weight}*{part.identity}" for part, weight in members)

    def __len__(self) -> int:
        return self.total

    def __getitem__(self, index: int) -> Any:
        part, place, repeat = self._locate(index)
        return part.named(part.split[place], repeat)

    def order(self, seed: int, epoch: int) -> list[int]:
        """The indices of an epoch, shuffled."""
        members = zip(self.sizes, self.counts, self._ends, strict=True)
        taken = [
            _walk(size, count, ("pass", seed, number), epoch) @ (1, self.total) + end - size
            for number, (size, count, end) in enumerate(members)
        ]
        order: list[int] = _permuted(np.concatenate(taken), "order", seed, epoch).tolist()
        return order

    def describe(self) -> str:
        """How many samples each source has, and how many of them an epoch sees."""
        members = zip(self.parts, self.sizes, self.counts, strict=True)
        said = [f"{name} {count} ({count / self.total:.1%}; it has {size})" for name, size, count in members]
        return f"samples of an epoch: {', '.join(said)}"

    def require_shares(self) -> None:
        """Refuse weights that leave a source without a sample.

        Raises:
            DataError: naming the source.
        """
        if 0 in self.counts:
            name = list(self.parts)[self.counts.index(0)]
            reason = f"the weight of {name} gives it none of the {self.total} samples of an epoch; raise it"
            raise DataError(f"--data.mix: {reason}")

    def _locate(self, index: int) -> tuple[OfSource, int, int]:
        """The source of an index, the place in it, and which repetition it is."""
        repeat, index = divmod(index, self.total)
        number = int(np.searchsorted(self._ends, index, side="right"))
        return self._members[number], index - int(self._ends[number]) + self.sizes[number], repeat


def _walk(size: int, count: int, seeds: tuple[int | str, ...], epoch: int) -> np.ndarray:
    """`[count, 2]`: places in a source of `size` samples in an epoch, and which repetition each of them is.

    They are the next `count` in an endless row of permutations, of which every epoch takes as many.
    """
    first, skipped = divmod(epoch * count, size)
    rounds = range(first, first + -(-(skipped + count) // size))
    places = np.concatenate([_permuted(np.arange(size), *seeds, number) for number in rounds])
    repeats = np.repeat(np.arange(len(rounds)), size)
    return np.stack([places, repeats], axis=1)[skipped : skipped + count]


def _permuted(values: np.ndarray, *seeds: int | str) -> np.ndarray:
    generator = torch.Generator().manual_seed(fold_seed(*seeds))
    permuted: np.ndarray = values[torch.randperm(len(values), generator=generator).numpy()]
    return permuted


def is_streamed(split: object) -> bool:
    """Whether a split can only be iterated."""
    return isinstance(split, IterableDataset)


class MixedStream(SharedEpoch, Mixture, IterableDataset[Any]):
    """A mix with a streamed source: every process of the run reads its own part of it, in whole batches.

    Of a streamed source an epoch sees the beginning of a pass of its own, or as many as it takes, in an order
    that is a function of (seed, epoch) as well.

    Args:
        parts, weights: see `Mixture`.
        batch_size: samples of a batch.
        held_out: where each patient is that is not trained on, for messages.
    """

    def __init__(
        self,
        parts: Sequence[OfSource],
        weights: Sequence[float],
        batch_size: int,
        held_out: Mapping[str, str],
    ) -> None:
        SharedEpoch.__init__(self)
        Mixture.__init__(self, parts, weights)
        self.batch_size, self.held_out = batch_size, held_out
        self.rank, self.world, self.seed = 0, 1, 0

    def configure(self, *, rank: int, world: int, seed: int) -> None:
        """Tell the mix which process of the run it serves.

        Raises:
            DataError: there are fewer samples than the processes need for a batch each.
        """
        self.rank, self.world, self.seed = rank, world, seed
        streams = [part for part in self._members if is_streamed(part.split)]
        for part in streams:
            part.split.configure(rank=rank, world=world, seed=seed)
        self._measure([len(part) * (world if part in streams else 1) for part in self._members])
        self.require_shares()
        if not len(self):
            raise DataError(
                f"--data.mix has too few samples for a batch of {self.batch_size} in each of {world} "
                "processes; lower --data.batch-size"
            )

    def __len__(self) -> int:
        """Samples of an epoch in this process of the run."""
        return self.total // self.world // self.batch_size * self.batch_size

    def __iter__(self) -> Iterator[Any]:
        epoch = self.epoch
        passes = {part: self._passes(part, epoch) for part in self._members if is_streamed(part.split)}
        for index in self.order(self.seed, epoch)[self.rank :: self.world][: len(self)]:
            part, _, _ = self._locate(index)
            yield next(passes[part]) if part in passes else self[index]

    def _passes(self, part: OfSource, epoch: int) -> Iterator[Any]:
        """The samples of a streamed source, over and over."""
        for repeat in count():
            part.split.epoch = fold_seed("pass", epoch, repeat)
            for sample in part.split:
                if place := self.held_out.get(sample.patient_id):
                    raise shared_patient(sample.patient_id, f"train of {part.name}", place)
                yield part.named(sample, repeat)


def shared_patient(patient: str, place: str, other: str) -> DataError:
    """What is wrong with a patient in two splits, each given as `SPLIT of SOURCE`."""
    return DataError(
        f"--data.mix: patient {patient!r} is in {place} and in {other}; put everything of a patient into one "
        "split of all sources, or give one of them another name if these are two people"
    )
