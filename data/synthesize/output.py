"""The pairs of `python -m data.synthesize` on disk: images, what is known of them, and the manifest.

Every patient is written into a folder of its own first and moved from there; its record, written last, says
that it is complete. A run that was stopped goes on with the patients that have no record.
"""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, astuple, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data.base.atomic import remove_parts, whole, write_rows, write_text
from data.base.errors import DataError
from data.config import Change
from data.files.maps import write_map
from data.simulation.pairs import Pairs
from data.synthesize.options import Format, SynthesizeConfig

MANIFEST = "manifest.csv"
PRIVATE = "volumes.private.csv"
_STATE = ".synthesis"
_SETTINGS = "settings.json"
_VERSION = 2
"""Raise it whenever the same settings give other pixels."""
_PSEUDONYM = re.compile("ct[0-9]{4,}")
_PRIVATE_HEAD = ("volume", "path", "reason")
_ROLES = ("baseline", "followup", "target", "target_baseline")
_NIFTI_NAMES: Mapping[str, str] = {
    "baseline": "prior",
    "followup": "current",
    "target": "diff_map",
    "target_baseline": "diff_map_prior",
}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One pair in the manifest; paths are relative to it."""

    id: str
    patient_id: str
    baseline: str
    followup: str
    target: str
    target_baseline: str
    findings: str
    """Findings that change, joined by +; empty where nothing does."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """A finished virtual patient."""

    volume: str
    patient: int
    digest: str
    """Fingerprint of the volume's files."""
    rows: tuple[Row, ...]


def patient_name(volume: str, patient: int) -> str:
    """Name of a virtual patient; without an underscore, which would end it in the names of its files."""
    return f"{volume}-p{patient:03d}"


