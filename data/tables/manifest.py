"""CSV manifests -> records. Paths in a manifest are relative to it.

- Pairs: `patient_id, baseline, followup`, and optionally `target`, `target_baseline` (the same change in the
  baseline's geometry) and `split`. A target may be left empty.
- Images: `patient_id, image`, and optionally `split`.
"""

from __future__ import annotations

import csv
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import NamedTuple

from data.config import SPLITS
from data.errors import DataError
from data.files.formats import require_readable, without_suffix

from .records import ImageRecord, PairRecord, images_of_pairs, unique_ids

_REQUIRED = {"pairs": ("patient_id", "baseline", "followup"), "images": ("patient_id", "image")}
_OPTIONAL = {"pairs": ("target", "target_baseline", "split"), "images": ("split",)}
_FILES = ("baseline", "followup", "target", "target_baseline", "image")


def pairs_in_manifest(path: Path) -> list[PairRecord]:
    """Records of a manifest of pairs, in its order.

    Raises:
        DataError: naming the manifest, the line and what is wrong with it.
    """
    table = _read_table(path)
    if table.kind != "pairs":
        raise DataError(f"{path} lists single images; pairs need the columns {', '.join(_REQUIRED['pairs'])}")
    return _pairs(table)


def images_in_manifest(path: Path) -> list[ImageRecord]:
    """Records of a manifest of images, or of both images of every pair in one of pairs.

    Raises:
        DataError: naming the manifest, the line and what is wrong with it.
    """
    table = _read_table(path)
    return _images(table) if table.kind == "images" else images_of_pairs(_pairs(table))


class _Row(NamedTuple):
    line: int
    cells: dict[str, str]  # by column; empty optional cells are absent


class _Table(NamedTuple):
    path: Path
    kind: str
    rows: list[_Row]


def _pairs(table: _Table) -> list[PairRecord]:
    rows = table.rows
    _refuse_repeated(table, [(cells["baseline"], cells["followup"]) for _, cells in rows])
    names = [without_suffix(cells["followup"]) for _, cells in rows]
    full_names = [f"{cells['followup']} since {cells['baseline']}" for _, cells in rows]
    folder = table.path.parent
    return [
        PairRecord(
            id=name,
            patient_id=cells["patient_id"],
            baseline=folder / cells["baseline"],
            followup=folder / cells["followup"],
            target=folder / cells["target"] if "target" in cells else None,
            target_baseline=folder / cells["target_baseline"] if "target_baseline" in cells else None,
            split=cells.get("split"),
        )
        for name, (_, cells) in zip(unique_ids(names, full_names), rows, strict=True)
    ]


def _images(table: _Table) -> list[ImageRecord]:
    full_names = [cells["image"] for _, cells in table.rows]
    _refuse_repeated(table, full_names)
    names = [without_suffix(name) for name in full_names]
    return [
        ImageRecord(
            id=name,
            patient_id=cells["patient_id"],
            image=table.path.parent / cells["image"],
            split=cells.get("split"),
        )
        for name, (_, cells) in zip(unique_ids(names, full_names), table.rows, strict=True)
    ]


def _read_table(path: Path) -> _Table:
    if path.suffix.lower() == ".parquet":
        raise DataError(f"{path} is Parquet, which is not read yet; save the manifest as CSV")
    if not path.exists():
        raise DataError(f"{path} does not exist; give a CSV manifest or a folder")
    if path.suffix.lower() != ".csv":
        raise DataError(f"{path} is neither a folder nor a CSV manifest; give one of the two")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            columns = [name.strip() for name in next(reader, [])]
            lines = [(reader.line_num, line) for line in reader if any(line)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read ({error}); save the manifest as UTF-8 CSV") from error
    kind = _kind_of(path, columns)
    if not lines:
        raise DataError(f"{path} has no rows below its header; list at least one of the {kind}")
    rows = [_parse_row(path, kind, columns, number, line) for number, line in lines]
    _require_one_naming_of_splits(path, rows)
    _require_files(path, rows)
    return _Table(path, kind, rows)


def _kind_of(path: Path, columns: Sequence[str]) -> str:
    """Whether the header is one of pairs or of images."""
    kind = "images" if "image" in columns else "pairs"
    required, optional = _REQUIRED[kind], _OPTIONAL[kind]
    legal = f"a manifest of {kind} has {', '.join(required)} and may have {', '.join(optional)}"
    for name in required:
        if name not in columns:
            raise DataError(f"{path} lacks the column {name!r}; {legal}")
    for name in columns:
        if name not in required + optional:
            raise DataError(f"{path} has the unknown column {name!r}; {legal}")
        if columns.count(name) > 1:
            raise DataError(f"{path} has the column {name!r} twice; remove one")
    return kind


def _parse_row(path: Path, kind: str, columns: Sequence[str], number: int, line: Sequence[str]) -> _Row:
    if len(line) != len(columns):
        raise DataError(f"{path} line {number} has {len(line)} cells; the header has {len(columns)}")
    cells = {name: value for name, cell in zip(columns, line, strict=True) if (value := cell.strip())}
    for name in _REQUIRED[kind]:
        if name not in cells:
            raise DataError(f"{path} line {number} leaves {name!r} empty; fill it in")
    if "split" in cells and cells["split"] not in SPLITS:
        raise DataError(
            f"{path} line {number} has the split {cells['split']!r}; it must be one of {', '.join(SPLITS)}"
        )
    return _Row(number, cells)


def _require_one_naming_of_splits(path: Path, rows: Sequence[_Row]) -> None:
    unnamed = [row.line for row in rows if "split" not in row.cells]
    if 0 < len(unnamed) < len(rows):
        raise DataError(
            f"{path} line {unnamed[0]} names no split but other lines do; name all of them, "
            "or remove the column to have the splits drawn"
        )


def _require_files(path: Path, rows: Sequence[_Row]) -> None:
    """Every named file exists in a readable format; a folder is listed once, however many files it holds."""
    listings: dict[str, frozenset[str]] = {}
    for number, cells in rows:
        for column in _FILES:
            if column not in cells:
                continue
            folder, _, name = cells[column].rpartition("/")
            if "/" in cells[column] and not folder:
                folder = "/"
            if folder not in listings:
                listings[folder] = _names_in(path.parent / folder)
            if name not in listings[folder]:
                raise DataError(
                    f"{path} line {number}: the {column} {path.parent / cells[column]} does not exist; "
                    "paths are relative to the manifest"
                )
            try:
                require_readable(name)
            except DataError as error:
                raise DataError(f"{path} line {number}: {error}") from None


def _names_in(folder: Path) -> frozenset[str]:
    return frozenset(entry.name for entry in folder.iterdir()) if folder.is_dir() else frozenset()


def _refuse_repeated(table: _Table, keys: Sequence[Hashable]) -> None:
    first: dict[Hashable, int] = {}
    for key, row in zip(keys, table.rows, strict=True):
        if key in first:
            raise DataError(f"{table.path} line {row.line} repeats line {first[key]}; remove one of them")
        first[key] = row.line
