"""Render the patients that the cache lacks, in several processes."""

from collections.abc import Sequence
from functools import lru_cache, partial
from pathlib import Path

from tqdm import tqdm

from data.base.processes import available_cores, in_processes, one_thread
from data.config import SPLITS, EmbeddedConfig
from data.simulation.embedded.cache import (
    StoredPairs,
    cache_folder,
    patient_file,
    read_patient,
    resolve_volume,
    write_patient,
)
from data.simulation.embedded.patients import pairs_of, render_patient
from data.simulation.volumes.anatomy import Anatomy
from data.simulation.volumes.ct import load_ct
from data.simulation.volumes.phantom import make_phantom


def render_splits(
    config: EmbeddedConfig,
    image_size: int,
    cache_dir: Path,
    splits: Sequence[str] = SPLITS,
    workers: int = 0,
    progress: bool = True,
) -> dict[str, list[StoredPairs]]:
    """The pairs of every patient of some splits, from the cache where they are there and intact.

    Whoever needs several splits saves the start of the processes for each, some seconds.

    Args:
        config: what to draw.
        image_size: side of the images in pixels.
        cache_dir: where rendered patients are kept.
        splits: some of train, val and test.
        workers: rendering processes; 0 for one per core.
        progress: show a bar over the patients to render.

    Raises:
        ValueError: if a split is unknown.
        DataError: if the CT is asked for and not installed.
    """
    for split in splits:
        if split not in SPLITS:
            raise ValueError(f"split is {split!r}; it must be one of {', '.join(SPLITS)}")
    ct = resolve_volume(config)
    folder = cache_folder(config, image_size, cache_dir, ct)
    files = {
        (split, index): patient_file(folder, split, index)
        for split in splits
        for index in range(getattr(config, f"{split}_patients"))
    }
    found = {
        patient: pairs
        for patient, file in files.items()
        if (pairs := read_patient(file, pairs_of(config, patient[0]), image_size)) is not None
    }
    missing = [patient for patient in files if patient not in found]
    render = partial(_render_patient, config, image_size, folder, ct)
    work = in_processes(render, missing, workers=workers or available_cores())
    names = "/".join(dict.fromkeys(split for split, _ in missing))
    hidden = not progress or not missing
    for number, pairs in tqdm(work, f"rendering {names}", len(missing), unit="patient", disable=hidden):
        found[missing[number]] = pairs
    return {split: [found[patient] for patient in files if patient[0] == split] for split in splits}


@one_thread()
def _render_patient(
    config: EmbeddedConfig, image_size: int, folder: Path, ct: Path | None, patient: tuple[str, int]
) -> StoredPairs:
    pairs = StoredPairs.encode(render_patient(_load_thorax(ct, image_size), config, image_size, *patient))
    write_patient(patient_file(folder, *patient), pairs)
    return pairs


@lru_cache(maxsize=1)
def _load_thorax(ct: Path | None, image_size: int) -> Anatomy:
    """Once in each process, for all its patients."""
    # Side of a voxel in mm: pixels much larger than it would only hide the finer grid, and wait for it.
    spacing = 2.0 if image_size > 96 else 2.5 if image_size > 48 else 4.0
    return make_phantom(spacing) if ct is None else load_ct(ct, spacing)
