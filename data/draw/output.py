"""What a folder of drawn pairs holds: files written whole or not at all, settings, and the manifest."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Container, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from data.base.atomic import remove_parts, whole, write_rows, write_text
from data.base.errors import DataError
from data.config import Change
from data.draw.options import DrawConfig
from data.draw.pairs import DrawnPair
from data.files.maps import write_map
from data.simulation.films import Plane

VERSION = 2
"""Raise it whenever the same settings give other pixels."""
COLUMNS = ("id", "patient_id", "baseline", "followup", "target", "target_baseline", "split", "findings")
FOLDERS = ("baseline", "followup", "target", "target_baseline")
SKIPPED = "skipped.private.csv"
_DONE = ".done"
# What decides where pairs come from, go to and how fast, not what is in them.
_NOT_SETTINGS = ("images", "out", "workers", "on_error")

Row = dict[str, str]
"""One line of the manifest by column."""


def open_output(config: DrawConfig) -> None:
    """Make the folder, or take one up again that was made with the same settings.

    What was begun with other settings and never finished makes room.

    Raises:
        DataError: if the folder holds pairs drawn with other settings, is something else, or cannot be
            opened or made.
    """
    settings = {name: value for name, value in asdict(config).items() if name not in _NOT_SETTINGS}
    try:
        _open(config.out, json.loads(json.dumps({**settings, "version": VERSION})))
    except OSError as error:
        reason = f"{config.out} cannot be opened or made ({error.strerror}); name another folder"
        raise DataError(reason) from error


def _open(out: Path, settings: dict[str, Any]) -> None:
    file, folders = out / "settings.json", (_DONE, *FOLDERS)
    begun = file.is_file() and (out / _DONE).is_dir()
    if out.is_file() or (not begun and out.is_dir() and not _holds_only_empty(out, folders)):
        raise DataError(f"{out} exists and holds no drawn pairs; name a new folder")
    if begun and (other := _differences(file, settings)):
        if any((out / _DONE).glob("*.json")):
            raise DataError(
                f"{out} was drawn with other settings ({', '.join(other)}); name a new folder, "
                "or repeat its settings to go on with it"
            )
        for name in FOLDERS:
            for unfinished in (out / name).glob("*.png"):
                unfinished.unlink()
    for name in folders:
        (out / name).mkdir(parents=True, exist_ok=True)
        remove_parts(out / name)
    write_text(file, json.dumps(settings, indent=1) + "\n")


def _holds_only_empty(out: Path, names: Container[str]) -> bool:
    """Whether a folder holds nothing but empty folders of these names: what a run on a full disk leaves."""
    return all(entry.name in names and not any(entry.iterdir()) for entry in out.iterdir())


def _differences(file: Path, settings: dict[str, Any]) -> list[str]:
    """Names of the settings in which a run differs from the one that made the folder."""
    try:
        found = json.loads(file.read_text())
    except ValueError as error:
        raise DataError(f"{file} cannot be read; name a new folder") from error
    return [name for name in settings if not isinstance(found, dict) or found.get(name) != settings[name]]


def finished(out: Path, key: str, source: Path, pairs: int) -> list[Row] | None:
    """Rows of a radiograph whose pairs are all there, drawn from the file as it is now; None otherwise."""
    try:
        done = json.loads((out / _DONE / f"{key}.json").read_text())
        rows: list[Row] = done["rows"]
        if done["source"] != stamp_of(source) or len(rows) != pairs:
            return None
        return rows if all((out / row[name]).is_file() for row in rows for name in FOLDERS) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_pair(out: Path, name: str, pair: DrawnPair, change: Change) -> Row:
    """Write the images and maps of a pair; its line in the manifest.

    Raises:
        DataError: they cannot be written.
    """
    row = {"id": name, "findings": "+".join(pair.findings)}
    for role in FOLDERS:
        row[role] = f"{role}/{name}.png"
        with whole(out / row[role]) as part:
            _write_plane(part, getattr(pair, role), _meaning(role, change))
    return row


def write_finished(out: Path, key: str, stamp: list[int] | None, rows: list[Row]) -> None:
    """Note that all pairs of a radiograph are written, and by its stamp which file they are drawn from."""
    write_text(out / _DONE / f"{key}.json", json.dumps({"source": stamp, "rows": rows}))


def write_manifest(out: Path, rows: Iterable[Row], with_split: bool) -> Path:
    """Write `manifest.csv`, the last of the files."""
    path = out / "manifest.csv"
    columns = [name for name in COLUMNS if name != "split" or with_split]
    write_rows(path, [columns, *([row[name] for name in columns] for row in rows)])
    return path


def write_skipped(out: Path, reasons: Iterable[str]) -> None:
    """Write a line for each radiograph that was left out; no file where none was.

    Only its owner can read the file: the paths in it may hold names.
    """
    rows = [[reason] for reason in reasons]
    if not rows:
        (out / SKIPPED).unlink(missing_ok=True)
        return
    with whole(out / SKIPPED) as part:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([["reason"], *rows])


def _meaning(name: str, change: Change) -> Change | None:
    return change if name.startswith("target") else None


def _write_plane(path: Path, plane: Plane, change: Change | None) -> None:
    """Write a map that means `change`, or a radiograph where that is None."""
    from skimage.io import imsave

    if change is not None:
        write_map(path, plane, change)
        return
    imsave(path, np.round(plane * 65535).astype(np.uint16), check_contrast=False)


def stamp_of(source: Path) -> list[int] | None:
    """What tells a file that was replaced since; None where there is none."""
    try:
        found = source.stat()
    except OSError:
        return None
    return [found.st_size, found.st_mtime_ns]
