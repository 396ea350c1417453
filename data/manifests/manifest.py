"""Manifests (CSV or Parquet) -> records. Paths in a manifest are relative to it.

- Pairs: `patient_id, baseline, followup`, and optionally `id`, `target`, `target_baseline` (the same change
  in the baseline's geometry), `split`, `view`, `days` (between the two) and `findings` (joined by `+`). A
  target may be left empty.
- Images: `patient_id, image`, and optionally `id`, `split` and `view`.
- Either may have further columns, such as labels; they are kept as they are.

Rows stay Arrow columns from the file to the record, so that a million of them is no burden.
"""

import csv
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data.base.errors import DataError, first_line
from data.config import SPLITS
from data.files.formats import require_readable, without_suffix
from data.manifests.records import (
    IMAGE_FILES,
    PAIR_FILES,
    ImageRecord,
    PairRecord,
    RecordTable,
    codes_of,
    images_of_pairs,
    unique_ids,
)
from data.manifests.sharing import ListFolder, listing, shared_file

_REQUIRED = {"pairs": ("patient_id", "baseline", "followup"), "images": ("patient_id", "image")}
_OPTIONAL = {
    "pairs": ("id", "target", "target_baseline", "split", "view", "days", "findings"),
    "images": ("id", "split", "view"),
}
SUFFIXES = (".csv", ".parquet")


def pairs_in_manifest(path: Path, *, check_files: bool = True) -> RecordTable[PairRecord]:
    """Records of a manifest of pairs, in its order.

    Args:
        path: the manifest.
        check_files: refuse a manifest that names a file which is not there.

    Raises:
        DataError: naming the manifest, the line and what is wrong with it.
    """
    kind, columns = _read_table(path)
    if kind != "pairs":
        raise DataError(f"{path} lists single images; pairs need the columns {', '.join(_REQUIRED['pairs'])}")
    return _pairs(path, columns, check_files)


def images_in_manifest(path: Path, *, check_files: bool = True) -> RecordTable[ImageRecord]:
    """Records of a manifest of images, or of both images of every pair in one of pairs.

    The arguments and errors are those of `pairs_in_manifest`.
    """
    kind, columns = _read_table(path)
    if kind == "images":
        return _images(path, columns, check_files)
    return images_of_pairs(_pairs(path, columns, check_files))


def kind_of_manifest(path: Path) -> str:
    """Whether a manifest lists `pairs` or `images`; only its header is looked at.

    Raises:
        DataError: it is neither.
    """
    return _kind_of(path, _column_names(path))


def _require_files(path: Path, records: RecordTable, list_folder: ListFolder) -> None:
    """Refuse a named file that is not there or in no readable format."""
    for column in (*PAIR_FILES, *IMAGE_FILES):
        if column not in records.columns.column_names:
            continue
        for row, cell in enumerate(records.columns.column(column).to_pylist()):
            if cell is None:
                continue
            folder, slash, name = cell.rpartition("/")
            if name not in list_folder(os.path.join(records.folder, folder + slash)):  # noqa: PTH118 (a million times)
                raise DataError(
                    f"{path} line {_line(path, row)}: the {column} {records.folder / cell} does not exist; "
                    "paths are relative to the manifest"
                )
            try:
                require_readable(name)
            except DataError as error:
                raise DataError(f"{path} line {_line(path, row)}: {error}") from None


def _pairs(path: Path, columns: pa.Table, check_files: bool) -> RecordTable[PairRecord]:
    columns = _with_plain_paths(columns, PAIR_FILES)
    baselines, followups = columns.column("baseline"), columns.column("followup")
    _refuse_repeated(path, codes_of(followups).astype(np.int64) << 32 | codes_of(baselines))
    full_names = pc.binary_join_element_wise(followups, baselines, " since ")
    records = RecordTable(PairRecord, _with_ids(columns, followups, full_names), path.parent)
    _check_files(path, records, check_files)
    return records


def _images(path: Path, columns: pa.Table, check_files: bool) -> RecordTable[ImageRecord]:
    columns = _with_plain_paths(columns, IMAGE_FILES)
    images = columns.column("image")
    _refuse_repeated(path, codes_of(images))
    records = RecordTable(ImageRecord, _with_ids(columns, images, images), path.parent)
    _check_files(path, records, check_files)
    return records


