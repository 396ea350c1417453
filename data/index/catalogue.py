"""What a layout tells of a data set, in columns: the same for all of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data.config import SPLITS

UNDATED = np.iinfo(np.int64).max  # sorts behind every moment
MILLISECONDS_PER_DAY = 86_400_000

Integers = NDArray[np.int64]


class Source(NamedTuple):
    """What a layout reads from."""

    root: Path
    out: Path  # not part of the data, where it lies below the root
    workers: int


@dataclass(kw_only=True)
class Images:
    """Images of a data set; all columns have the same length.

    The three names are the data set's own, unique as (patient, study, image) together.
    """

    patient: pa.Array
    study: pa.Array
    image: pa.Array
    path: pa.Array
    """Relative to the root; bytes where file names need not be UTF-8."""
    view: pa.Array
    region: pa.Array
    """Part of the body, empty for the chest; only images of the same one are paired."""
    moment: Integers
    """Increases with time within a patient; `UNDATED` where nothing is known. Milliseconds, where `dated`."""
    rank: Integers
    """Order of the images of one study: the lowest one of a view stands for it in pairs."""
    split: pa.Array
    """One of `SPLITS`, or null where no official one is known."""
    group: pa.Array = None
    """Equal for patients who may be one person, so that splits keep them together; the patient by default."""

    def __post_init__(self) -> None:
        if self.group is None:
            self.group = self.patient

    def __len__(self) -> int:
        return len(self.patient)

    def take(self, rows: Integers) -> Images:
        """The images at `rows`, in that order."""
        indices = pa.array(rows)
        return Images(
            **{
                name: column[rows] if isinstance(column, np.ndarray) else column.take(indices)
                for name, column in vars(self).items()
            }
        )


@dataclass(kw_only=True)
class GivenPairs:
    """Pairs that a layout names itself, as rows of its images, with the targets' paths or null."""

    baseline: Integers
    followup: Integers
    target: pa.Array
    target_baseline: pa.Array


@dataclass(kw_only=True)
class Catalogue:
    """A data set's images and what is to be said of it.

    A path that is null, or that no file is at, is one the official tables name and the disk lacks.
    """

    images: Images
    namespace: str
    """Tells this data set's names from another one's in pseudonyms."""
    official_splits: frozenset[str] = frozenset()
    """Splits that the data set's own files define."""
    dated: bool = False
    """Whether `moment` is milliseconds, so that days between studies are known."""
    pairs: GivenPairs | None = None
    checked: bool = False
    """Whether every path is known to exist."""
    notes: list[str] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    """Files and rows left out, by reason."""
    refused_files: list[tuple[str, str]] = field(default_factory=list)
    """Path and reason of the ones that only their path can name."""

    def __post_init__(self) -> None:
        assert self.official_splits <= set(SPLITS)

    def select(self, rows: Integers) -> None:
        """Keep the images at `rows`, in that order, and the given pairs of which both images stay."""
        if self.pairs is not None:
            place = np.full(len(self.images), -1)
            place[rows] = np.arange(len(rows))
            baseline, followup = place[self.pairs.baseline], place[self.pairs.followup]
            kept = np.flatnonzero((baseline >= 0) & (followup >= 0))
            self.pairs = GivenPairs(
                baseline=baseline[kept],
                followup=followup[kept],
                target=self.pairs.target.take(pa.array(kept)),
                target_baseline=self.pairs.target_baseline.take(pa.array(kept)),
            )
        self.images = self.images.take(rows)

    def refuse(self, path: str, reason: str) -> None:
        """Leave out a file or folder that only its path, relative to the root, can name."""
        self.refused[reason] += 1
        self.refused_files.append((path, reason))


def constant(value: str, length: int) -> pa.Array:
    """A column of one string."""
    return pa.repeat(pa.scalar(value, pa.string()), length)


def no_splits(length: int) -> pa.Array:
    """A column that names no split."""
    return pa.nulls(length, pa.string())
