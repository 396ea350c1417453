"""Pairs to files and to a manifest (CSV or Parquet); the inverse of `data.manifests.manifest`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import csv, parquet

from data.base.atomic import whole
from data.config import Change
from data.files.maps import write_map
from data.manifests.records import PAIR_FILES

COLUMNS = ("id", "patient_id", "image", *PAIR_FILES, "split", "view", "days", "findings")
"""The columns that the toolkit knows, in the order in which they are written; others follow them."""
_NESTED = dict(zip(PAIR_FILES, ("prior", "current", "diff_map", "diff_map_prior"), strict=True))

Row = Mapping[str, str | None]
"""One line of a manifest by column."""


def write_manifest(path: Path, rows: Sequence[Row] | pa.Table) -> None:
    """Write a manifest whole or not at all: CSV, with strings quoted and nulls empty, or Parquet.

    Args:
        path: where to; its suffix says which of the two it is.
        rows: lines, or a table of columns, which is written as it is. Of lines, a column in which no cell has
            a value is left out.

    Raises:
        DataError: it cannot be written.
    """
    table = rows if isinstance(rows, pa.Table) else _table_of(rows)
    with whole(path) as part:
        if path.suffix == ".parquet":
            parquet.write_table(table, part)
        else:
            csv.write_csv(table, part)


def write_pair(
    folder: Path, files: Mapping[str, str], planes: Mapping[str, NDArray[np.float32]], change: Change
) -> None:
    """Write the radiographs and the maps of a pair.

    Args:
        folder: what `files` are relative to.
        files: where each of the `PAIR_FILES` is put; see `flat_files` and `nested_files`.
        planes: radiographs `[H, W]` in `[0, 1]`, and signed change maps in `[-1, 1]`.
        change: what the maps mean where they are written; magnitudes lose their signs.
    """
    for role, plane in planes.items():
        path = folder / files[role]
        path.parent.mkdir(parents=True, exist_ok=True)
        if not role.startswith("target"):
            write_map(path, plane, "magnitude")
        else:
            write_map(path, plane if change == "signed" else np.abs(plane), change)


def flat_files(name: str) -> dict[str, str]:
    """`baseline/NAME.png`, `followup/NAME.png` and so on, by role."""
    return {role: f"{role}/{name}.png" for role in PAIR_FILES}


def nested_files(case: str, pair: str) -> dict[str, str]:
    """`CASE/PAIR/prior.nii.gz`, `CASE/PAIR/current.nii.gz` and so on, by role."""
    return {role: f"{case}/{pair}/{name}.nii.gz" for role, name in _NESTED.items()}


def are_rows(value: Any) -> bool:
    """Whether what was read back somewhere is rows of pairs with all their files."""
    return isinstance(value, list) and all(
        isinstance(row, dict)
        and {"id", *PAIR_FILES} <= row.keys()
        and all(isinstance(cell, str) for cell in row.values())
        for row in value
    )


def _table_of(rows: Sequence[Row]) -> pa.Table:
    found = dict.fromkeys(name for row in rows for name, cell in row.items() if cell is not None)
    names = [name for name in COLUMNS if name in found] + [name for name in found if name not in COLUMNS]
    return pa.table({name: pa.array([row.get(name) for row in rows], pa.string()) for name in names})
