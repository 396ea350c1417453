"""Files that appear complete or not at all, whatever happens while they are written."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from data.base.errors import DataError

_PART = ".part-"


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A file to write to that takes the place of `path` once the block is left without an error.

    It lies beside `path`, hidden and with the same suffix.

    Raises:
        DataError: it cannot be written.
    """
    part = path.with_name(f"{_PART}{os.getpid()}-{path.name}")
    try:
        yield part
        part.replace(path)
    except OSError as error:
        reason = f"{path} cannot be written ({error.strerror}); make room or name another folder"
        raise DataError(reason) from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    with whole(path) as part:
        part.write_text(text, encoding="utf-8")


def write_rows(path: Path, rows: Iterable[Sequence[str]]) -> None:
    """Write a CSV file whole or not at all."""
    with whole(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def remove_parts(folder: Path) -> None:
    """Delete what runs that were killed left in a folder."""
    for part in folder.glob(f"{_PART}*"):
        part.unlink(missing_ok=True)
