"""Training data streamed from object storage, shard by shard, by Hugging Face `datasets`."""

from collections.abc import Iterator
from itertools import islice
from typing import Generic, TypeVar

import torch
from torch.utils.data import IterableDataset

from data.base.errors import DataError, first_line
from data.base.seeds import fold_seed
from data.batch import ImageSample, PairSample
from data.prepared.remote import shard_addresses
from data.prepared.rows import Reader, Row
from data.prepared.store import roles_of

SampleT = TypeVar("SampleT", PairSample, ImageSample)
SHUFFLE_BUFFER = 256
"""Samples held in memory, out of which the next one is drawn; the order of the shards is drawn as well."""


class SharedEpoch:
    """Which pass over the data is next, in shared memory: loader processes that live on see it change."""

    def __init__(self) -> None:
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    @property
    def epoch(self) -> int:
        """Which pass over the data is next."""
        return int(self._epoch)

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        self._epoch.fill_(epoch)


class _Streamed(SharedEpoch, IterableDataset[SampleT], Generic[SampleT]):
    """Samples in an order that is a function of (seed, epoch); every process of the run reads its own part.

    All of them yield the same number of whole batches; the few samples that do not fill one are left out of
    that epoch. The order also depends on whether it is read in a process of the loader.

    Args:
        place: address of the data.
        reader: what makes samples of its rows.
        split: which split.
        batch_size: samples of a batch.
    """

    def __init__(self, place: str, reader: Reader, split: str, batch_size: int) -> None:
        self.place, self.reader, self.split, self.batch_size = place, reader, split, batch_size
        self.labels, self.patients, self.identity = reader.labels.names, None, reader.info.digest
        super().__init__()
        self.rank, self.world, self.seed = 0, 1, 0
        self._require_a_batch()

    def configure(self, *, rank: int, world: int, seed: int) -> None:
        """Tell the data set which process of the run it serves.

        Raises:
            DataError: there are fewer samples than readers need for a batch each.
        """
        self.rank, self.world, self.seed = rank, world, seed
        self._require_a_batch()

    def __len__(self) -> int:
        """Samples of an epoch in this process of the run."""
        shards = self.reader.info.shards[self.split]
        if len(shards) % self.world == 0:
            # `datasets` shares whole shards out, other ones in every epoch: at worst, the smallest ones.
            rows = sum(sorted(shards)[: len(shards) // self.world])
        else:
            rows = sum(shards) // self.world  # it shares single rows out
        return rows * len(self._roles) // self.batch_size * self.batch_size

    def __iter__(self) -> Iterator[SampleT]:
        samples = (self._sample(row, role) for row in self._rows() for role in self._roles)
        yield from islice(samples, len(self))

    def _rows(self) -> Iterator[Row]:
        from datasets import load_dataset
        from datasets.distributed import split_dataset_by_node

        try:
            rows = load_dataset(
                "arrow",
                data_files={self.split: shard_addresses(self.place, self.reader.info, self.split)},
                split=self.split,
                streaming=True,
            )
            seed = fold_seed("stream", self.seed, self.epoch) % 2**32
            rows = rows.shuffle(seed=seed, buffer_size=SHUFFLE_BUFFER)
            yield from split_dataset_by_node(rows, rank=self.rank, world_size=self.world)
        except Exception as error:  # every kind of storage has errors of its own
            raise DataError(f"--data.prepared: {self.place} cannot be read ({first_line(error)})") from error

    @property
    def _roles(self) -> tuple[str, ...]:
        """The pictures of a row that are a sample each."""
        return roles_of(self.reader.info.kind)

    def _sample(self, row: Row, role: str) -> SampleT:
        raise NotImplementedError

    def _require_a_batch(self) -> None:
        if not len(self):
            raise DataError(
                f"{self.place} has too few samples in {self.split} for a batch of "
                f"{self.batch_size} in each of {self.world} processes; lower --data.batch-size"
            )


class StreamedPairs(_Streamed[PairSample]):
    """Pairs of an address in object storage."""

    _roles = ("target",)

    def _sample(self, row: Row, role: str) -> PairSample:
        if row[role] is None:
            raise DataError(f"{self.place}: pair {row['id']!r} has no target")
        return self.reader.pair(row)


class StreamedImages(_Streamed[ImageSample]):
    """Images of an address in object storage; of prepared pairs, both of each."""

    def _sample(self, row: Row, role: str) -> ImageSample:
        return self.reader.image(row, role)
