"""The folder that an index is written into: all of it appears at once, and nothing of others is touched."""

from __future__ import annotations

import contextlib
import csv
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from secrets import token_hex

import pyarrow as pa
from pyarrow import csv as arrow_csv
from pyarrow import parquet

from data.base.errors import DataError
from data.index.links import FOLDER

REFUSED = "refused.private.csv"
_FORMATS = ("csv", "parquet")
_MANIFESTS = frozenset(f"{name}.{ending}" for name in ("images", "pairs") for ending in _FORMATS)


def require_free(out: Path, *, overwrite: bool) -> None:
    """Refuse a folder that holds anything which is not to be replaced.

    Raises:
        DataError: naming what is in the way.
    """
    if not os.path.lexists(out):
        return
    if out.is_symlink() or not out.is_dir():
        raise DataError(f"{out} is no folder; name a new one")
    try:
        names = {entry.name for entry in out.iterdir()}
        others = names - _MANIFESTS - {REFUSED}
        if FOLDER in names and names & _MANIFESTS and _holds_links_only(out / FOLDER):
            others.discard(FOLDER)
    except OSError as error:
        raise DataError(f"{out} cannot be listed ({error.strerror}); name another folder") from None
    if others:
        raise DataError(f"{out} holds other files ({min(others)}); name a new or an empty folder")
    if names and not overwrite:
        raise DataError(f"{out} holds manifests already; name another folder, or add --overwrite")


@contextlib.contextmanager
def replaced(out: Path) -> Iterator[Path]:
    """A new folder beside `out` that takes its place once the block is left without an error.

    Raises:
        DataError: the folder cannot be written.
    """
    folder, before = (out.parent / f".{out.name}.{token_hex(4)}" for _ in range(2))
    try:
        folder.mkdir(parents=True)
        yield folder
        if out.exists():
            out.rename(before)
        try:
            folder.rename(out)
        except BaseException:  # an interrupt included
            if before.exists():
                before.rename(out)
            raise
    except OSError as error:
        raise DataError(f"{out} cannot be written ({error.strerror}); name another folder") from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    shutil.rmtree(before, ignore_errors=True)


def write_table(path: Path, table: pa.Table) -> None:
    """A manifest as CSV, strings quoted and nulls empty, or as Parquet, by its suffix."""
    if path.suffix == ".parquet":
        parquet.write_table(table, path)
        return
    with path.open("wb") as file:
        file.write(",".join(table.column_names).encode() + b"\n")
        arrow_csv.write_csv(table, file, arrow_csv.WriteOptions(include_header=False))


def write_refused(path: Path, refused: Sequence[tuple[str, str]]) -> None:
    """Refused files by path and reason, readable by their owner only: the paths may hold names."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([("path", "reason"), *refused])


def _holds_links_only(folder: Path) -> bool:
    """Whether a folder is one of links that an index made, which may be deleted."""
    return all(
        place.is_dir() and not place.is_symlink() and all(link.is_symlink() for link in place.iterdir())
        for place in folder.iterdir()
    )
