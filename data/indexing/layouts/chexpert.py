"""CheXpert, as published in full size and as CheXpert-v1.0-small.

Source: Irvin et al., "CheXpert: A Large Chest Radiograph Dataset with Uncertainty Labels and Expert
Comparison", AAAI 2019; https://stanfordmlgroup.github.io/competitions/chexpert/. No dates are published;
studies are numbered in order.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data.errors import DataError
from data.indexing.catalogue import Catalogue, Images, Source, constant
from data.indexing.tables import find_table, header_of, numbers_in, read_table, views_of, whole

LOOKED_FOR = "train.csv or valid.csv with the column Path"
_TABLES = {"train": "train.csv", "val": "valid.csv", "test": "test.csv"}
_PATH = r"(?P<path>(?:train|valid|test)/(?P<patient>[^/]+)/(?P<study>[^/]+)/(?P<image>[^/.]+)\.[^/]+)$"


def find(root: Path) -> bool:
    """A table of training or validation images, by its name and its first column."""
    paths = (find_table(root, _TABLES["train"]), find_table(root, _TABLES["val"]))
    return any(path is not None and "Path" in header_of(path) for path in paths)


def read(source: Source) -> Catalogue:
    """The images of all tables that are there."""
    tables = {split: find_table(source.root, name) for split, name in _TABLES.items()}
    parts = {split: _read_split(path) for split, path in tables.items() if path is not None}
    paths = pa.concat_arrays([part[0] for part in parts.values()])
    views = pa.concat_arrays([part[1] for part in parts.values()])
    splits = pa.concat_arrays([constant(split, len(part[0])) for split, part in parts.items()])
    fields = pc.extract_regex(paths, _PATH)
    if fields.null_count:
        wrong = paths.filter(fields.is_null())[0].as_py()
        raise DataError(
            f"{source.root}: the tables name {wrong!r}; a path ends in train/PATIENT/STUDY/VIEW.jpg, "
            "or valid or test instead of train"
        )
    study = whole(pc.struct_field(fields, "study"))
    images = Images(
        patient=whole(pc.struct_field(fields, "patient")),
        study=study,
        image=whole(pc.struct_field(fields, "image")),
        path=whole(pc.struct_field(fields, "path")),
        view=views,
        region=constant("", len(paths)),
        moment=numbers_in(study),
        rank=np.arange(len(paths)),
        split=splits,
    )
    return Catalogue(images=images, namespace="chexpert", official_splits=frozenset(parts))


def _read_split(path: Path) -> tuple[pa.Array, pa.Array]:
    """Paths and views; the test table names no views, but the files' names tell frontal from lateral."""
    columns = ["Frontal/Lateral", "AP/PA"]
    described = set(columns) <= set(header_of(path))
    table = read_table(path, ["Path", *columns] if described else ["Path"])
    paths = table["Path"].combine_chunks()
    lateral = pc.match_substring(paths, "lateral")
    direction = constant("", len(paths))
    if described:
        lateral = pc.equal(table["Frontal/Lateral"].combine_chunks(), "Lateral")
        direction = table["AP/PA"].combine_chunks()
    # A few frontal images carry LL or RL there, which would make them laterals.
    is_known = pc.is_in(direction, value_set=pa.array(["AP", "PA"]))
    frontal = pc.if_else(is_known, direction, "FRONTAL")
    return paths, views_of(pc.if_else(lateral, "LATERAL", frontal))
