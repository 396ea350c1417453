"""What is known of pairs and images before their files are read: a million rows in little memory."""

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Generic, TypeVar, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

PAIR_FILES = ("baseline", "followup", "target", "target_baseline")
IMAGE_FILES = ("image",)
_OF_ONE_IMAGE = ("baseline_", "followup_")


@dataclass(frozen=True, slots=True, kw_only=True)
class PairRecord:
    """Files of one pair; `split` is None where the data names none, `columns` is what else it says."""

    id: str
    patient_id: str
    baseline: Path
    followup: Path
    target: Path | None = None
    target_baseline: Path | None = None
    split: str | None = None
    findings: tuple[str, ...] = ()
    columns: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRecord:
    """File of one image; `split` is None where the data names none, `columns` is what else it says."""

    id: str
    patient_id: str
    image: Path
    split: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict, hash=False)


RecordT = TypeVar("RecordT", PairRecord, ImageRecord)


class RecordTable(Sequence[RecordT], Generic[RecordT]):
    """Records kept as Arrow columns of strings; each is made when it is asked for.

    Args:
        kind: what a row is.
        columns: one string column for each known field, null where a row has no value; findings are joined
            by `+`. All further ones are what records have as `columns`.
        folder: what relative paths are relative to.
    """

    def __init__(self, kind: type[RecordT], columns: pa.Table, folder: Path) -> None:
        self.kind: type[RecordT] = kind
        self.columns = columns.combine_chunks()
        self.folder = folder
        known = _known(kind)
        self._fields = [name for name in columns.column_names if name in known]
        self.further = [name for name in columns.column_names if name not in known]
        """Names of the columns that are no field of a record."""

    @classmethod
    def of(cls, kind: type[RecordT], records: Iterable[RecordT]) -> "RecordTable[RecordT]":
        """A table of records that are there already."""
        rows = list(records)
        cells = {name: [_cell(getattr(row, name)) for row in rows] for name in _known(kind)}
        further = dict.fromkeys(name for row in rows for name in row.columns)
        cells |= {name: [row.columns.get(name) for row in rows] for name in further}
        columns = {name: pa.array(column, pa.string()) for name, column in cells.items()}
        return cls(kind, pa.table(columns), Path())

    def __len__(self) -> int:
        return len(self.columns)

    @overload
    def __getitem__(self, index: int) -> RecordT: ...
    @overload
    def __getitem__(self, index: slice) -> "RecordTable[RecordT]": ...
    def __getitem__(self, index: int | slice) -> "RecordT | RecordTable[RecordT]":
        if isinstance(index, slice):
            return self.take(np.arange(len(self))[index])
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        row = {name: self.columns.column(name)[index].as_py() for name in self.columns.column_names}
        further = {name: row[name] for name in self.further if row[name] is not None}
        return self.kind(**{name: self._value(name, row[name]) for name in self._fields}, columns=further)

    def __iter__(self) -> Iterator[RecordT]:
        return (self[index] for index in range(len(self)))

    @property
    def patients(self) -> list[str]:
        """Names of the patients, sorted."""
        return sorted(pc.unique(self.columns.column("patient_id")).to_pylist())

    @property
    def files(self) -> list[str]:
        """Paths of the files that the rows name, each once."""
        names = [name for name in (*PAIR_FILES, *IMAGE_FILES) if self.has(name)]
        cells = pa.chunked_array([self.columns.column(name).combine_chunks() for name in names])
        return [os.path.join(self.folder, cell) for cell in pc.unique(cells.drop_null()).to_pylist()]  # noqa: PTH118

    def digest(self, further: Sequence[str] = ()) -> str:
        """By which the same samples of the same patients in the same splits (and columns) are recognised."""
        digest = hashlib.sha256()
        for name in ("id", "patient_id", "split", *further):
            cells = self.columns.column(name).to_pylist() if name in self.columns.column_names else ()
            for cell in cells:
                digest.update(b"\0" if cell is None else b"\1" + cell.encode())
        return digest.hexdigest()[:32]

    def has(self, name: str) -> bool:
        """Whether any row has a value in a column."""
        return name in self.columns.column_names and self.columns.column(name).null_count < len(self)

    def counts(self, name: str) -> Counter[str | None]:
        """How many rows have each value of a column."""
        counts = pc.value_counts(self.columns.column(name))
        return Counter({row["values"]: row["counts"] for row in counts.to_pylist()})

    def select(self, name: str, value: str | None) -> "RecordTable[RecordT]":
        """The rows that have a value in a column, or, with None, those that have none."""
        column = self.columns.column(name)
        mask = pc.is_null(column) if value is None else pc.equal(column, value)
        return RecordTable(self.kind, self.columns.filter(mask), self.folder)

    def take(self, rows: Any) -> "RecordTable[RecordT]":
        """The rows of given numbers, in their order."""
        return RecordTable(self.kind, self.columns.take(pa.array(rows, pa.int64())), self.folder)

    def with_column(self, name: str, values: pa.Array) -> "RecordTable[RecordT]":
        """The same rows with a column replaced or added."""
        columns = dict(zip(self.columns.column_names, self.columns.columns, strict=True))
        return RecordTable(self.kind, pa.table(columns | {name: values}), self.folder)

    def _value(self, name: str, cell: str | None) -> Any:
        if name == "findings":
            return findings_of(cell)
        if cell is not None and name in (*PAIR_FILES, *IMAGE_FILES):
            return self.folder / cell
        return cell


