"""CT volumes in a folder: NIfTI files, case folders with label maps, DICOM series.

- `NAME.nii.gz` (or `.nii`) in the folder itself, at will with `NAME_seg.nii.gz` beside it.
- `CASE/ct.nii.gz`, the layout of TotalSegmentator's data set; any other name will do where it is the only
  volume. Label maps lie beside it: a folder `segmentations` of one file for each structure, or one file
  `segmentations.nii.gz`, `labels.nii.gz` or `*_seg.nii.gz` of all.
- Folders of DICOM files: see `data.simulation.volumes.series`.

Links to folders are followed, and every folder is read once.

A volume is a patient. It is called `ct0001` and so on, in the order of the paths, and keeps that name when
others are added later: folders and files are often named after patients, so no name of them is kept, nor any
name, number or date within a DICOM file.
"""

import hashlib
import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray

from data.base.engines import Engine
from data.base.errors import DataError
from data.base.outputs import stamp_of
from data.files.formats import stem_of, suffix_of
from data.files.quiet import quiet
from data.simulation.volumes.anatomy import LUNG_HU, Volume
from data.simulation.volumes.series import find_series, read_series
from data.simulation.volumes.totalsegmentator import (
    NAMES,
    canonical,
    table_in_header,
    table_of_attenuation,
    translate,
)

_NIFTI = (".nii", ".nii.gz")
_LABEL_STEMS = ("segmentations", "labels")
_LABEL_FOLDER = "segmentations"
_MOST_OBLIQUE_DEGREES = 20.0
_LEAST_MM = 100.0
_CT = "the CT"
_LABEL_MAP = "its label map"


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where one CT lies."""

    files: tuple[Path, ...]
    """One NIfTI file, or the slices of a DICOM series from the feet to the head."""
    name: str = ""
    """Pseudonym of the patient, which `find_volumes` gives."""
    labels: tuple[Path, ...] = ()
    """Label maps: one of all structures, or one for each."""
    names: Mapping[int, str] | None = None
    """Structure of every label in the map of all, where that is known; else it is TotalSegmentator's."""
    problem: str | None = None
    """Why it cannot be read, where that shows without reading it."""

    def path(self, root: Path) -> str:
        """Its first file, relative to the folder of all volumes."""
        return min(self.files).relative_to(root).as_posix()

    def digest(self, root: Path) -> str:
        """Fingerprint of names, sizes and times of its files, to notice that a volume is another one."""
        paths = (*self.files, *self.labels)
        # A link to nowhere has no stamp; reading it says so.
        stamps = [":".join(map(str, stamp_of(path) or ("missing",))) for path in paths]
        parts = [f"{path.relative_to(root)}:{stamp}" for path, stamp in zip(paths, stamps, strict=True)]
        return hashlib.sha256("\n".join(parts).encode(errors="surrogateescape")).hexdigest()[:16]


@dataclass(frozen=True, kw_only=True)
class Scan:
    """A CT `[X, Y, Z]`, axes to the patient's left, front and head."""

    hu: Volume
    voxel: tuple[float, float, float]
    """Size of a voxel in mm."""
    labels: NDArray[np.uint8] | None = None
    """Structures, numbered as `totalsegmentator.NAMES` says."""


def find_volumes(
    root: Path,
    known: Mapping[str, str] | None = None,
    *,
    engine: Engine | None = None,
    progress: bool = False,
) -> list[Source]:
    """Every CT below a folder, sorted by name.

    Args:
        root: the folder.
        known: names given before, by `Source.path` or `Source.digest`; other volumes get free numbers.
        engine: where the headers of many DICOM files are read; None for this process.
        progress: show a bar over the headers.

    Raises:
        DataError: if the folder is missing or holds none.
    """
    if not root.is_dir():
        raise DataError(f"{root} is no folder; give one of CT volumes (NIfTI or DICOM)")
    sources: list[Source] = []
    others: list[Path] = []
    for folder, files in _walk(root):
        nifti = [file for file in files if suffix_of(file) in _NIFTI]
        sources += _of_folder(nifti, files_directly=folder == root)
        others += [file for file in files if suffix_of(file) not in _NIFTI]
    for series in find_series(others, engine=engine, progress=progress):
        sources.append(Source(files=series.files, problem=series.problem))
    if not sources:
        raise DataError(
            f"{root} holds no CT; put NIfTI volumes (NAME.nii.gz or CASE/ct.nii.gz) or DICOM series there"
        )
    return _named(sources, root, known or {})


def _walk(root: Path) -> Iterator[tuple[Path, list[Path]]]:
    """Every folder with its files; linked ones last, so that a link added later renames no path."""
    seen: set[str] = set()
    waiting = [root]
    while waiting:
        for place, folders, names in os.walk(waiting.pop(0)):
            folder, real = Path(place), os.path.realpath(place)
            folders[:] = sorted(
                name for name in folders if name != _LABEL_FOLDER and not name.startswith(".")
            )
            if real in seen:
                folders.clear()
                continue
            seen.add(real)
            waiting += [folder / name for name in folders if (folder / name).is_symlink()]
            yield folder, [folder / name for name in sorted(names) if not name.startswith(".")]


def _named(sources: Sequence[Source], root: Path, known: Mapping[str, str]) -> list[Source]:
    taken = set(known.values())
    free = (name for name in map("ct{:04d}".format, itertools.count(1)) if name not in taken)
    named: dict[str, Source] = {}
    for source in sorted(sources, key=lambda one: one.path(root)):
        name = known.get(source.path(root)) or known.get(source.digest(root))
        if name is None or name in named:
            name = next(free)
        named[name] = replace(source, name=name)
    return [named[name] for name in sorted(named)]