def _with_ids(columns: pa.Table, paths: pa.ChunkedArray, full_names: pa.ChunkedArray) -> pa.Table:
    if "id" in columns.column_names:
        return columns
    names = [without_suffix(path) for path in paths.to_pylist()]
    return columns.append_column("id", pa.array(unique_ids(names, full_names.to_pylist())))


def _read_table(path: Path) -> tuple[str, pa.Table]:
    """What the rows are, and their cells: trimmed strings, null where empty, rows of nothing left out."""
    names = _column_names(path)
    kind = _kind_of(path, names)
    columns = _cells(path, names)
    # A column without a name is the row numbers that pandas writes, or nothing.
    columns = pa.table({name: _trimmed(columns.column(place)) for place, name in enumerate(names) if name})
    empty = np.logical_and.reduce([column.is_null().to_numpy() for column in columns.columns])
    columns = columns.filter(pa.array(~empty))
    if not len(columns):
        raise DataError(f"{path} has no rows below its header; list at least one of the {kind}")
    for name in _OPTIONAL[kind]:
        if name in names and columns.column(name).null_count == len(columns):
            columns = columns.drop_columns([name])
    _require_values(path, kind, columns)
    return kind, columns


def _column_names(path: Path) -> list[str]:
    if not path.exists():
        raise DataError(f"{path} does not exist; give a CSV or Parquet manifest or a folder")
    if path.suffix.lower() not in SUFFIXES:
        raise DataError(f"{path} is neither a folder nor a CSV or Parquet manifest; give one of them")
    if path.suffix.lower() == ".parquet":
        import pyarrow.parquet as pq

        try:
            # What pandas adds to a table that was filtered.
            return [name for name in pq.read_schema(path).names if not name.startswith("__index_level_")]
        except (OSError, pa.ArrowException) as error:
            raise _unreadable(path, error) from error
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return [name.strip() for name in next(csv.reader(file), [])]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _unreadable(path, error) from error


def _cells(path: Path, names: Sequence[str]) -> pa.Table:
    """The cells below the header, as strings."""
    try:
        if path.suffix.lower() == ".parquet":
            import pyarrow.parquet as pq

            table = pq.read_table(path, columns=list(names))
            return pa.table({name: _as_text(path, name, table.column(name)) for name in names})
        import pyarrow.csv as pc_csv

        keys = [str(index) for index in range(len(names))]
        # The first row is skipped, not read as names: a name may have blanks around it.
        return pc_csv.read_csv(
            path,
            pc_csv.ReadOptions(column_names=keys, skip_rows_after_names=1),
            pc_csv.ParseOptions(newlines_in_values=True),
            pc_csv.ConvertOptions(column_types=dict.fromkeys(keys, pa.string()), strings_can_be_null=False),
        )
    except pa.ArrowInvalid as error:
        for number, line in () if path.suffix.lower() == ".parquet" else _lines(path):
            if len(line) != len(names):
                reason = f"line {number} has {len(line)} cells; the header has {len(names)}"
                raise DataError(f"{path} {reason}") from None
        raise _unreadable(path, error) from error
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(path, error) from error


def _as_text(path: Path, name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    try:
        return column.cast(pa.string())
    except (pa.ArrowException, UnicodeDecodeError):
        raise DataError(f"{path} holds {column.type} in the column {name!r}; store text or numbers") from None


def _unreadable(path: Path, error: Exception) -> DataError:
    form = "Parquet" if path.suffix.lower() == ".parquet" else "UTF-8 CSV"
    return DataError(f"{path} cannot be read ({first_line(error)}); save the manifest as {form}")


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Rows of a CSV below its header that hold anything, with the number of their last line."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file)
        try:
            next(reader, None)
            yield from ((reader.line_num, line) for line in reader if any(cell.strip() for cell in line))
        except (UnicodeDecodeError, csv.Error) as error:
            raise _unreadable(path, error) from error


def _line(path: Path, row: int) -> int:
    """Line of a row, for a message; a Parquet file has none, its rows are counted from 1."""
    if path.suffix.lower() == ".parquet":
        return row + 1
    return next(number for index, (number, _) in enumerate(_lines(path)) if index == row)


def _trimmed(column: pa.ChunkedArray) -> pa.ChunkedArray:
    text = pc.utf8_trim_whitespace(column)
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)


