"""CT volumes in a folder: NIfTI files, case folders with label maps, DICOM series.

- `NAME.nii.gz` (or `.nii`) in the folder itself, at will with `NAME_seg.nii.gz` beside it.
- `CASE/ct.nii.gz`, the layout of TotalSegmentator's data set; any other name will do where it is the only
  volume. Label maps lie beside it: a folder `segmentations` of one file for each structure, or one file
  `segmentations.nii.gz`, `labels.nii.gz` or `*_seg.nii.gz` of all.
- Folders of DICOM files: see `data.synthesis.series`.

A volume is a patient. A case is called like its folder, a DICOM series `ct0001` and so on: no name, number or
date of a DICOM file is kept.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.errors import DataError, first_line
from data.files.formats import stem_of, suffix_of
from data.synthesis.anatomy import Volume
from data.synthesis.series import find_series, read_series
from data.synthesis.totalsegmentator import (
    NAMES,
    canonical,
    table_in_header,
    table_of_attenuation,
    translate,
)

_NIFTI = (".nii", ".nii.gz")
_LABEL_STEMS = ("segmentations", "labels")
_LABEL_FOLDER = "segmentations"
_LUNG_HU = -500.0
_MOST_OBLIQUE_DEGREES = 20.0
_LEAST_MM = 100.0


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where one CT lies."""

    name: str
    """Pseudonym of the patient, safe in file names."""
    files: tuple[Path, ...]
    """One NIfTI file, or the slices of a DICOM series from the feet to the head."""
    labels: tuple[Path, ...] = ()
    """Label maps: one of all structures, or one for each."""
    problem: str | None = None
    """Why it cannot be read, where that shows without reading it."""

    def digest(self, root: Path) -> str:
        """Fingerprint of the names and sizes of its files, to notice that a volume is another one."""
        parts = [f"{path.relative_to(root)}:{path.stat().st_size}" for path in (*self.files, *self.labels)]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


@dataclass(frozen=True, kw_only=True)
class Scan:
    """A CT `[X, Y, Z]`, axes to the patient's left, front and head."""

    hu: Volume
    voxel: tuple[float, float, float]
    """Size of a voxel in mm."""
    labels: NDArray[np.uint8] | None = None
    """Structures, numbered as `totalsegmentator.NAMES` says."""


def find_volumes(root: Path) -> list[Source]:
    """Every CT below a folder, sorted by name.

    Raises:
        DataError: if the folder is missing or holds none.
    """
    if not root.is_dir():
        raise DataError(f"{root} is no folder; give one of CT volumes (NIfTI or DICOM)")
    sources: list[Source] = []
    others: list[Path] = []
    for place, folders, names in os.walk(root):
        folder = Path(place)
        folders[:] = sorted(name for name in folders if name != _LABEL_FOLDER and not name.startswith("."))
        files = [folder / name for name in sorted(names) if not name.startswith(".")]
        volumes = [file for file in files if suffix_of(file) in _NIFTI]
        sources += _of_folder(folder, volumes, files_directly=folder == root)
        others += [file for file in files if suffix_of(file) not in _NIFTI]
    sources = _unique(sources, root)
    taken = {source.name for source in sources}
    numbers = (f"ct{number:04d}" for number in range(1, 10_000_000))
    free = (name for name in numbers if name not in taken)
    for series, name in zip(find_series(others), free, strict=False):
        sources.append(Source(name=name, files=series.files, problem=series.problem))
    if not sources:
        raise DataError(
            f"{root} holds no CT; put NIfTI volumes (NAME.nii.gz or CASE/ct.nii.gz) or DICOM series there"
        )
    return sorted(sources, key=lambda source: source.name)


def _of_folder(folder: Path, files: Sequence[Path], files_directly: bool) -> list[Source]:
    """The volumes among the NIfTI files of one folder."""
    volumes = [file for file in files if not _is_label_map(file)]
    named = [file for file in volumes if stem_of(file) == "ct"]
    if not volumes:
        return []
    if named or (not files_directly and len(volumes) == 1):
        [volume, *_] = named or volumes
        return [Source(name=_safe(folder.resolve().name), files=(volume,), labels=_labels_of(volume, files))]
    if files_directly:
        return [
            Source(
                name=_safe(stem_of(file)),
                files=(file,),
                labels=tuple(other for other in files if stem_of(other) == f"{stem_of(file)}_seg"),
            )
            for file in volumes
        ]
    problem = f"the folder holds {len(volumes)} NIfTI volumes; name the CT of the case ct.nii.gz"
    return [Source(name=_safe(folder.name), files=tuple(volumes), problem=problem)]


def _is_label_map(file: Path) -> bool:
    stem = stem_of(file)
    return stem in _LABEL_STEMS or stem.endswith("_seg")


def _labels_of(volume: Path, files: Sequence[Path]) -> tuple[Path, ...]:
    folder = volume.parent / _LABEL_FOLDER
    if folder.is_dir():
        return tuple(sorted(file for file in folder.iterdir() if suffix_of(file) in _NIFTI))
    return tuple(file for file in files if _is_label_map(file))[:1]


def _safe(name: str) -> str:
    """A name without what separates names in the files written, or what a file system refuses."""
    return re.sub(r"[^A-Za-z0-9-]+", "-", name).strip("-") or "case"


