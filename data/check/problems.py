"""Open every file of a data set and say what is wrong with which."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
from tqdm import tqdm

from data.base.engines import Engine
from data.base.errors import DataError
from data.base.processes import ProcessDiedError, Processes
from data.config import Change, Intensity
from data.files.images import read_map, read_radiograph
from data.manifests.loading import RADIOGRAPH_OF, Place, mismatch, place_of
from data.manifests.records import IMAGE_FILES, PAIR_FILES, PairRecord, RecordTable

_FILES_A_TASK = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A file that cannot be used, and why."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    is_target: bool


_Opened = Place | str
"""What came out: where its pixels lie, or what is wrong."""


def check_records(
    records: RecordTable[Any], *, change: Change, intensity: Intensity, engine: Engine, progress: bool = True
) -> tuple[int, list[Problem]]:
    """Open every file once, in several processes, and compare targets with their radiographs.

    A file whose reading kills the process is found, too.

    Args:
        records: pairs or images.
        change: what targets mean.
        intensity: how stored values become grey.
        engine: where they are opened; not in this process.
        progress: show a bar.

    Returns:
        How many files there are, and what is wrong, in the order of the files' paths.
    """
    files = _files(records)
    opened: dict[Path, _Opened] = {}
    with tqdm(total=len(files), desc="checking", unit="file", disable=not progress) as bar:
        for file, result in _open_all(files, change, intensity, engine):
            opened[file.path] = result
            bar.update()
    problems = [Problem(path=path, reason=found) for path, found in opened.items() if isinstance(found, str)]
    return len(files), sorted([*problems, *_mismatches(records, opened)], key=lambda problem: problem.path)


def table(problems: Sequence[Problem]) -> str:
    """The problems as a table for a terminal."""
    width = max(len(str(problem.path)) for problem in problems)
    return "\n".join(f"{problem.path!s:<{width}}  {problem.reason}" for problem in problems)


def _files(records: RecordTable[Any]) -> list[_File]:
    roles = PAIR_FILES if records.kind is PairRecord else IMAGE_FILES
    return [
        _File(records.folder / cell, role.startswith("target"))
        for role in roles
        if records.has(role)
        for cell in pc.unique(records.columns.column(role)).to_pylist()
        if cell is not None
    ]


def _open_all(
    files: Sequence[_File], change: Change, intensity: Intensity, engine: Engine
) -> Iterator[tuple[_File, _Opened]]:
    """Open files chunk by chunk; of chunks during which a process died, file by file."""
    unique = list(dict.fromkeys(files))
    chunks = [unique[start : start + _FILES_A_TASK] for start in range(0, len(unique), _FILES_A_TASK)]
    while chunks:
        finished: set[int] = set()
        try:
            for number, results in engine.run(partial(_open_chunk, change, intensity), chunks):
                finished.add(number)
                yield from zip(chunks[number], results, strict=True)
            return
        except ProcessDiedError as death:
            for number in death.started:
                for file in chunks[number]:
                    yield file, _open_alone(file, change, intensity)
            chunks = [chunks[number] for number in death.waiting]


def _open_alone(file: _File, change: Change, intensity: Intensity) -> _Opened:
    try:
        work = Processes(1, isolate=True).run(partial(_open_chunk, change, intensity), [[file]])
        ((_, (result,)),) = work
    except ProcessDiedError:
        return "reading it kills the process; replace it with an intact file"
    return result


def _open_chunk(change: Change, intensity: Intensity, files: Sequence[_File]) -> list[_Opened]:
    return [_open(file, change, intensity) for file in files]


def _open(file: _File, change: Change, intensity: Intensity) -> _Opened:
    try:
        return place_of(
            read_map(file.path, change) if file.is_target else read_radiograph(file.path, intensity)
        )
    except DataError as error:
        return str(error).removeprefix(f"{file.path} ")


def _mismatches(records: RecordTable[Any], opened: dict[Path, _Opened]) -> Iterator[Problem]:
    """Targets that do not lie on the pixels of their radiographs."""
    for role, radiograph in RADIOGRAPH_OF.items():
        for record in records if records.has(role) else ():
            target, image = getattr(record, role), getattr(record, radiograph)
            found, expected = opened.get(target), opened.get(image)
            if not isinstance(found, tuple) or not isinstance(expected, tuple):
                continue
            if reason := mismatch(role, found, image, expected):
                yield Problem(path=target, reason=reason)
