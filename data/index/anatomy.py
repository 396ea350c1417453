"""CheXmask's masks of lungs and heart -> columns of a data set's images.

Source: Gaggion et al., "CheXmask: a large-scale dataset of anatomical segmentation masks for multi-center
chest x-ray images", Scientific Data 11 (2024); https://physionet.org/content/chexmask-cxr-segmentation-data/.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from data.base.errors import DataError
from data.files.formats import is_dicom_name
from data.files.frames import frame_of
from data.files.masks import chexmask_runs
from data.files.orientation import AS_STORED, Turn
from data.index.annotations import naming, region_columns
from data.index.catalogue import Images
from data.index.naming import full_ids
from data.index.tables import header_of, reading, require_columns
from data.manifests.regions import mask_cell

RELIABLE = 0.7
"""Least estimated Dice (reverse classification accuracy) of a mask that is used, as the authors advise."""
_LONGEST = 256  # pixels of a mask's longer side: masks of a million images still fit a manifest
_NAMES = ("dicom_id", "image_id", "ImageID", "Image Index", "Path")
_DICE = "Dice RCA (Mean)"
_ORGANS = {"lungs": ("Left Lung", "Right Lung"), "heart": ("Heart",)}
_COLUMNS = (_DICE, *_ORGANS["lungs"], *_ORGANS["heart"], "Height", "Width")
_IN_PATH = r"(?P<name>[^/]+/[^/]+/[^/.]+)\.[^/.]+$"
_FILE = r"^(?:.*/)?(?P<name>[^/]+?)(?:\.(?:png|jpg|jpeg|dcm|dicom))?$"
_BLOCK_BYTES = 1 << 26


def add_anatomy(images: Images, root: Path, path: Path) -> str:
    """Add `lungs` and `heart` to the images that a table of CheXmask has a reliable mask of.

    Returns:
        A note on how many there are.

    Raises:
        DataError: the table cannot be read, lacks a column, is of other images, or holds a wrong code.
    """
    header = header_of(path)
    named = next((name for name in _NAMES if name in header), None)
    if named is None:
        raise DataError(f"{path} lacks a column of images ({', '.join(_NAMES)}); name a table of CheXmask")
    require_columns(path, header, _COLUMNS)
    ids = full_ids(images) if named == "Path" else images.image
    cells: dict[tuple[str, str], str] = {}
    turns, found, used = _turns(images, ids, root), 0, 0
    for image, row in _rows(path, named, ids):
        found += 1
        if float(row[_DICE] or 0) >= RELIABLE:
            used += 1
            turn = turns.get(image, AS_STORED)
            with naming(f"{path}: image {image}"):
                cells |= {(name, image): _cell(row, organs, turn) for name, organs in _ORGANS.items()}
    if not found:
        raise DataError(f"{path} has none of the {len(images):,} images; name the table of this data set")
    images.regions |= region_columns(ids, cells)
    return f"masks of lungs and heart: {used:,} images, {found - used:,} left out as unreliable"


def _turns(images: Images, ids: pa.Array, root: Path) -> dict[str, Turn]:
    """How DICOM files lie; published JPEG and PNG lie as they are stored."""
    paths = [Path(os.fsdecode(path)) for path in images.path.to_pylist()]
    files = zip(ids.to_pylist(), paths, strict=True)
    return {name: frame_of(root / path).turn for name, path in files if is_dicom_name(path)}


def _cell(row: dict[str, str], organs: Iterable[str], turn: Turn) -> str:
    height, width = int(float(row["Height"])), int(float(row["Width"]))
    scale = min(1.0, _LONGEST / max(height, width))
    runs = chexmask_runs([row[organ] for organ in organs], height, width)
    return mask_cell(turn.seen(runs.mask(max(1, round(height * scale)), max(1, round(width * scale)))))


def _rows(path: Path, named: str, ids: pa.Array) -> Iterator[tuple[str, dict[str, str]]]:
    """The rows on given images, a block of the table at a time: whole, it has gigabytes."""
    columns = (named, *_COLUMNS)
    with reading(path):
        stream = arrow_csv.open_csv(
            path,
            arrow_csv.ReadOptions(block_size=_BLOCK_BYTES),
            convert_options=arrow_csv.ConvertOptions(
                include_columns=list(columns),
                column_types=dict.fromkeys(columns, pa.string()),
                strings_can_be_null=False,
            ),
        )
        for batch in stream:
            names = pc.struct_field(
                pc.extract_regex(batch[named], _IN_PATH if named == "Path" else _FILE), "name"
            )
            kept = pa.table(batch).append_column("image", names).filter(pc.is_in(names, value_set=ids))
            for row in kept.to_pylist():
                yield row.pop("image"), row
