"""What a layout tells of a data set, in columns: the same for all of them."""

from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data.base.errors import DataError
from data.config import SPLITS
from data.index.options import Doubt
from data.index.views import UNKNOWN

UNDATED = np.iinfo(np.int64).max  # sorts behind every moment
MILLISECONDS_PER_DAY = 86_400_000
UNREADABLE = "folder cannot be opened"

Integers = NDArray[np.int64]


class Source(NamedTuple):
    """What a layout reads from."""

    root: Path
    out: Path  # not part of the data, where it lies below the root
    workers: int
    images: Path
    """What paths of images are relative to: the root, but where annotations lie apart from them."""


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
    view: pa.Array = None
    """By default unknown."""
    region: pa.Array = None
    """Part of the body, empty (the default) for the chest; only images of the same one are paired."""
    marks: dict[Doubt, NDArray[np.bool_]] = field(default_factory=dict)
    """Which images say that they are raw, derived or burned-in; empty (the default) where none says it."""
    moment: Integers = None  # type: ignore[assignment]
    """Increases with time within a patient; `UNDATED` (the default) where nothing is known. Milliseconds,
    where `dated`."""
    rank: Integers = None  # type: ignore[assignment]
    """Order of the images of a study, by default theirs: the lowest of a view stands for it in pairs."""
    split: pa.Array = None
    """One of `SPLITS`, or null (the default) where no official one is known."""
    number: pa.Array = None
    """The patient's number, whoever issued it; the patient by default."""
    group: pa.Array = None
    """Equal for patients who may be one person, so that splits keep them together; the patient by default."""
    labels: dict[str, pa.Array] = field(default_factory=dict)
    """Published labels by the names of their columns: 1, 0, -1 (uncertain) or null (unknown)."""
    regions: dict[str, pa.Array] = field(default_factory=dict)
    """Masks, boxes and lines by the names of their columns, as cells of `data.manifests.regions`, or null."""

    def __post_init__(self) -> None:
        defaults = {
            "view": lambda: constant(UNKNOWN, len(self)),
            "region": lambda: constant("", len(self)),
            "moment": lambda: np.full(len(self), UNDATED),
            "rank": lambda: np.arange(len(self)),
            "split": lambda: pa.nulls(len(self), pa.string()),
            "number": lambda: self.patient,
            "group": lambda: self.patient,
        }
        for name, default in defaults.items():
            if getattr(self, name) is None:
                setattr(self, name, default())

    def __len__(self) -> int:
        return len(self.patient)

    def take(self, rows: Integers) -> "Images":
        """The images at `rows`, in that order."""
        return Images(**_taken(vars(self), rows))


@dataclass(kw_only=True)
class GivenPairs:
    """Pairs that a layout names itself, as rows of its images."""

    baseline: Integers
    followup: Integers
    target: pa.Array | None = None
    """Paths or null, as `target_baseline`; None for both where the data has no targets."""
    target_baseline: pa.Array | None = None
    columns: dict[str, pa.Array] = field(default_factory=dict)
    """What else is said of the pairs."""

    def take(self, rows: Integers) -> "GivenPairs":
        """The pairs at `rows`, in that order."""
        return GivenPairs(**_taken(vars(self), rows))


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
            self.pairs = replace(self.pairs.take(kept), baseline=baseline[kept], followup=followup[kept])
        self.images = self.images.take(rows)

    def refuse(self, path: str, reason: str) -> None:
        """Leave out a file or folder that only its path, relative to the root, can name."""
        self.refused[reason] += 1
        self.refused_files.append((path, reason))

    def require_images(self, root: Path, what: str) -> None:
        """Refuse a data set of which nothing is left.

        Raises:
            DataError: naming the folder and the reasons.
        """
        if not len(self.images):
            reasons = ", ".join(f"{reason}: {count}" for reason, count in self.refused.most_common())
            raise DataError(f"{root} holds no {what} ({reasons}); name another folder")


def _taken(columns: dict[str, Any], rows: Integers) -> dict[str, Any]:
    """Columns at `rows`; some are None or dictionaries of columns."""

    def taken(column: Any) -> Any:
        if column is None:
            return None
        if isinstance(column, dict):
            return _taken(column, rows)
        return column[rows] if isinstance(column, np.ndarray) else column.take(pa.array(rows))

    return {name: taken(column) for name, column in columns.items()}


def constant(value: str, length: int) -> pa.Array:
    """A column of one string."""
    return pa.repeat(pa.scalar(value, pa.string()), length)
