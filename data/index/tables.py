"""Official tables (CSV, plain or gzipped) -> columns of strings."""

import csv
import gzip
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow import csv as arrow_csv

from data.base.errors import DataError
from data.index.catalogue import MILLISECONDS_PER_DAY, UNDATED
from data.index.views import normalise_view


def find_table(root: Path, *patterns: str) -> Path | None:
    """The first file in `root` that fits one of the patterns, as it is or gzipped; the last in name order of
    those that fit the same pattern, so that the latest version of a table wins.
    """
    for pattern in patterns:
        for ending in ("", ".gz"):
            if found := sorted(root.glob(pattern + ending)):
                return found[-1]
    return None


def header_of(path: Path, *, delimiter: str = ",") -> list[str]:
    """Column names of a table.

    Raises:
        DataError: it cannot be read.
    """
    opener = gzip.open if path.suffix == ".gz" else open
    with reading(path), opener(path, "rt", encoding="utf-8-sig", newline="") as file:
        return next(csv.reader(file, delimiter=delimiter), [])


def read_table(
    path: Path, columns: Sequence[str], *, multiline: bool = False, delimiter: str = ","
) -> dict[str, pa.Array]:
    """The named columns as strings, an empty one for an empty cell.

    Args:
        path: the table.
        columns: names to read; blanks around them in the table do not matter.
        multiline: cells hold line breaks; reading is slower then.
        delimiter: between cells.

    Raises:
        DataError: the file cannot be read or lacks a column.
    """
    found = {name.strip(): name for name in header_of(path, delimiter=delimiter)}
    require_columns(path, found, columns)
    stored = [found[name] for name in columns]
    options = arrow_csv.ConvertOptions(
        include_columns=stored,
        column_types=dict.fromkeys(stored, pa.string()),
        strings_can_be_null=False,
    )
    lines = arrow_csv.ParseOptions(newlines_in_values=multiline, delimiter=delimiter)
    with reading(path):
        table = arrow_csv.read_csv(path, parse_options=lines, convert_options=options)
    return {name: whole(table[found[name]]) for name in columns}


def read_rows(path: Path, columns: Sequence[str]) -> list[dict[str, Any]]:
    """The named columns of a Parquet table, row by row; errors as in `read_table`."""
    from pyarrow import parquet

    with reading(path):
        require_columns(path, parquet.read_schema(path).names, columns)
        return parquet.read_table(path, columns=list(columns)).to_pylist()


def read_json(path: Path) -> Any:
    """What a JSON file holds; errors as in `read_table`."""
    with reading(path):
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except json.JSONDecodeError:
            raise DataError(f"{path} is no JSON; download the official file again") from None


def require_columns(path: Path, found: Collection[str], columns: Iterable[str]) -> None:
    """Refuse a table that lacks a column.

    Raises:
        DataError: naming it.
    """
    for name in columns:
        if name not in found:
            raise DataError(f"{path} lacks the column {name}; download the official file again")


def read_words(path: Path) -> list[str]:
    """What a list holds, separated by white space.

    Raises:
        DataError: it cannot be read.
    """
    with reading(path):
        return path.read_text(encoding="utf-8").split()


def whole(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    """A column in one piece."""
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def join(*parts: pa.Array | str, separator: str = "") -> pa.Array:
    """Strings joined element by element."""
    return whole(pc.binary_join_element_wise(*parts, separator))


def mapped(column: pa.Array, value_of: Callable[[str], str | None]) -> pa.Array:
    """A function of every string; a column holds few different ones, so each is looked at once."""
    encoded = whole(column).dictionary_encode()
    values = [value_of(text) for text in encoded.dictionary.to_pylist()]
    return pa.array(values, pa.string()).take(encoded.indices)


def views_of(column: pa.Array) -> pa.Array:
    """Views in one spelling."""
    return mapped(column, normalise_view)


def moments(dates: pa.Array, times: pa.Array | None = None) -> NDArray[np.int64]:
    """Milliseconds since 1970 of dates as `20140915` and times of the day as DICOM's `[H]HMMSS[.frac]`.

    Leading zeros of a time may be lost, as where a table held it as a number. `UNDATED` where a date is
    empty or none; midnight where a time is.
    """
    stamps = pc.strptime(dates, format="%Y%m%d", unit="s", error_is_null=True)
    known = stamps.is_valid().to_numpy(zero_copy_only=False)
    seconds = stamps.fill_null(pa.scalar(0, stamps.type)).cast(pa.int64()).to_numpy()
    result = seconds * 1000
    if times is not None:
        result = result + _milliseconds_of_day(times)
    return np.where(known, result, UNDATED)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """A DataError without a library's message: rows are repeated there, which may hold names."""
    try:
        yield
    except (OSError, EOFError, UnicodeDecodeError, csv.Error, pa.ArrowException) as error:
        kind = (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
        raise DataError(f"{path} cannot be read ({kind}); download it again") from None


def _milliseconds_of_day(times: pa.Array) -> NDArray[np.int64]:
    matching = pc.match_substring_regex(times, r"^\d{1,6}(\.\d*)?$")
    numbers = pc.if_else(matching, times, "0").cast(pa.float64()).to_numpy()
    thousandths = np.round(numbers * 1000).astype(np.int64)
    clock, fraction = np.divmod(thousandths, 1000)
    hours, minutes, seconds = clock // 10_000, clock // 100 % 100, clock % 100
    return np.minimum(((hours * 60 + minutes) * 60 + seconds) * 1000 + fraction, MILLISECONDS_PER_DAY - 1)


def numbers_in(column: pa.Array) -> NDArray[np.int64]:
    """The last number in every string, `UNDATED` where there is none."""
    found = pc.struct_field(pc.extract_regex(column, r"(?P<number>\d{1,15})\D*$"), "number")
    return found.cast(pa.int64()).fill_null(UNDATED).to_numpy()
