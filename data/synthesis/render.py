"""Render the patients of a split that the cache lacks, in several processes."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import torch

from data.config import SPLITS, SynthesisConfig
from data.synthesis.anatomy import Anatomy
from data.synthesis.cache import (
    DamagedFileError,
    StoredPairs,
    cache_folder,
    patient_file,
    read_patient,
    resolve_volume,
    write_patient,
)
from data.synthesis.ct import load_ct
from data.synthesis.pairs import render_patient
from data.synthesis.phantom import make_phantom

log = logging.getLogger(__name__)


def load_split(
    config: SynthesisConfig,
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
    config: SynthesisConfig,
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

    config: SynthesisConfig
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
    workers = min(workers or os.cpu_count() or 1, len(missing))
    names = "/".join(dict.fromkeys(split for split, _ in missing))
    with tqdm(total=len(missing), desc=f"rendering {names}", unit="patient", disable=not progress) as bar:
        if workers == 1:
            with _one_thread():
                thorax = _load_thorax(ct, task.image_size)
                for patient in missing:
                    task.render(thorax, patient)
                    bar.update()
            return
        # Forking a process that has used torch's threads can deadlock; spawned ones start clean.
        with ProcessPoolExecutor(workers, get_context("spawn"), _start_worker, (task, ct)) as pool:
            futures = [pool.submit(_render_in_worker, patient) for patient in missing]
            try:
                for future in as_completed(futures):
                    future.result()
                    bar.update()
            except BrokenProcessPool as error:
                raise RuntimeError(
                    "a rendering process died: either memory ran out (render at a smaller image size or with "
                    "fewer workers), or the script that started it does not guard its main part with "
                    "`if __name__ == '__main__':`"
                ) from error
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise


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
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interrupt means
    torch.set_num_threads(1)
    _worker = (task, _load_thorax(ct, task.image_size))


def _render_in_worker(patient: _Patient) -> None:
    assert _worker is not None
    task, thorax = _worker
    task.render(thorax, patient)