def _of_folder(files: Sequence[Path], files_directly: bool) -> list[Source]:
    """The volumes among the NIfTI files of one folder."""
    volumes = [file for file in files if not _is_label_map(file)]
    cases = [file for file in volumes if stem_of(file) == "ct"]
    if not volumes:
        return []
    if cases or (not files_directly and len(volumes) == 1):
        [volume, *_] = cases or volumes
        return [Source(files=(volume,), labels=_labels_of(volume, files))]
    if files_directly:
        maps = {stem_of(file): (file,) for file in files}
        return [Source(files=(file,), labels=maps.get(f"{stem_of(file)}_seg", ())) for file in volumes]
    problem = f"the folder holds {len(volumes)} NIfTI volumes; name the CT of the case ct.nii.gz"
    return [Source(files=tuple(volumes), problem=problem)]


def _is_label_map(file: Path) -> bool:
    stem = stem_of(file)
    return stem in _LABEL_STEMS or stem.endswith("_seg")


def _labels_of(volume: Path, files: Sequence[Path]) -> tuple[Path, ...]:
    folder = volume.parent / _LABEL_FOLDER
    if folder.is_dir():
        return tuple(sorted(file for file in folder.iterdir() if suffix_of(file) in _NIFTI))
    return tuple(file for file in files if _is_label_map(file))[:1]


def read_volume(source: Source) -> Scan:
    """Read a CT and its label map.

    Raises:
        DataError: what is wrong with it, without naming it or its files.
    """
    if source.problem is not None:
        raise DataError(source.problem)
    with quiet():
        return _read(source)


def _read(source: Source) -> Scan:
    is_nifti = suffix_of(source.files[0]) in _NIFTI
    image = _load(source.files[0], _CT) if is_nifti else read_series(source.files)
    _require_upright(image)
    with _decoding(_CT):
        canonical_image = nibabel.as_closest_canonical(image)
        hu = np.asarray(canonical_image.dataobj, dtype=np.float32)
    hu = np.nan_to_num(hu.reshape(hu.shape[:3]), nan=-1000.0)
    x, y, z = (float(size) for size in np.linalg.norm(canonical_image.affine[:3, :3], axis=0))
    voxel = (x, y, z)
    extent = [count * size for count, size in zip(hu.shape, voxel, strict=True)]
    if min(extent) < _LEAST_MM:
        raise DataError(f"it measures {' x '.join(f'{mm:.0f}' for mm in extent)} mm; that is no chest")
    if hu.min() > LUNG_HU:
        raise DataError(f"its smallest value is {hu.min():.0f}; store Hounsfield units")
    labels = _read_labels(source, canonical_image, hu) if source.labels else None
    # Canonical axes point right, front, head; ours point left, so that columns of a film follow x.
    return Scan(hu=hu[::-1], voxel=voxel, labels=None if labels is None else labels[::-1])


@contextmanager
def _decoding(what: str) -> Iterator[None]:
    """Whatever a damaged file makes its decoder raise is a DataError; its text may name the file."""
    try:
        yield
    except Exception as error:
        raise DataError(
            f"{what} cannot be read ({type(error).__name__}); replace it with an intact one"
        ) from None


def _load(path: Path, what: str) -> Any:
    with _decoding(what):
        image = nibabel.load(path)
    if image.ndim < 3 or any(length != 1 for length in image.shape[3:]):
        raise DataError(f"{what} has the shape {image.shape}; store one volume of three axes")
    return image


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


def _read_labels(source: Source, ct: Any, hu: Volume) -> NDArray[np.uint8]:
    first, *others = source.labels
    if not others and canonical(stem_of(first)) is None:
        return _multilabel(first, source.names, ct, hu)
    labels = np.zeros(hu.shape, dtype=np.uint8)
    for path in source.labels:
        if (name := canonical(stem_of(path))) is not None:
            labels[_labels_on_grid(path, ct, f"its label map {path.name}") > 0] = NAMES[name]
    return labels


def _multilabel(path: Path, names: Mapping[int, str] | None, ct: Any, hu: Volume) -> NDArray[np.uint8]:
    labels = _labels_on_grid(path, ct, _LABEL_MAP)
    if labels.min() < 0 or labels.max() > np.iinfo(np.uint16).max:
        raise DataError(f"{_LABEL_MAP} holds {labels.min():.0f} to {labels.max():.0f}; those are no labels")
    extensions = _load(path, _LABEL_MAP).header.extensions
    table = names or table_in_header([extension.get_content() for extension in extensions])
    table = table or table_of_attenuation(labels, hu)
    if table is None:
        raise DataError(
            f"{_LABEL_MAP} is not numbered as TotalSegmentator's; give one file for each structure in a "
            "folder segmentations, or remove it to have the CT segmented"
        )
    return translate(labels, table)


def _labels_on_grid(path: Path, ct: Any, what: str) -> NDArray[Any]:
    loaded = _load(path, what)
    with _decoding(what):
        image = nibabel.as_closest_canonical(loaded)
        labels: NDArray[Any] = np.asanyarray(image.dataobj)
        finite = bool(np.isfinite(labels).all())
    if image.shape[:3] != ct.shape[:3] or not np.allclose(image.affine, ct.affine, atol=0.5):
        raise DataError(f"{what} lies on another grid than the CT; resample it to the CT's")
    if not finite:
        raise DataError(f"{what} holds values that are no numbers; store labels as integers")
    return labels.reshape(ct.shape[:3])