def _kind_of(path: Path, columns: Sequence[str]) -> str:
    """Whether the header is one of pairs or of images."""
    kind = "images" if "image" in columns else "pairs"
    required, optional = _REQUIRED[kind], _OPTIONAL[kind]
    legal = f"a manifest of {kind} has {', '.join(required)} and may have {', '.join(optional)} and others"
    for name in required:
        if name not in columns:
            hint = " separated by commas" if len(columns) == 1 and set(columns[0]) & set(";\t|") else ""
            raise DataError(f"{path} lacks the column {name!r}{hint}; {legal}")
    if kind == "images" and {"baseline", "followup"} <= set(columns):
        raise DataError(f"{path} lists images and pairs in one table; {legal}")
    for name in filter(None, columns):
        if columns.count(name) > 1:
            raise DataError(f"{path} has the column {name!r} twice; remove one")
        for meant in optional:  # which would be kept and not heeded
            if name != meant and _plain(name) == _plain(meant) and meant not in columns:
                raise DataError(f"{path} has the column {name!r}; call it {meant!r}, or something else")
    return kind


def _plain(name: str) -> str:
    return "".join(filter(str.isalnum, name)).lower()


def _require_values(path: Path, kind: str, columns: pa.Table) -> None:
    named = columns.column_names
    for name in (*_REQUIRED[kind], *(("id",) if "id" in named else ())):
        column = columns.column(name)
        if column.null_count:
            line = _line(path, int(np.flatnonzero(column.is_null().to_numpy())[0]))
            raise DataError(f"{path} line {line} leaves {name!r} empty; fill it in")
    if "id" in named:
        _refuse_repeated(path, codes_of(columns.column("id")), "the id of ")
    if "split" in named:
        _require_splits(path, columns.column("split"))


def _require_splits(path: Path, column: pa.ChunkedArray) -> None:
    absent = column.is_null().to_numpy()
    wrong = np.flatnonzero(~pc.is_in(column, pa.array([*SPLITS, None], pa.string())).to_numpy())
    if wrong.size:
        raise DataError(
            f"{path} line {_line(path, int(wrong[0]))} has the split {column[int(wrong[0])].as_py()!r}; "
            f"it must be one of {', '.join(SPLITS)}"
        )
    if absent.any():
        raise DataError(
            f"{path} line {_line(path, int(absent.argmax()))} names no split but other lines do; name all of "
            "them, or remove the column to have the splits drawn"
        )


def _with_plain_paths(columns: pa.Table, names: Sequence[str]) -> pa.Table:
    """Paths without detours, so that one file has one name."""
    plain = dict(zip(columns.column_names, columns.columns, strict=True))
    for name in plain.keys() & set(names):
        cells = plain[name]
        if pc.any(pc.match_substring_regex(cells, r"//|(^|/)\.{1,2}/")).as_py():
            paths = [cell if cell is None else os.path.normpath(cell) for cell in cells.to_pylist()]
            plain[name] = pa.chunked_array([paths], pa.string())
    return pa.table(plain)


def _check_files(path: Path, records: RecordTable, must_exist: bool) -> None:
    list_folder = listing()
    _refuse_shared(path, records, list_folder)
    if must_exist:
        _require_files(path, records, list_folder)


def _refuse_shared(path: Path, records: RecordTable, list_folder: ListFolder) -> None:
    """A radiograph is of one patient; of two, it could be trained and tested on."""
    if shared := shared_file(records, list_folder):
        use, earlier = shared
        there = "" if use.cell == earlier.cell else f", as {earlier.cell}"
        raise DataError(
            f"{path} line {_line(path, use.row)}: the {use.role} {use.cell} is of another patient in line "
            f"{_line(path, earlier.row)}{there}; a file belongs to one patient"
        )


def _refuse_repeated(path: Path, keys: np.ndarray, what: str = "") -> None:
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    if len(first) == len(keys):
        return
    row = int(np.flatnonzero(first[inverse] != np.arange(len(keys)))[0])
    earlier = int(first[inverse[row]])
    raise DataError(
        f"{path} line {_line(path, row)} repeats {what}line {_line(path, earlier)}; remove one of them"
    )
