"""ChestX-Det: boxes and outlines of thirteen findings in images of NIH ChestX-ray14.

Source: Lian et al., "A Structure-Aware Relation Network for Thoracic Diseases Detection and Segmentation",
IEEE Transactions on Medical Imaging 40 (2021). Files are numbered anew: every image counts as a patient.
"""

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from data.files.frames import Frame
from data.files.masks import Mask
from data.index.annotations import Cells, boxes_in, frames_of, region_columns
from data.index.catalogue import Catalogue, Images, Source, constant
from data.index.files import locate
from data.index.labels import column_of
from data.index.tables import find_table, read_json, require_columns
from data.manifests.regions import Box, boxes_cell, mask_cell

LOOKED_FOR = "ChestX_Det_train.json or ChestX_Det_test.json"
_TABLES = {"train": "ChestX_Det_train.json", "test": "ChestX_Det_test.json"}
_KEYS = ("file_name", "syms", "boxes", "polygons")


def find(root: Path) -> bool:
    """One of the two tables."""
    return any(find_table(root, name) for name in _TABLES.values())


def read(source: Source) -> Catalogue:
    """All images of the tables, in `train_data/`, `test_data/`, `train/`, `test/`, `images/` or the root."""
    tables = {split: path for split, name in _TABLES.items() if (path := find_table(source.root, name))}
    entries = [(path, split, entry) for split, path in tables.items() for entry in read_json(path)]
    for path, _, entry in entries:
        require_columns(path, entry, _KEYS)
    names = pa.array([entry["file_name"] for _, _, entry in entries], pa.string())
    split = pa.array([split for _, split, _ in entries], pa.string())
    paths = locate(
        source.root, [f"{name}{end}" for end in ("_data", "") for name in tables] + ["images", ""], names
    )
    images = Images(patient=names, study=constant("", len(names)), image=names, path=paths, split=split)
    frames, cells = frames_of(images, source.root), dict[tuple[str, str], str]()
    for path, _, entry in entries:
        if frame := frames.get(entry["file_name"]):
            cells |= _cells(entry, frame, f"{path}: image {entry['file_name']}")
    images.regions = region_columns(names, cells)
    return Catalogue(
        images=images,
        namespace="chestx-det",
        official_splits=frozenset(tables),
        checked=True,
        notes=["no patients are published: every image counts as one, and there are no pairs"],
    )


def _cells(entry: dict[str, Any], frame: Frame, place: str) -> Cells:
    """Boxes and the united outlines of each finding of an image."""
    image, boxes, masks = entry["file_name"], defaultdict[str, list[Box]](list), dict[str, Mask]()
    for finding, box, polygon in zip(entry["syms"], entry["boxes"], entry["polygons"], strict=True):
        name = column_of(finding)
        boxes[name] += boxes_in([box], frame, place)
        filled = _filled(polygon, (int(frame.height), int(frame.width)))
        masks[name] = masks.get(name, False) | frame.turn.seen(filled)
    cells = {(f"boxes:{name}", image): boxes_cell(found) for name, found in boxes.items()}
    return cells | {(f"mask:{name}", image): mask_cell(mask) for name, mask in masks.items()}


def _filled(polygon: list[list[float]], size: tuple[int, int]) -> Mask:
    from skimage.draw import polygon2mask

    return polygon2mask(size, np.asarray(polygon, float).reshape(-1, 2)[:, ::-1])