def findings_of(cell: str | None) -> tuple[str, ...]:
    """The findings that a cell of a manifest names, joined by `+`."""
    return tuple(name for part in (cell or "").split("+") if (name := part.strip()))


def images_of_pairs(pairs: RecordTable[PairRecord]) -> RecordTable[ImageRecord]:
    """Both images of every pair; one that is in several is used once, with the columns of the first."""
    sides = []
    for role in ("baseline", "followup"):
        taken = {"image": role, "patient_id": "patient_id", "split": "split"}
        taken |= columns_of_image(pairs.further, role)
        columns = {"id": pc.binary_join_element_wise(pairs.columns.column("id"), role, "/")}
        for name, source in taken.items():
            if source in pairs.columns.column_names:
                columns[name] = pairs.columns.column(source)
        sides.append(pa.table(columns))
    both = pa.concat_tables(sides, promote_options="default").combine_chunks()
    interleaved = both.take(pa.array(np.arange(2 * len(pairs)).reshape(2, -1).T.ravel()))
    images = RecordTable(ImageRecord, interleaved, pairs.folder)
    return images.take(first_rows(interleaved.column("image")))


def columns_of_image(further: Sequence[str], role: str) -> dict[str, str]:
    """The further columns of an image of a pair by name, each with the one of the pair that it is.

    What is said of the pair is said of both images, but for the days between them; `ROLE_x` is x of one.
    """
    of_both = {name: name for name in further if name != "days" and not name.startswith(_OF_ONE_IMAGE)}
    own = {name.removeprefix(f"{role}_"): name for name in further if name.startswith(f"{role}_")}
    return of_both | {name: column for name, column in own.items() if name not in _known(ImageRecord)}


def first_rows(column: pa.ChunkedArray | pa.Array) -> np.ndarray:
    """Number of the first row with each value of a column, ascending."""
    return np.sort(np.unique(codes_of(column), return_index=True)[1])


def codes_of(column: pa.ChunkedArray | pa.Array) -> np.ndarray:
    """A number for every row, equal where the values are."""
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return pc.dictionary_encode(whole, null_encoding="encode").indices.to_numpy()


def unique_ids(names: Sequence[str], full_names: Sequence[str]) -> list[str]:
    """The short `names`, but the full one for every short name that occurs more than once."""
    count = Counter(names)
    return [
        name if count[name] == 1 else full_name for name, full_name in zip(names, full_names, strict=True)
    ]


def _known(kind: type[PairRecord] | type[ImageRecord]) -> list[str]:
    """The columns that are fields of a record."""
    return [item.name for item in fields(kind) if item.name != "columns"]


def _cell(value: Any) -> str | None:
    if isinstance(value, tuple):
        return "+".join(value) or None
    return None if value is None else str(value)
