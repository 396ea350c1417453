"""VinDr-CXR.

Source: Nguyen et al., "VinDr-CXR: An open dataset of chest X-rays with radiologist's annotations", Scientific
Data 9 (2022); https://physionet.org/content/vindr-cxr/1.0.0/. All images are postero-anterior. Neither
patients nor dates are published: every image counts as a patient of its own, and there are no pairs.
"""

from collections import defaultdict
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from data.index.annotations import boxes_in, frames_of, region_columns
from data.index.catalogue import Catalogue, Images, Source, constant
from data.index.labels import column_of, one_below_the_other, read_labels
from data.index.tables import find_table, join, read_table
from data.manifests.regions import Box, boxes_cell

LOOKED_FOR = "annotations/image_labels_train.csv or annotations/image_labels_test.csv"
_TABLES = {"train": "image_labels_train.csv", "test": "image_labels_test.csv"}
_BOXES = ("annotations_train.csv", "annotations_test.csv")
_EDGES = ("x_min", "y_min", "x_max", "y_max")


def find(root: Path) -> bool:
    """One of the two tables of labels."""
    return any(find_table(root / "annotations", name) for name in _TABLES.values())


def read(source: Source) -> Catalogue:
    """All images of the tables, which name one once for every reader."""
    tables = []
    for split, file_name in _TABLES.items():
        path = find_table(source.root / "annotations", file_name)
        if path is not None:
            table = _by_majority(path)
            tables.append(table.append_column("split", constant(split, len(table))))
    labels = one_below_the_other(tables)
    image, split = labels.pop("image_id"), labels.pop("split")
    images = Images(
        patient=image,
        study=constant("", len(image)),
        image=image,
        path=join(split, join(image, ".dicom"), separator="/"),
        view=constant("PA", len(image)),
        split=split,
        labels=labels,
    )
    images.regions = _boxes(source, images)
    return Catalogue(
        images=images,
        namespace="vindr-cxr",
        official_splits=frozenset(split.unique().to_pylist()),
        notes=["no patients are published: every image counts as one, and there are no pairs"],
    )


def _boxes(source: Source, images: Images) -> dict[str, pa.Array]:
    """Boxes of all readers by finding, where their tables are there."""
    found: dict[tuple[str, str], list[Box]] = defaultdict(list)
    for file_name in _BOXES:
        if path := find_table(source.root / "annotations", file_name):
            table = pa.table(read_table(path, ("image_id", "class_name", *_EDGES)))
            rows = table.filter(
                pc.not_equal(table["x_min"], "")
            ).to_pylist()  # where nothing is found, there is none
            frames = frames_of(images, source.root, {row["image_id"] for row in rows})
            for row in rows:
                if frame := frames.get(name := row["image_id"]):
                    box = [float(row[edge]) for edge in _EDGES]
                    column = f"boxes:{column_of(row['class_name'])}"
                    found[column, name] += boxes_in([box], frame, f"{path}: image {name}")
    return region_columns(images.image, {key: boxes_cell(boxes) for key, boxes in found.items()})


def _by_majority(path: Path) -> pa.Table:
    """One row for every image: a label is 1 where more than half of its readers say so."""
    labels = read_labels(path, ("image_id", "rad_id"))
    if "other_disease" in labels:  # as only the table of the test images calls it
        labels["other_diseases"] = labels.pop("other_disease")
    readings = pa.table({"image_id": read_table(path, ("image_id",))["image_id"], **labels})
    images = readings.group_by("image_id", use_threads=False).aggregate([(name, "mean") for name in labels])
    votes = {name: pc.greater(images[f"{name}_mean"], 0.5).cast(pa.int8()) for name in labels}
    return pa.table({"image_id": images["image_id"], **votes})
