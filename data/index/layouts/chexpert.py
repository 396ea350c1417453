"""CheXpert, as published in full size and as CheXpert-v1.0-small.

Source: Irvin et al., "CheXpert: A Large Chest Radiograph Dataset with Uncertainty Labels and Expert
Comparison", AAAI 2019; https://stanfordmlgroup.github.io/competitions/chexpert/. No dates are published;
studies are numbered in order. The full size comes in batches: patients of `train` lie in several folders
`CheXpert-v1.0 batch N (train M)`, tables and `valid` in `CheXpert-v1.0 batch 1 (validate & csv)`.
"""

from fnmatch import fnmatch
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from data.base.errors import DataError
from data.index.catalogue import Catalogue, Images, Source, constant
from data.index.files import locate
from data.index.labels import one_below_the_other, read_labels
from data.index.tables import find_table, header_of, join, numbers_in, read_table, views_of, whole

LOOKED_FOR = "train.csv or valid.csv with the column Path"
_TABLES = {"train": "train.csv", "val": "valid.csv", "test": "test.csv"}
_PATH = (
    r"(?P<folder>train|valid|test)/(?P<patient>[^/]+)/"
    r"(?P<file>(?P<study>[^/]+)/(?P<image>[^/.]+)\.[^/]+)$"
)
_TRAIN_BATCH, _VALID_BATCH = "*batch * (train *)", "*batch * (validate*)"


def find(root: Path) -> bool:
    """A table of training or validation images, by its name and its first column."""
    paths = (_find_table(root, _TABLES["train"]), _find_table(root, _TABLES["val"]))
    return any(path is not None and "Path" in header_of(path) for path in paths)


def read(source: Source) -> Catalogue:
    """The images of all tables that are there."""
    tables = {split: _find_table(source.root, name) for split, name in _TABLES.items()}
    parts = {split: _read_split(path, split) for split, path in tables.items() if path is not None}
    columns = one_below_the_other(parts.values())
    paths = columns.pop("path")
    fields = pc.extract_regex(paths, _PATH)
    if fields.null_count:
        raise DataError(
            f"{source.root}: {fields.null_count} paths of the tables do not end in "
            "train/PATIENT/STUDY/VIEW.jpg, nor in that with valid or test instead of train; download the "
            "official tables again"
        )
    patient = whole(pc.struct_field(fields, "patient"))
    folder = _folders(source.root, whole(pc.struct_field(fields, "folder")), patient)
    study = whole(pc.struct_field(fields, "study"))
    images = Images(
        patient=patient,
        study=study,
        image=whole(pc.struct_field(fields, "image")),
        path=join(folder, whole(pc.struct_field(fields, "file")), separator="/"),
        view=columns.pop("view"),
        moment=numbers_in(study),
        split=columns.pop("split"),
        labels=columns,
    )
    return Catalogue(images=images, namespace="chexpert", official_splits=frozenset(parts))


def _find_table(root: Path, name: str) -> Path | None:
    places = (root / place for place in ("", *_batches(root, _VALID_BATCH)))
    return next((path for place in places if (path := find_table(place, name))), None)


def _batches(root: Path, pattern: str) -> list[str]:
    """Folders of batches relative to `root`: in it, and beside it where it is one of them itself."""
    parents = ["", "../"] if fnmatch(root.resolve().name, "*batch * (*)*") else [""]
    return [
        f"{parent}{folder.name}"
        for parent in parents
        for folder in sorted((root / parent).glob(pattern))
        if folder.is_dir()
    ]


def _folders(root: Path, named: pa.Array, patients: pa.Array) -> pa.Array:
    """The folder of each patient, relative to `root`: the one in the tables unless a batch holds it."""
    folders = join(named, patients, separator="/")
    batches = {
        "train": _batches(root, _TRAIN_BATCH),
        "valid": [f"{batch}/valid" for batch in _batches(root, _VALID_BATCH)],
    }
    for name, places in batches.items():
        if places:
            found = locate(root, [name, *places], patients)
            folders = pc.if_else(pc.equal(named, name), pc.coalesce(found, folders), folders)
    return whole(folders)


def _read_split(path: Path, split: str) -> pa.Table:
    """Paths, views, labels; the test table names no views, but files' names tell frontal from lateral."""
    columns = ["Frontal/Lateral", "AP/PA"]
    described = set(columns) <= set(header_of(path))
    table = read_table(path, ["Path", *columns] if described else ["Path"])
    paths = table["Path"]
    lateral = pc.match_substring(paths, "lateral")
    direction = constant("", len(paths))
    if described:
        lateral = pc.equal(table["Frontal/Lateral"], "Lateral")
        direction = table["AP/PA"]
    # A few frontal images carry LL or RL there, which would make them laterals.
    is_known = pc.is_in(direction, value_set=pa.array(["AP", "PA"]))
    frontal = pc.if_else(is_known, direction, "FRONTAL")
    views = views_of(pc.if_else(lateral, "LATERAL", frontal))
    labels = read_labels(path, ("Path", "Sex", "Age", *columns))
    return pa.table({"path": paths, "view": views, "split": constant(split, len(paths)), **labels})
