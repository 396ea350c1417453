"""Training data streamed from object storage, shard by shard, by Hugging Face `datasets`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, Generic, TypeVar

import torch
from torch.utils.data import IterableDataset

from data.base.errors import DataError
from data.base.seeds import fold_seed
from data.batch import ImageSample, PairSample
from data.config import DataConfig
from data.prepared.remote import shard_addresses
from data.prepared.rows import image_of, pair_of
from data.prepared.store import StoreInfo, roles_of

SampleT = TypeVar("SampleT", PairSample, ImageSample)
SHUFFLE_BUFFER = 256
"""Samples held in memory, out of which the next one is drawn; the order of the shards is drawn as well."""


class _Streamed(IterableDataset[SampleT], Generic[SampleT]):
    """Samples in an order that is a function of (seed, epoch); every process of the run reads its own part.

    All of them yield the same number of whole batches; the few samples that do not fill one are left out of
    that epoch. The order also depends on whether it is read in a process of the loader.

    Args:
        config: where the data is and how large its batches are.
        info: what is there.
        split: which split.
    """

    def __init__(self, config: DataConfig, info: StoreInfo, split: str) -> None:
        self.config = config
        self.info = info
        self.split = split
        self.rank, self.world, self.seed = 0, 1, 0
        # In shared memory: loader processes that live on see the epoch change.
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()
        self._require_a_batch()

    def configure(self, *, rank: int, world: int, seed: int) -> None:
        """Tell the data set which process of the run it serves.

        Raises:
            DataError: there are fewer samples than readers need for a batch each.
        """
        self.rank, self.world, self.seed = rank, world, seed
        self._require_a_batch()

    @property
    def epoch(self) -> int:
        """Which pass over the data is next."""
        return int(self._epoch)

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        self._epoch.fill_(epoch)

    @property
    def identity(self) -> str:
        """By which the same samples with the same pixels are recognised, wherever they lie."""
        return self.info.digest

    @property
    def patients(self) -> None:
        """Names of the patients, which nobody knows before all has been read."""
        return None

    def __len__(self) -> int:
        """Samples of an epoch in this process of the run."""
        shards = self.info.shards[self.split]
        if len(shards) % self.world == 0:
            # `datasets` shares whole shards out, other ones in every epoch: at worst, the smallest ones.
            rows = sum(sorted(shards)[: len(shards) // self.world])
        else:
            rows = sum(shards) // self.world  # it shares single rows out
        samples, batch = rows * self._samples_of_a_row, self.config.batch_size
        return samples // batch * batch

    def __iter__(self) -> Iterator[SampleT]:
        from datasets import load_dataset
        from datasets.distributed import split_dataset_by_node

        rows = load_dataset(
            "arrow",
            data_files={self.split: shard_addresses(self.config, self.info, self.split)},
            split=self.split,
            streaming=True,
        )
        seed = fold_seed("stream", self.seed, self.epoch) % 2**32
        rows = rows.shuffle(seed=seed, buffer_size=SHUFFLE_BUFFER)
        rows = split_dataset_by_node(rows, rank=self.rank, world_size=self.world)
        yield from islice(self._samples(rows), len(self))

    @property
    def _samples_of_a_row(self) -> int:
        return 1

    def _samples(self, rows: Any) -> Iterator[SampleT]:
        raise NotImplementedError

    def _require_a_batch(self) -> None:
        if not len(self):
            raise DataError(
                f"{self.config.prepared} has too few samples in {self.split} for a batch of "
                f"{self.config.batch_size} in each of {self.world} processes; lower --data.batch-size"
            )


class StreamedPairs(_Streamed[PairSample]):
    """Pairs of an address in object storage."""

    def _samples(self, rows: Any) -> Iterator[PairSample]:
        for row in rows:
            if row["target"] is None:
                raise DataError(f"{self.config.prepared}: pair {row['id']!r} has no target")
            yield pair_of(row, self.info, self.config.image_size)


class StreamedImages(_Streamed[ImageSample]):
    """Images of an address in object storage; of prepared pairs, both of each."""

    @property
    def _samples_of_a_row(self) -> int:
        return len(roles_of(self.info.kind))

    def _samples(self, rows: Any) -> Iterator[ImageSample]:
        for row in rows:
            for role in roles_of(self.info.kind):
                yield image_of(row, role, self.info, self.config.image_size)
