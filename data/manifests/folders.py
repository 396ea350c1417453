"""Folder layouts -> records, where there is no manifest.

- `baseline/ followup/ target/` (and `target_baseline/`) with equal file names up to the suffix. The patient
  is what precedes the first underscore of the name, or all of it.
- `CASE/PAIR/{prior,current,diff_map}.nii.gz`, and `diff_map_prior.nii.gz` for the same change in the geometry
  of prior. The patient is CASE.
- Any folder of images, for pretraining. The patient is the first folder on the way to the image, or, for
  files directly in the folder, what precedes the first underscore of the name. Where the first folders are
  train, val and test, they name the split and the patient is found below them.
"""

from collections.abc import Container
from pathlib import Path

from data.base.errors import DataError
from data.config import SPLITS
from data.files.formats import is_radiograph_file, require_readable, stem_of, without_suffix
from data.manifests.manifest import SUFFIXES
from data.manifests.records import (
    ImageRecord,
    PairRecord,
    RecordT,
    RecordTable,
    images_of_pairs,
    unique_ids,
)
from data.manifests.sharing import listing, shared_file

_LAYOUTS = (
    "baseline/ followup/ target/ with equal file names, or CASE/PAIR/{prior,current,diff_map}.nii.gz, "
    "or give a CSV manifest"
)


def pairs_in_folder(root: Path) -> RecordTable[PairRecord]:
    """Records of the pairs in one of the two layouts of pairs, sorted by name.

    Raises:
        DataError: there are none, a file lacks its counterpart, or one is of two patients.
    """
    records = _find_pairs(root)
    if not records:
        raise DataError(f"{root} holds no pairs; arrange them as {_LAYOUTS}")
    return _of_one_patient_each(RecordTable.of(PairRecord, records))


def images_in_folder(root: Path) -> RecordTable[ImageRecord]:
    """Records of the images at any depth, sorted by name; of a layout of pairs, both images of each pair.

    Raises:
        DataError: there are none, a pair is incomplete, or a file is of two patients.
    """
    pairs = _find_pairs(root)
    if pairs:
        return images_of_pairs(_of_one_patient_each(RecordTable.of(PairRecord, pairs)))
    return _of_one_patient_each(RecordTable.of(ImageRecord, _find_images(root)))


def is_folder_of_pairs(root: Path) -> bool:
    """Whether a folder is in one of the two layouts of pairs.

    Raises:
        DataError: a pair is incomplete.
    """
    return bool(_find_pairs(root))


def _of_one_patient_each(records: RecordTable[RecordT]) -> RecordTable[RecordT]:
    """The records, refused where links make a radiograph one of two patients."""
    if shared := shared_file(records, listing()):
        use, earlier = shared
        one, other = records[earlier.row].patient_id, records[use.row].patient_id
        raise DataError(
            f"{use.cell} is the same file as {earlier.cell}, of the patients {other!r} and {one!r}; a file "
            "belongs to one patient"
        )
    return records


def _find_pairs(root: Path) -> list[PairRecord]:
    # A folder with a manifest is not guessed at: it says whose the files are, their names may not.
    if (root / "prepared.json").is_file():
        raise DataError(
            f"{root} is prepared data; train on it with --data.prepared {root}, in a mix as prepared:{root}"
        )
    for name in (f"{stem}{suffix}" for stem in ("manifest", "pairs", "images") for suffix in SUFFIXES):
        if (root / name).is_file():
            raise DataError(f"{root} is described by {root / name}: give that manifest, not the folder")
    if (root / "baseline").is_dir() and (root / "followup").is_dir():
        return _parallel_pairs(root)
    return [
        record
        for case in sorted(root.iterdir())
        if case.is_dir()
        for pair in sorted(case.iterdir())
        if pair.is_dir() and (record := _nested_pair(root, pair)) is not None
    ]


def _parallel_pairs(root: Path) -> list[PairRecord]:
    """Pairs of `baseline/ followup/ target/ target_baseline/`; the last two may be absent or incomplete."""
    baselines, followups, targets, targets_baseline = (
        _by_stem(root / name) for name in ("baseline", "followup", "target", "target_baseline")
    )
    for files, others, role in (
        (baselines, followups, "followup"),
        (followups, baselines, "baseline"),
        (targets, followups, "followup"),
        (targets_baseline, followups, "followup"),
    ):
        for stem in files.keys() - others.keys():
            raise DataError(f"{files[stem]} has no {role} of the same name; add {role}/{stem} or remove it")
    return [
        PairRecord(
            id=stem,
            patient_id=_patient_of(stem),
            baseline=baselines[stem],
            followup=followups[stem],
            target=targets.get(stem),
            target_baseline=targets_baseline.get(stem),
        )
        for stem in sorted(baselines)
    ]


def _nested_pair(root: Path, folder: Path) -> PairRecord | None:
    """The pair in `CASE/PAIR`, or None when the folder holds neither of its images."""
    files = _by_stem(folder, ("prior", "current", "diff_map", "diff_map_prior"))
    if not {"prior", "current"} & files.keys():
        return None
    for stem in ("prior", "current"):
        if stem not in files:
            raise DataError(f"{folder} holds a pair without {stem}.nii.gz; add it or remove the folder")
    return PairRecord(
        id=folder.relative_to(root).as_posix(),
        patient_id=folder.parent.name,
        baseline=files["prior"],
        followup=files["current"],
        target=files.get("diff_map"),
        target_baseline=files.get("diff_map_prior"),
    )


def _find_images(root: Path) -> list[ImageRecord]:
    files = sorted(file for file in root.rglob("*") if file.is_file() and not file.name.startswith("."))
    images = [file for file in files if is_radiograph_file(file)]
    if not images:
        for file in files[:1]:
            require_readable(file)
        raise DataError(f"{root} holds no images; give a folder of images or a CSV or Parquet manifest")
    for image in images:
        _require_text(image)
        if stem_of(image) == "diff_map" or image.parent.name in ("target", "target_baseline"):
            raise DataError(
                f"{image} is a change map, no radiograph; give the folder that holds pairs as {_LAYOUTS}"
            )
    relative = [file.relative_to(root) for file in images]
    names_splits = all(len(path.parts) > 1 and path.parts[0] in SPLITS for path in relative)
    full_names = [path.as_posix() for path in relative]
    names = unique_ids([without_suffix(name) for name in full_names], full_names)
    return [
        ImageRecord(
            id=name,
            patient_id=_patient_of_nested(path.relative_to(path.parts[0]) if names_splits else path),
            image=image,
            split=path.parts[0] if names_splits else None,
        )
        for name, path, image in zip(names, relative, images, strict=True)
    ]


def _require_text(file: Path) -> None:
    try:
        str(file).encode()
    except UnicodeEncodeError:
        raise DataError(f"{str(file)!r} has a name that is not UTF-8; rename it") from None


def _patient_of(stem: str) -> str:
    return stem.partition("_")[0]


def _patient_of_nested(path: Path) -> str:
    return path.parts[0] if len(path.parts) > 1 else _patient_of(stem_of(path))


def _by_stem(folder: Path, stems: Container[str] | None = None) -> dict[str, Path]:
    """The readable files of a folder (those called one of `stems`) by name without suffix."""
    files: dict[str, Path] = {}
    for file in sorted(folder.iterdir()) if folder.is_dir() else ():
        stem = stem_of(file)
        if file.name.startswith(".") or file.is_dir() or (stems and stem not in stems):
            continue
        if not is_radiograph_file(file):
            continue
        _require_text(file)
        if stem in files:
            raise DataError(f"{files[stem]} and {file} have the same name; remove one of them")
        files[stem] = file
    return files