def _unique(sources: Sequence[Source], root: Path) -> list[Source]:
    """Names that occur twice are told apart by the folders above them, or by a number at last."""
    count = Counter(source.name for source in sources)
    long = [
        source.name
        if count[source.name] == 1
        else _safe(f"{source.files[0].parent.relative_to(root).as_posix()}-{source.name}")
        for source in sources
    ]
    seen: Counter[str] = Counter()
    unique = []
    for source, name in zip(sources, long, strict=True):
        seen[name] += 1
        unique.append(replace(source, name=name if seen[name] == 1 else f"{name}-{seen[name]}"))
    return unique


def read_volume(source: Source) -> Scan:
    """Read a CT and its label map.

    Raises:
        DataError: what is wrong with it, without naming it.
    """
    if source.problem is not None:
        raise DataError(source.problem)
    image = _load(source.files[0]) if suffix_of(source.files[0]) in _NIFTI else read_series(source.files)
    _require_upright(image)
    canonical_image = _canonical(image)
    try:
        hu = np.asarray(canonical_image.dataobj, dtype=np.float32)
    except Exception as error:  # a truncated or damaged file, in whatever way the decoder says so
        raise DataError(f"the CT cannot be read ({first_line(error)})") from error
    hu = np.nan_to_num(hu.reshape(hu.shape[:3]), nan=-1000.0)
    x, y, z = (float(size) for size in np.linalg.norm(canonical_image.affine[:3, :3], axis=0))
    voxel = (x, y, z)
    extent = [count * size for count, size in zip(hu.shape, voxel, strict=True)]
    if min(extent) < _LEAST_MM:
        raise DataError(f"it measures {' x '.join(f'{mm:.0f}' for mm in extent)} mm; that is no chest")
    if hu.min() > _LUNG_HU:
        raise DataError(f"its smallest value is {hu.min():.0f}; store Hounsfield units")
    labels = _read_labels(source.labels, canonical_image, hu) if source.labels else None
    # Canonical axes point right, front, head; ours point left, so that columns of a film follow x.
    return Scan(hu=hu[::-1], voxel=voxel, labels=None if labels is None else labels[::-1])


def _load(path: Path) -> Any:
    import nibabel

    try:
        image = nibabel.load(path)
    except Exception as error:
        raise DataError(f"{path.name} cannot be read ({first_line(error)})") from error
    if image.ndim < 3 or any(length != 1 for length in image.shape[3:]):
        raise DataError(f"{path.name} has the shape {image.shape}; store one volume of three axes")
    return image


def _canonical(image: Any) -> Any:
    import nibabel

    return nibabel.as_closest_canonical(image)


def _require_upright(image: Any) -> None:
    """Refuse axes that are sheared or far from the patient's own."""
    axes = np.asarray(image.affine, dtype=np.float64)[:3, :3]
    lengths = np.linalg.norm(axes, axis=0)
    if not (np.isfinite(lengths).all() and (lengths > 0).all()):
        raise DataError("its affine matrix has no inverse; write the file again")
    cosines = (axes / lengths).T @ (axes / lengths) - np.eye(3)
    if np.abs(cosines).max() > 0.02:
        raise DataError("its axes are not perpendicular (gantry tilt); resample it to a straight grid")
    if (np.abs(axes / lengths).max(axis=0) < np.cos(np.deg2rad(_MOST_OBLIQUE_DEGREES))).any():
        raise DataError("its axes are turned against the patient's; resample it to a straight grid")


def _read_labels(paths: Sequence[Path], ct: Any, hu: Volume) -> NDArray[np.uint8]:
    several = len(paths) > 1 or canonical(stem_of(paths[0])) is not None
    if not several:
        return _multilabel(paths[0], ct, hu)
    labels = np.zeros(hu.shape, dtype=np.uint8)
    for path in paths:
        if (name := canonical(stem_of(path))) is not None:
            labels[_labels_on_grid(path, ct) > 0] = NAMES[name]
    return labels


def _multilabel(path: Path, ct: Any, hu: Volume) -> NDArray[np.uint8]:
    labels = _labels_on_grid(path, ct)
    if labels.min() < 0 or labels.max() > np.iinfo(np.uint16).max:
        raise DataError(f"{path.name} holds {labels.min():.0f} to {labels.max():.0f}; that is no label map")
    table: Mapping[int, str] | None
    table = table_in_header([extension.get_content() for extension in _load(path).header.extensions])
    table = table or table_of_attenuation(labels, hu)
    if table is None:
        raise DataError(
            f"the labels of {path.name} are not numbered as TotalSegmentator's; give one file for each "
            "structure in a folder segmentations, or remove it to have the CT segmented"
        )
    return translate(labels, table)


def _labels_on_grid(path: Path, ct: Any) -> NDArray[Any]:
    image = _canonical(_load(path))
    if image.shape[:3] != ct.shape[:3] or not np.allclose(image.affine, ct.affine, atol=0.5):
        raise DataError(f"{path.name} lies on another grid than the CT; resample it to the CT's")
    try:
        labels: NDArray[Any] = np.asanyarray(image.dataobj).reshape(ct.shape[:3])
    except Exception as error:
        raise DataError(f"{path.name} cannot be read ({first_line(error)})") from error
    return labels
