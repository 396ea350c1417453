"""Render the patients of a split that the cache lacks, in several processes."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from data.base.processes import available_cores, in_processes
from data.config import SPLITS, EmbeddedConfig
from data.simulation.embedded.cache import (
    DamagedFileError,
    StoredPairs,
    cache_folder,
    patient_file,
    read_patient,
    resolve_volume,
    write_patient,
)
from data.simulation.embedded.patients import render_patient
from data.simulation.volumes.anatomy import Anatomy
from data.simulation.volumes.ct import load_ct
from data.simulation.volumes.phantom import make_phantom

log = logging.getLogger(__name__)


def load_split(
    config: EmbeddedConfig,
    image_size: int,
    cache_dir: Path,
    split: str,
    workers: int | None = None,
    progress: bool = True,
) -> list[StoredPairs]:
    """The pairs of every patient of a split, from the cache where they are there and intact.

    Args:
        config: what to draw.
        image_size: side of the images in pixels.
        cache_dir: where rendered patients are kept.
        split: train, val or test.
        workers: rendering processes; by default one for each core.
        progress: show a bar over the patients to render.

    Raises:
        ValueError: if the split is unknown.
        DataError: if the CT is asked for and not installed.
    """
    if split not in SPLITS:
        raise ValueError(f"split is {split!r}; it must be one of {', '.join(SPLITS)}")
    ct = resolve_volume(config)
    task = _Task(config=config, image_size=image_size, folder=cache_folder(config, image_size, cache_dir, ct))
    found = task.read(split)
    missing = [patient for patient, pairs in found.items() if pairs is None]
    _render(task, ct, missing, workers, progress)
    again = {
        patient: read_patient(task.path(patient), config.pairs_per_patient, image_size) for patient in missing
    }
    return [pairs or again[patient] for patient, pairs in found.items()]


def render_splits(
    config: EmbeddedConfig,
    image_size: int,
    cache_dir: Path,
    splits: Sequence[str] = SPLITS,
    workers: int | None = None,
    progress: bool = True,
) -> None:
    """Render what the cache lacks of several splits at once.

    Whoever needs all of them saves the start of the processes for each, some seconds.
    The arguments are those of `load_split`.
    """
    ct = resolve_volume(config)
    task = _Task(config=config, image_size=image_size, folder=cache_folder(config, image_size, cache_dir, ct))
    missing = [patient for split in splits for patient, pairs in task.read(split).items() if pairs is None]
    _render(task, ct, missing, workers, progress)


_Patient = tuple[str, int]
"""Split and index."""


@dataclass(frozen=True, kw_only=True)
class _Task:
    """What is the same for all patients."""

    config: EmbeddedConfig
    image_size: int
    folder: Path

    def path(self, patient: _Patient) -> Path:
        return patient_file(self.folder, *patient)

    def read(self, split: str) -> dict[_Patient, StoredPairs | None]:
        """The patients of a split; None where one is missing or, with a warning, damaged."""
        found: dict[_Patient, StoredPairs | None] = {}
        for index in range(getattr(self.config, f"{split}_patients")):
            path = self.path((split, index))
            found[split, index] = None
            if path.exists():
                try:
                    found[split, index] = read_patient(path, self.config.pairs_per_patient, self.image_size)
                except DamagedFileError as damage:
                    log.warning("%s; rendering it again", damage)
        return found

    def render(self, thorax: Anatomy, patient: _Patient) -> None:
        pairs = render_patient(thorax, self.config, self.image_size, *patient)
        write_patient(self.path(patient), StoredPairs.encode(pairs))


def _load_thorax(ct: Path | None, image_size: int) -> Anatomy:
    spacing = _spacing(image_size)
    return make_phantom(spacing) if ct is None else load_ct(ct, spacing)


def _spacing(image_size: int) -> float:
    """Side of a voxel in mm: pixels much larger than it would only hide the finer grid, and wait for it."""
    if image_size > 96:
        return 2.0
    return 2.5 if image_size > 48 else 4.0


def _render(
    task: _Task, ct: Path | None, missing: Sequence[_Patient], workers: int | None, progress: bool
) -> None:
    from tqdm import tqdm

    if not missing:
        return
    names = "/".join(dict.fromkeys(split for split, _ in missing))
    bar = tqdm(total=len(missing), desc=f"rendering {names}", unit="patient", disable=not progress)
    with bar, _one_thread():
        for _ in in_processes(
            _render_patient,
            missing,
            workers=workers or available_cores(),
            start=_start_worker,
            arguments=(task, ct),
        ):
            bar.update()


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums over threads round differently; with one, every machine renders the same pixels."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


_worker: tuple[_Task, Anatomy] | None = None


def _start_worker(task: _Task, ct: Path | None) -> None:
    global _worker
    torch.set_num_threads(1)
    _worker = (task, _load_thorax(ct, task.image_size))


def _render_patient(patient: _Patient) -> None:
    assert _worker is not None
    task, thorax = _worker
    task.render(thorax, patient)
