"""Folders that a command fills piece by piece, and goes on with when the same command is started again."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.base.atomic import move_files, named_if_it_fails, remove_parts, scratch_folder, write_text
from data.base.errors import DataError
from data.base.locks import try_lock

_SETTINGS = "settings.json"
_LOCK = ".lock"


def entries_of(path: Path) -> list[Path]:
    """What lies in a folder that is to be written, sorted; nothing where it is not there yet.

    Raises:
        DataError: it is no folder, or cannot be listed.
    """
    if path.exists() and not path.is_dir():
        raise DataError(f"{path} is no folder; name a new one")
    try:
        return sorted(path.iterdir()) if path.exists() else []
    except OSError as error:
        raise DataError(f"{path} cannot be listed ({error.strerror}); name another folder") from error


def stamp_of(path: Path) -> list[int] | None:
    """Size and time in ns, by which a file shows that it was replaced; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return [found.st_size, found.st_mtime_ns]


def refuse_others(path: Path, others: Sequence[Path]) -> None:
    """Refuse a folder that is to be written for what lies in it.

    Raises:
        DataError: naming the first of the `others`.
    """
    if others:
        raise DataError(f"{path} holds other files ({others[0].name}); name a new or an empty folder")


@dataclass(frozen=True, kw_only=True)
class OutputFolder:
    """A folder that one command writes; several processes of it may write pieces at once.

    Attributes:
        path: the folder.
        state: the folder in it that says with which settings it is made, and which pieces are finished.
        last: the file that is written once all pieces are there.
        files: patterns of all other files that the command writes.
    """

    path: Path
    state: str
    last: str
    files: tuple[str, ...]

    @contextmanager
    def claimed(self, settings: Mapping[str, Any], *, overwrite: bool | None = None) -> Iterator[None]:
        """Make the folder, or take it up again with the settings it was made with, for as long as the block.

        What was begun with other settings makes room where no piece of it is finished.

        Args:
            settings: whatever decides what is in the files, to be stored as JSON.
            overwrite: remove what was made with other settings; None where the command has no such option.

        Raises:
            DataError: the folder is of something else or of other settings, cannot be written, or another
                process is at it.
        """
        state, entries = self.path / self.state, entries_of(self.path)
        with named_if_it_fails(self.path):
            if not (state / _SETTINGS).exists():
                refuse_others(self.path, [entry for entry in entries if not _is_empty_folder(entry)])
            state.mkdir(parents=True, exist_ok=True)
            lock = try_lock(state / _LOCK)
        if lock is None:
            raise DataError(f"another process is writing to {self.path}; let it end, or name another folder")
        with lock:
            self._take_up(json.loads(json.dumps(settings)), overwrite)
            yield
            remove_parts(self.path)  # of workers that died while others went on

    def _take_up(self, wanted: dict[str, Any], overwrite: bool | None) -> None:
        file = self.path / self.state / _SETTINGS
        with named_if_it_fails(self.path):
            found = _read(file) or {}
            if file.exists() and found != wanted:
                if not overwrite and (self.records() or (self.path / self.last).is_file()):
                    names = sorted(key for key in wanted | found if wanted.get(key) != found.get(key))
                    raise DataError(
                        f"{self.path} was made with other settings ({', '.join(names)}); name another "
                        f"folder, repeat its settings ({self.state}/{_SETTINGS} there) to go on with it"
                        + ("" if overwrite is None else ", or replace what it holds with --overwrite")
                    )
                self.clear()
            remove_parts(self.path)
            remove_parts(file.parent)
            if found != wanted:
                write_text(file, json.dumps(wanted, indent=1) + "\n")

    def clear(self) -> None:
        """Remove every piece and whatever else the command wrote but the settings, and nothing of others."""
        inside = self.path.resolve()
        with named_if_it_fails(self.path):
            for pattern in (self._record("*"), self.last, *self.files):
                for file in list(self.path.glob(pattern)):
                    if not file.parent.resolve().is_relative_to(inside):
                        continue  # a link leads out of the folder
                    file.unlink()
                    with suppress(OSError):  # a folder that is not empty stays
                        for folder in file.relative_to(self.path).parents[:-1]:
                            (self.path / folder).rmdir()

    def records(self) -> list[dict[str, Any]]:
        """Of every finished piece, sorted by name; a damaged record is of none."""
        found = [_read(path) for path in sorted(self.path.glob(self._record("*")))]
        return [record for record in found if record]

    def record_of(self, name: str) -> dict[str, Any] | None:
        """The record of one piece, or None where it is not finished."""
        return _read(self.path / self._record(name)) or None

    @contextmanager
    def piece(self, name: str) -> Iterator[tuple[Path, dict[str, Any]]]:
        """Write a piece, which takes its place once the block is left, its record last.

        Where the block is left by an error, or with an empty record, nothing of the piece is written.

        Yields:
            A folder to put its files into, by the paths they get in the output folder, and its record, to be
            filled with what is to be known of it.

        Raises:
            DataError: it cannot be written, or the folder was begun anew with other settings meanwhile, which
                a worker on another machine learns too late.
        """
        with named_if_it_fails(self.path), scratch_folder(self.path / name) as folder:
            content, settings = dict[str, Any](), _read(self.path / self.state / _SETTINGS)
            yield folder, content
            if not content:
                return
            if _read(self.path / self.state / _SETTINGS) != settings:
                raise DataError(
                    f"{self.path} was begun anew with other settings; this piece is of those before"
                )
            record = folder / self._record(name)
            record.parent.mkdir()
            record.write_text(json.dumps(content), encoding="utf-8")
            (self.path / self._record(name)).unlink(missing_ok=True)  # of an earlier piece of that name
            files = [file for file in folder.rglob("*") if file.is_file() and file != record]
            for group in (files, [record]):
                move_files((file, self.path / file.relative_to(folder)) for file in group)

    def _record(self, name: str) -> str:
        return f"{self.state}/{name}.done.json"


def _is_empty_folder(path: Path) -> bool:
    """What a run leaves on a full disk."""
    return path.is_dir() and all(entry.name == _LOCK for entry in path.iterdir())


def _read(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None
