"""What a folder of drawn pairs holds; a piece of it is the pairs of one radiograph."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path

from data.base.atomic import write_rows
from data.base.outputs import OutputFolder
from data.draw.masks import stamps_of
from data.draw.naming import Named
from data.draw.options import DrawConfig
from data.manifests.records import PAIR_FILES
from data.manifests.writing import Row, are_rows, flat_files

VERSION = 5
"""Raise it whenever the same settings give other pixels."""
MANIFEST = "manifest.csv"
SKIPPED = "skipped.private.csv"
# What decides where pairs come from, go to and how fast, not what is in them.
_NOT_SETTINGS = ("images", "out", "workers", "cluster", "on_error")


def output_of(config: DrawConfig) -> OutputFolder:
    """The folder of a run."""
    files = (*flat_files("*").values(), SKIPPED)
    return OutputFolder(path=config.out, state=".drawing", last=MANIFEST, files=files)


def claimed(config: DrawConfig) -> AbstractContextManager[None]:
    """Have the folder of a run for its settings; the errors are those of `OutputFolder.claimed`."""
    settings = {name: value for name, value in asdict(config).items() if name not in _NOT_SETTINGS}
    return output_of(config).claimed(settings | {"version": VERSION})


def finished(film: Named, config: DrawConfig) -> Sequence[Row] | None:
    """Rows of a radiograph whose pairs are all there, drawn from the file as it is now; None otherwise."""
    match output_of(config).record_of(film.key):
        case {"source": stamps, "rows": rows} if are_rows(rows) and len(rows) == config.pairs_per_image:
            files = (config.out / row[role] for row in rows for role in PAIR_FILES)
            same = stamps == stamps_of(film.record, config.images)
            return rows if same and all(map(Path.is_file, files)) else None
    return None


def write_skipped(out: Path, reasons: Sequence[str]) -> None:
    """Write a line for each radiograph that was left out; no file where none was.

    Only its owner can read the file: the paths in it may hold names.
    """
    if reasons:
        write_rows(out / SKIPPED, [["reason"], *([reason] for reason in reasons)], private=True)
    else:
        (out / SKIPPED).unlink(missing_ok=True)
