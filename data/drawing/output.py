"""What a folder of drawn pairs holds: files written whole or not at all, settings, and the manifest."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from data.atomic import remove_parts, whole, write_rows, write_text
from data.config import Change
from data.drawing.config import DrawConfig
from data.drawing.density import Plane
from data.drawing.pairs import DrawnPair
from data.errors import DataError
from data.files.maps import write_map
from data.randomness import fold_seed

VERSION = 1
"""Raise it whenever the same settings give other pixels."""
COLUMNS = ("id", "patient_id", "baseline", "followup", "target", "target_baseline", "split", "findings")
FOLDERS = ("baseline", "followup", "target", "target_baseline")
SKIPPED = "skipped.csv"
_DONE = ".done"
# What decides where pairs come from, go to and how fast, not what is in them.
_NOT_SETTINGS = ("images", "out", "workers", "on_error")

Row = dict[str, str]
"""One line of the manifest by column."""


def open_output(config: DrawConfig) -> None:
    """Make the folder, or take one up again that was made with the same settings.

    Raises:
        DataError: if the folder holds pairs drawn with other settings, or is something else.
    """
    out = config.out
    settings = {name: value for name, value in asdict(config).items() if name not in _NOT_SETTINGS}
    settings = json.loads(json.dumps({**settings, "version": VERSION}))
    file = out / "settings.json"
    if file.exists():
        _require_equal(file, settings)
    elif out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise DataError(f"{out} exists and holds no drawn pairs; name a new folder")
    try:
        for name in (*FOLDERS, _DONE):
            (out / name).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{out} cannot be made ({error.strerror}); name another folder") from error
    for name in (*FOLDERS, _DONE):
        remove_parts(out / name)
    write_text(file, json.dumps(settings, indent=1) + "\n")


def _require_equal(file: Path, settings: dict[str, Any]) -> None:
    try:
        found = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise DataError(f"{file} cannot be read; name a new folder") from error
    other = [name for name in settings if not isinstance(found, dict) or found.get(name) != settings[name]]
    if other:
        raise DataError(
            f"{file.parent} was drawn with other settings ({', '.join(other)}); name a new folder, "
            "or repeat its settings to go on with it"
        )


def key_of(record_id: str) -> str:
    """What the files of a radiograph are called: tells nothing of its name or path."""
    return f"{fold_seed('drawn', record_id):016x}"


def finished(out: Path, record_id: str, source: Path, pairs: int) -> list[Row] | None:
    """Rows of a radiograph whose pairs are all there, drawn from the file as it is now; None otherwise."""
    try:
        done = json.loads((out / _DONE / f"{key_of(record_id)}.json").read_text())
        rows: list[Row] = done["rows"]
        if done["id"] != record_id or done["source"] != _stamp(source) or len(rows) != pairs:
            return None
        return rows if all((out / row[name]).is_file() for row in rows for name in FOLDERS) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_pairs(out: Path, record_id: str, source: Path, pairs: Iterable[DrawnPair], change: Change) -> None:
    """Write the pairs of a radiograph, and last of all that it is finished."""
    rows: list[Row] = []
    key = key_of(record_id)
    for number, pair in enumerate(pairs):
        row = {"id": f"{key}-{number:03d}", "findings": "+".join(pair.findings)}
        for name in FOLDERS:
            row[name] = f"{name}/{row['id']}.png"
            with whole(out / row[name]) as part:
                _write_plane(part, getattr(pair, name), _meaning(name, change))
        rows.append(row)
    done = {"id": record_id, "source": _stamp(source), "rows": rows}
    write_text(out / _DONE / f"{key}.json", json.dumps(done))


def write_manifest(out: Path, rows: Iterable[Row], with_split: bool) -> Path:
    """Write `manifest.csv`, the last of the files."""
    path = out / "manifest.csv"
    columns = [name for name in COLUMNS if name != "split" or with_split]
    write_rows(path, [columns, *([row[name] for name in columns] for row in rows)])
    return path


def write_skipped(out: Path, reasons: Iterable[str]) -> None:
    """Write `skipped.csv`, a line for each radiograph that was left out; no file where none was."""
    rows = [[reason] for reason in reasons]
    if rows:
        write_rows(out / SKIPPED, [["reason"], *rows])
    else:
        (out / SKIPPED).unlink(missing_ok=True)


def _meaning(name: str, change: Change) -> Change | None:
    return change if name.startswith("target") else None


def _write_plane(path: Path, plane: Plane, change: Change | None) -> None:
    """Write a map that means `change`, or a radiograph where that is None."""
    from skimage.io import imsave

    if change is not None:
        write_map(path, plane, change)
        return
    imsave(path, np.round(plane * 65535).astype(np.uint16), check_contrast=False)


def _stamp(source: Path) -> list[int]:
    """What tells a file that was replaced since."""
    found = source.stat()
    return [found.st_size, found.st_mtime_ns]
