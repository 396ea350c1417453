"""Chest ImaGenome's gold comparisons: how findings changed at anatomical structures, boxed in both images.

Source: Wu et al., "Chest ImaGenome Dataset for Clinical Reasoning", NeurIPS Datasets and Benchmarks 2021;
https://physionet.org/content/chest-imagenome/1.0.0/. Annotations only, of radiographs of MIMIC-CXR.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pyarrow as pa

from data.base.errors import DataError
from data.files.frames import Frame
from data.index.annotations import Row, boxes_in, frames_of, known, of_parent, paired, progression_of
from data.index.catalogue import Catalogue, Source
from data.index.layouts import mimic
from data.index.tables import find_table, read_table
from data.manifests.regions import Box, FindingChange

LOOKED_FOR = "gold_dataset/gold_object_comparison_with_coordinates.txt"
_TABLE = "gold_object_comparison_with_coordinates.txt"
_COLUMNS = (
    *("current_image_id", "previous_image_id", "comparison", "label_name"),
    *("bbox_coord_original_subject", "bbox_coord_original_object"),
)


def find(root: Path) -> bool:
    """The table of comparisons, in its folder or in the root."""
    return _table(root) is not None


def read(source: Source) -> Catalogue:
    """The pairs of the table; the images are those of MIMIC-CXR-JPG or MIMIC-CXR."""
    path = _table(source.root)
    assert path is not None
    columns = read_table(path, _COLUMNS, multiline=True, delimiter="\t")
    lines: list[dict[str, str]] = pa.table(columns).to_pylist()
    for line in lines:
        for name in ("current_image_id", "previous_image_id"):
            line[name] = line[name].removesuffix(".dcm")
    names = [line[name] for line in lines for name in ("current_image_id", "previous_image_id")]
    catalogue = of_parent(mimic.read_either(source), names, "chest-imagenome")
    images = catalogue.images
    frames = frames_of(images, source.images)
    catalogue.pairs = paired(known(_rows(lines, frames, path, catalogue), images), images.image)
    return catalogue


def _table(root: Path) -> Path | None:
    return find_table(root / "gold_dataset", _TABLE) or find_table(root, _TABLE)


def _rows(
    lines: list[dict[str, str]], frames: Mapping[str, Frame], path: Path, catalogue: Catalogue
) -> Iterator[Row]:
    for line in lines:
        progression = progression_of(line["comparison"])
        if progression is None:
            catalogue.refused["comparison that is none"] += 1
            continue
        baseline, followup = line["previous_image_id"], line["current_image_id"]
        change = FindingChange(
            finding=line["label_name"],
            progression=progression,
            # The subject of a comparison is the current image's structure, the object the previous one's.
            baseline=_box(line["bbox_coord_original_object"], frames.get(baseline), f"{path}: {baseline}"),
            followup=_box(line["bbox_coord_original_subject"], frames.get(followup), f"{path}: {followup}"),
        )
        yield Row(baseline, followup, change)


def _box(cell: str, frame: Frame | None, place: str) -> tuple[Box, ...]:
    """The box of a cell `[x1, y1, x2, y2]` of pixels; an empty one has none."""
    if not cell.strip("[] ") or frame is None:
        return ()
    try:
        x1, y1, x2, y2 = map(float, json.loads(cell))
    except (ValueError, TypeError):
        raise DataError(f"{place}: {cell!r} is no box; download the official file again") from None
    return boxes_in([(x1, y1, x2, y2)], frame, place)
