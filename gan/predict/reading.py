"""Pairs from their files to batches, in processes of their own while the network runs."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from data import PairRecord, RecordTable, read_radiograph
from data.base.errors import DataError
from data.base.processes import available_cores
from data.config import OnError
from gan.predict.dicom import Sources
from gan.predict.writing import shown
from gan.run.feeding import NATIVE, Fed, Squares, feed, fit_pair
from gan.run.handover import Preprocessing
from gan.run.signals import loader_processes

_NOT_SHOWN = np.zeros((0, 0), np.uint8)


@dataclass(frozen=True)
class Pair:
    """What was read of one pair."""

    place: int
    """Which one it is of those that are read."""
    squares: Squares
    film: NDArray[np.uint8]
    """See `Predicted.shown`."""


@dataclass(frozen=True)
class Batch:
    """Pairs that go through the network at once, and which could not be read."""

    places: Sequence[int]
    fed: Fed | None
    """None where none of them could be read."""
    films: Sequence[NDArray[np.uint8]]
    unreadable: Sequence[tuple[int, str]]
    """Place and reason of each."""


@dataclass(frozen=True, kw_only=True)
class Reading(Dataset[Pair | tuple[int, str]]):
    """Pairs as squares, read when they are asked for.

    Attributes:
        records: the pairs.
        preprocessing: how they are fed.
        tiles: see `fit_pair`.
        is_shown: whether a picture of the followup is wanted.
        for_dicom: whether DICOM objects are to be made of it, for which headers must do.
        on_error: what an unreadable pair does.
    """

    records: RecordTable[PairRecord]
    preprocessing: Preprocessing
    tiles: int
    is_shown: bool
    for_dicom: bool
    on_error: OnError

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, place: int) -> Pair | tuple[int, str]:
        """Read one pair, or say why it cannot be read.

        Raises:
            DataError: that reason, where it is to end everything.
        """
        record = self.records[place]
        try:
            if self.for_dicom:
                Sources.read(record.baseline, record.followup)
            before, after = (
                read_radiograph(path, self.preprocessing.intensity)
                for path in (record.baseline, record.followup)
            )
        except DataError as error:
            if self.on_error == "raise":
                raise
            return place, str(error)
        squares = fit_pair(before, after, self.preprocessing, tiles=self.tiles)
        return Pair(place, squares, shown(after.pixels) if self.is_shown else _NOT_SHOWN)

    def collate(self, read: Sequence[Pair | tuple[int, str]]) -> Batch:
        """A batch, its baselines laid on the followups."""
        pairs = [pair for pair in read if isinstance(pair, Pair)]
        fed = feed([pair.squares for pair in pairs], align=self.preprocessing.align) if pairs else None
        return Batch(
            places=[pair.place for pair in pairs],
            fed=fed,
            films=[pair.film for pair in pairs],
            unreadable=[pair for pair in read if not isinstance(pair, Pair)],
        )

    @contextmanager
    def batches(self, size: int, workers: int, device: torch.device) -> Iterator[Iterator[Batch]]:
        """All batches in order, read ahead in `workers` processes; 0 for none.

        On a CPU the network leaves a core to each of them: threads that wait for one cost more than they do.
        """
        loader: Any = DataLoader(
            self,
            batch_size=1 if self.tiles == NATIVE else size,
            collate_fn=self.collate,
            **loader_processes(workers),
        )
        before = torch.get_num_threads()
        if device.type == "cpu" and workers:
            torch.set_num_threads(max(1, min(before, available_cores() - workers)))
        try:
            yield iter(loader)
        finally:
            torch.set_num_threads(before)


def readers(wanted: int | None, pairs: int) -> int:
    """Processes that read so many pairs, by default one for two cores."""
    return min(available_cores() // 2 if wanted is None else wanted, pairs)
