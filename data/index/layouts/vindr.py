"""VinDr-CXR.

Source: Nguyen et al., "VinDr-CXR: An open dataset of chest X-rays with radiologist's annotations", Scientific
Data 9 (2022); https://physionet.org/content/vindr-cxr/1.0.0/. All images are postero-anterior. Neither
patients nor dates are published: every image counts as a patient of its own, and there are no pairs.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from data.index.catalogue import UNDATED, Catalogue, Images, Source, constant
from data.index.tables import find_table, join, read_table

LOOKED_FOR = "annotations/image_labels_train.csv or annotations/image_labels_test.csv"
_TABLES = {"train": "image_labels_train.csv", "test": "image_labels_test.csv"}


def find(root: Path) -> bool:
    """One of the two tables of labels."""
    return any(find_table(root / "annotations", name) for name in _TABLES.values())


def read(source: Source) -> Catalogue:
    """All images of the tables, which name one once for every reader."""
    names, splits = [], []
    for split, file_name in _TABLES.items():
        path = find_table(source.root / "annotations", file_name)
        if path is not None:
            names.append(read_table(path, ("image_id",))["image_id"].combine_chunks().unique())
            splits.append(constant(split, len(names[-1])))
    image, split = pa.concat_arrays(names), pa.concat_arrays(splits)
    images = Images(
        patient=image,
        study=constant("", len(image)),
        image=image,
        path=join(split, join(image, ".dicom"), separator="/"),
        view=constant("PA", len(image)),
        region=constant("", len(image)),
        moment=np.full(len(image), UNDATED),
        rank=np.arange(len(image)),
        split=split,
    )
    return Catalogue(
        images=images,
        namespace="vindr-cxr",
        official_splits=frozenset(split.unique().to_pylist()),
        notes=["no patients are published: every image counts as one, and there are no pairs"],
    )
