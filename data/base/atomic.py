"""Files and folders that appear complete or not at all, whatever happens while they are written."""

import csv
import errno
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TextIO

from data.base.errors import DataError

_PART = ".part-"
_NOT_SYNCED = (errno.EINVAL, errno.ENOTSUP)
"""What some network file systems say to a folder that is to be synced."""
_BEFORE = ".before-"


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A file to write to that takes the place of `path` once the block is left without an error.

    It lies beside `path`, hidden and with the same suffix; folders above it are made.

    Raises:
        DataError: it cannot be written.
    """
    part = _part_of(path)
    try:
        with named_if_it_fails(path):
            with suppress(FileExistsError):  # by a file that is in the way; what follows says so better
                path.parent.mkdir(parents=True, exist_ok=True)
            _remove(part)  # a killed process may have had the same number
            yield part
            _sync(part)
            part.replace(path)
            _sync(path.parent)
    finally:
        with suppress(OSError):
            _remove(part)


@contextmanager
def whole_folder(path: Path, *, wait: Callable[[], None] | None = None, leads: bool = True) -> Iterator[Path]:
    """An empty folder to fill that takes the place of `path` once the block is left without an error.

    It lies beside `path`, hidden. Its files are on the disk before it is moved, so that no power cut leaves
    an empty one. What `path` was before is moved away first and deleted afterwards; where a kill falls
    between the two, `remove_parts` or the next writer puts it back.

    Several processes on one file system fill the folder together where all of them enter with `wait`; no
    other run may write to `path` meanwhile.

    Args:
        path: what to write; folders above it are made.
        wait: returns once every process that fills the folder has called it.
        leads: of these processes, the one that makes and moves the folder.

    Raises:
        DataError: it cannot be written.
    """
    owner = str(os.getpid()) if wait is None else "shared"
    wait = wait or (lambda: None)
    scratch = scratch_folder(path, owner) if leads else nullcontext(_part_of(path, owner))
    with named_if_it_fails(path), scratch as part:
        if leads:
            _restore(path.with_name(_BEFORE + path.name))
        wait()
        yield part
        wait()
        if leads:
            _sync_files(part)
            _exchange(part, path)
        wait()


@contextmanager
def scratch_folder(path: Path, owner: str | None = None) -> Iterator[Path]:
    """An empty hidden folder beside `path` for what is on its way there; gone once the block is left."""
    part = _part_of(path, owner)
    try:
        _remove(part)
        part.mkdir(parents=True)
        yield part
    finally:
        with suppress(OSError):
            _remove(part)


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    with whole(path) as part:
        part.write_text(text, encoding="utf-8")


def write_rows(path: Path, rows: Iterable[Sequence[str]], *, private: bool = False) -> None:
    """Write a CSV file whole or not at all; a private one can be read by its owner only.

    Paths in it come back as they are with `errors="surrogateescape"`, also where they are not UTF-8.
    """
    with whole(path) as part, open_new(part, private=private) as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def give_usual_permissions(folder: Path) -> None:
    """Have whoever may read a folder read its files, which some libraries keep to their owner."""
    usual = folder.stat().st_mode & 0o666
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            path.chmod(usual)


def move_files(files: Iterable[tuple[Path, Path]]) -> None:
    """Move finished files to their places, in this order; they are on the disk before their names are."""
    files = list(files)
    for part, _ in files:
        _sync(part)
    for part, path in files:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.replace(path)
    for folder in {path.parent for _, path in files}:
        _sync(folder)


def open_new(path: Path, *, private: bool) -> TextIO:
    """A text file to write, which must not exist yet; a private one can be read by its owner only."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if private else 0o666)
    return os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape", newline="")


def remove_parts(folder: Path) -> None:
    """Delete what runs that were killed left in a folder, or put it back where nothing took its place."""
    for before in folder.glob(f"{_BEFORE}*"):
        _restore(before)
    for part in folder.glob(f"{_PART}*"):
        _remove(part)


@contextmanager
def named_if_it_fails(path: Path) -> Iterator[None]:
    """Make a user's mistake, which names `path`, of what the system has against writing there."""
    try:
        yield
    except OSError as error:
        place = re.sub(rf"{re.escape(_PART)}\w+-", "", str(path))  # as it would be called once it is whole
        reason = f"{place} cannot be written ({error.strerror}); make room or name another folder"
        raise DataError(reason) from error


def _part_of(path: Path, owner: str | None = None) -> Path:
    """The hidden place beside `path` where a process, by default this one, makes what will be there."""
    return path.with_name(f"{_PART}{owner or os.getpid()}-{path.name}")


def _exchange(part: Path, path: Path) -> None:
    before = path.with_name(_BEFORE + path.name)
    try:
        if os.path.lexists(path):
            path.replace(before)
        part.replace(path)
        _sync(path.parent)
    finally:  # puts it back after an error or an interrupt, deletes it otherwise
        _restore(before)


def _restore(before: Path) -> None:
    """Move what was moved away to its place again where that is free, else delete it."""
    path = before.with_name(before.name.removeprefix(_BEFORE))
    if os.path.lexists(before) and not os.path.lexists(path):
        before.replace(path)
    with suppress(OSError):  # what it made room for is whole
        _remove(before)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _sync_files(folder: Path) -> None:
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    for path in {folder, *files, *(file.parent for file in files)}:
        _sync(path)


def _sync(path: Path) -> None:
    """Have a file's bytes, or a folder's names, on the disk."""
    if path.is_dir() and os.name != "posix":
        return  # where folders cannot be opened, names need no syncing
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NOT_SYNCED:
            raise
    finally:
        os.close(descriptor)
