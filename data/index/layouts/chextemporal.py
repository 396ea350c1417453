"""CheXTemporal's gold pairs: how findings changed, and boxes around them in both images.

Source: https://huggingface.co/datasets/anonaccount107240/CheXTemporal. Annotations only, of radiographs of
CheXpert, MIMIC-CXR and ReXGradient. Boxes are in pixels of a copy of at most 1024 pixels a side. Which box of
a finding with several belongs to which progression is not published.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from data.base.errors import DataError
from data.files.frames import Frame
from data.index.annotations import Row, boxes_in, frames_of, known, paired, progression_of
from data.index.catalogue import Catalogue, Images, Source, constant
from data.index.tables import read_rows
from data.manifests.regions import Box, FindingChange

LOOKED_FOR = "gold_progression_pairs.parquet"
_BOXES = "gold_bboxes.parquet"
_KEY = ("img_path_prev", "img_path_curr", "disease_name", "progression")
_COLUMNS = ("patient_id", "study_id_prev", "study_id_curr", "dataset", *_KEY)
_LONGEST = 1024
_EDGES = ("x1", "y1", "x2", "y2")


def find(root: Path) -> bool:
    """The table of pairs."""
    return (root / LOOKED_FOR).is_file()


def read(source: Source) -> Catalogue:
    """The pairs of both tables; `chexpert/`, `mimic/` and `rexgradient/` lie beside each other."""
    table = source.root / LOOKED_FOR
    lines = read_rows(table, _COLUMNS)
    boxes = source.root / _BOXES
    if boxes.is_file():
        lines += read_rows(boxes, (*_COLUMNS, "prior_bboxes", "current_bboxes"))
    images = _images(lines)
    frames = frames_of(images, source.images)
    catalogue = Catalogue(images=images, namespace="chextemporal", official_splits=frozenset({"test"}))
    catalogue.pairs = paired(known(_rows(lines, frames, boxes, catalogue), images), images.image)
    if not boxes.is_file():
        catalogue.notes.append(f"{_BOXES} is not there: the changes have no boxes")
    return catalogue


def _images(lines: list[dict[str, Any]]) -> Images:
    """Both images of every line, once."""
    found = {
        str(line[f"img_path_{side}"]): (
            f"{line['dataset']}-{line['patient_id']}",
            str(line[f"study_id_{side}"]),
        )
        for line in lines
        for side in ("prev", "curr")
    }
    paths = pa.array(list(found), pa.string())
    return Images(
        patient=pa.array([patient for patient, _ in found.values()], pa.string()),
        study=pa.array([study for _, study in found.values()], pa.string()),
        image=paths,
        path=paths,
        split=constant("test", len(found)),
    )


def _rows(
    lines: list[dict[str, Any]], frames: dict[str, Frame], table: Path, catalogue: Catalogue
) -> Iterator[Row]:
    for line in lines:
        progression = progression_of(str(line["progression"]))
        if progression is None:
            catalogue.refused["progression that is none"] += 1
            continue
        baseline, followup = str(line["img_path_prev"]), str(line["img_path_curr"])
        change = FindingChange(
            finding=str(line["disease_name"]).lower(),
            progression=progression,
            baseline=_boxes(line.get("prior_bboxes"), frames.get(baseline), f"{table}: {baseline}"),
            followup=_boxes(line.get("current_bboxes"), frames.get(followup), f"{table}: {followup}"),
        )
        yield Row(baseline, followup, change)


def _boxes(value: Any, frame: Frame | None, place: str) -> tuple[Box, ...]:
    """Boxes as structs, as lists, or as the JSON of either, as the versions of the table have them."""
    if not value or frame is None:
        return ()
    scale = min(_LONGEST / frame.height, _LONGEST / frame.width, 1.0)
    try:
        given = (json.loads(value) or ()) if isinstance(value, str) else value
        boxes = [[float(box[edge]) for edge in _EDGES] if isinstance(box, dict) else box for box in given]
    except (ValueError, KeyError, TypeError):
        raise DataError(
            f"{place}: no boxes of {', '.join(_EDGES)}; download the official file again"
        ) from None
    annotated = replace(frame, height=frame.height * scale, width=frame.width * scale)
    return boxes_in([box[:4] for box in boxes], annotated, place)
