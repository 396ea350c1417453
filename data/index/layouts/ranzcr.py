"""RANZCR CLiP: lines along catheters and tubes, and whether each is where it should be.

Source: Tang et al., "CLiP, catheter and line position dataset", Scientific Data 8 (2021). Images of NIH
ChestX-ray14 under new names. Patients are published, dates are not: there are no pairs.
"""

import json
from collections import defaultdict
from pathlib import Path

from data.base.errors import DataError
from data.files.frames import Frame
from data.index.annotations import Cells, frames_of, region_columns
from data.index.catalogue import Catalogue, Images, Source
from data.index.files import locate
from data.index.labels import column_of, read_labels
from data.index.tables import find_table, join, read_table
from data.manifests.regions import Point, lines_cell

LOOKED_FOR = "train_annotations.csv"
_TABLE = "train.csv"


def find(root: Path) -> bool:
    """The tables of images and of lines."""
    return find_table(root, LOOKED_FOR) is not None and find_table(root, _TABLE) is not None


def read(source: Source) -> Catalogue:
    """All images of `train.csv`, in `train/` or `images/`."""
    table, annotations = find_table(source.root, _TABLE), find_table(source.root, LOOKED_FOR)
    assert table is not None
    assert annotations is not None
    columns = read_table(table, ("StudyInstanceUID", "PatientID"))
    names = columns["StudyInstanceUID"]
    images = Images(
        patient=columns["PatientID"],
        study=names,
        image=names,
        path=locate(source.root, ("train", "images", ""), join(names, ".jpg")),
        labels=read_labels(table, ("StudyInstanceUID", "PatientID")),
    )
    images.regions = region_columns(names, _cells(annotations, images, source.root))
    return Catalogue(
        images=images,
        namespace="ranzcr-clip",
        checked=True,
        notes=["no dates are published: there are no pairs"],
    )


def _cells(path: Path, images: Images, root: Path) -> Cells:
    """The lines of every image by what they are."""
    table = read_table(path, ("StudyInstanceUID", "label", "data"))
    rows = [column.to_pylist() for column in table.values()]
    frames, found = (
        frames_of(images, root, set(rows[0])),
        defaultdict[tuple[str, str], list[list[Point]]](list),
    )
    for name, label, data in zip(*rows, strict=True):
        if frame := frames.get(name):
            found[f"lines:{column_of(label)}", name].append(_line(data, frame, f"{path}: image {name}"))
    return {key: lines_cell(lines) for key, lines in found.items()}


def _line(data: str, frame: Frame, place: str) -> list[Point]:
    try:
        points = [(float(x) / frame.width, float(y) / frame.height) for x, y in json.loads(data)]
    except (ValueError, TypeError):
        raise DataError(
            f"{place}: {data[:40]!r} is no line of points; download the official file again"
        ) from None
    if any(not (-0.01 <= value <= 1.01) for point in points for value in point):
        raise DataError(
            f"{place}: a line leaves its image of {frame.width} x {frame.height}; use the original images"
        )
    return [frame.turn.point(x, y) for x, y in points]