class Folder:
    """The output folder of a run.

    Args:
        path: the folder.
        format: how images are stored.
        change: what targets mean.
    """

    def __init__(self, path: Path, format: Format, change: Change) -> None:
        self.path = path
        self.format = format
        self.change = change

    def claim(self, config: SynthesizeConfig) -> None:
        """Take the folder for these settings.

        A run that made nothing does not keep others out.

        Raises:
            DataError: if it holds pairs of other settings, or anything else, or cannot be written.
        """
        with _writing(self.path):
            self._claim(config)

    def _claim(self, config: SynthesizeConfig) -> None:
        file = self.path / _STATE / _SETTINGS
        settings = json.dumps({"version": _VERSION, **config.settings()}, indent=1, sort_keys=True)
        if self.path.exists() and not self.path.is_dir():
            raise DataError(f"--out {self.path} is a file; name a folder")
        if file.exists():
            remove_parts(self.path)
            remove_parts(file.parent)
            if file.read_text(errors="replace") == settings:
                return
            is_bare = {entry.name for entry in self.path.iterdir()} <= {_STATE, PRIVATE}
            if not config.overwrite and not is_bare:
                raise DataError(
                    f"--out {self.path} holds pairs of other settings; name another folder, repeat the "
                    "settings (they are in .synthesis/settings.json), or replace its pairs with --overwrite"
                )
            self.clear()
        elif self.path.exists() and any(self.path.iterdir()):
            raise DataError(f"--out {self.path} is not empty and not of this command; name another folder")
        file.parent.mkdir(parents=True, exist_ok=True)
        write_text(file, settings)

    def clear(self) -> None:
        """Remove what earlier runs wrote, and nothing else.

        Raises:
            DataError: if it cannot be removed.
        """
        with _writing(self.path):
            self._clear()

    def _clear(self) -> None:
        for record in self.records():
            for row in record.rows:
                for role in _ROLES:
                    file = self.path / getattr(row, role)
                    file.unlink(missing_ok=True)
                    _remove_empty(file.parent, self.path)
        for name in (MANIFEST, PRIVATE):
            (self.path / name).unlink(missing_ok=True)
        shutil.rmtree(self.path / _STATE, ignore_errors=True)

    def records(self) -> list[Record]:
        """The finished patients, sorted by name; one whose record is damaged is not finished."""
        read = [_read_record(file) for file in sorted((self.path / _STATE).glob("*.done.json"))]
        return [record for record in read if record is not None]

    def pseudonyms(self) -> dict[str, str]:
        """Names given to volumes by earlier runs, by path and by digest.

        The digests are those of the records: where volumes.private.csv was taken away, as it is before the
        pairs are handed on, finished volumes still keep their names.
        """
        by_digest = {record.digest: record.volume for record in self.records()}
        try:
            with (self.path / PRIVATE).open(newline="", encoding="utf-8", errors="surrogateescape") as file:
                lines = [line for line in csv.reader(file) if len(line) == len(_PRIVATE_HEAD)]
        except (OSError, csv.Error):
            return by_digest
        return by_digest | {path: name for name, path, _ in lines if _PSEUDONYM.fullmatch(name)}

    def write_private(self, volumes: Iterable[tuple[str, str, str]]) -> None:
        """Which file a pseudonym stands for, and why it was skipped; for its owner's eyes only.

        Args:
            volumes: name, path and reason, empty where there is none.

        Raises:
            DataError: if it cannot be written.
        """
        with whole(self.path / PRIVATE) as part:
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", newline="", encoding="utf-8", errors="surrogateescape") as file:
                csv.writer(file, lineterminator="\n").writerows([_PRIVATE_HEAD, *volumes])

    def write_patient(self, volume: str, patient: int, digest: str, pairs: Pairs) -> None:
        """Store all pairs of a virtual patient; they count as written when the last of them is.

        Raises:
            DataError: if they cannot be written.
        """
        with _writing(self.path):
            self._write_patient(volume, patient, digest, pairs)

    def _write_patient(self, volume: str, patient: int, digest: str, pairs: Pairs) -> None:
        name = patient_name(volume, patient)
        rows = [self._row(name, pair, findings) for pair, findings in enumerate(pairs.findings)]
        staging = self.path / _STATE / f"{name}.part"
        shutil.rmtree(staging, ignore_errors=True)
        for index, row in enumerate(rows):
            images = {role: getattr(pairs, role)[index] for role in _ROLES}
            for role, image in images.items():
                staged = staging / getattr(row, role)
                staged.parent.mkdir(parents=True, exist_ok=True)
                self._write_image(staged, role, image)
        for row in rows:
            for role in _ROLES:
                final = self.path / getattr(row, role)
                final.parent.mkdir(parents=True, exist_ok=True)
                (staging / getattr(row, role)).replace(final)
        shutil.rmtree(staging)
        record = Record(volume=volume, patient=patient, digest=digest, rows=tuple(rows))
        write_text(self.path / _STATE / f"{name}.done.json", json.dumps(asdict(record)))

    def _row(self, name: str, pair: int, findings: Sequence[str]) -> Row:
        if self.format == "png":
            files = {role: f"{role}/{name}_{pair:03d}.png" for role in _ROLES}
        else:
            files = {role: f"{name}/{pair:03d}/{_NIFTI_NAMES[role]}.nii.gz" for role in _ROLES}
        return Row(id=f"{name}_{pair:03d}", patient_id=name, findings="+".join(findings), **files)

    def _write_image(self, path: Path, role: str, image: NDArray[np.float32]) -> None:
        is_film = role in ("baseline", "followup")
        values = image if is_film or self.change == "signed" else np.abs(image)
        write_map(path, values, "magnitude" if is_film else self.change)

    def write_manifest(self, rows: Iterable[Row], splits: Mapping[str, str] | None) -> Path:
        """Write the manifest, the last file of a run.

        Args:
            rows: the pairs.
            splits: the split of every patient, or None for a manifest without that column.
        """
        path = self.path / MANIFEST
        names = [*Row.__dataclass_fields__, *(["split"] if splits is not None else [])]
        lines = ([*astuple(row), *([splits[row.patient_id]] if splits is not None else [])] for row in rows)
        write_rows(path, [names, *lines])
        return path


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Whatever the system has against writing there becomes one line."""
    try:
        yield
    except OSError as error:
        raise DataError(
            f"--out {path} cannot be written ({error.strerror or type(error).__name__}); make room or name "
            "another folder"
        ) from error


def _read_record(file: Path) -> Record | None:
    """A finished patient; None where the file does not say so."""
    try:
        content = json.loads(file.read_text())
        rows = tuple(Row(**row) for row in content.pop("rows"))
        record = Record(**content, rows=rows)
    except (OSError, ValueError, TypeError, AttributeError, KeyError):
        return None
    texts = [record.volume, record.digest, *(value for row in rows for value in astuple(row))]
    is_sound = isinstance(record.patient, int) and all(isinstance(text, str) for text in texts)
    return record if is_sound else None


def _remove_empty(folder: Path, root: Path) -> None:
    while folder != root and folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent
