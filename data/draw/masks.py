"""Masks of lungs and heart that a manifest names; they take the place of what is found in the radiograph."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import label

from data.base.errors import DataError
from data.base.outputs import stamp_of
from data.files.images import read_target
from data.files.masks import chexmask_runs
from data.manifests.records import ImageRecord
from data.simulation.volumes.anatomy import Lungs, Mask

COLUMNS = ("lungs", "heart")
"""Columns of a manifest: a file of the radiograph's own size, 0 outside, or codes as in CheXmask."""
_CODE = re.compile(r"[\d\s]+")
_SMALLER = 0.05
"""Area of the smaller lung over that of the larger; less is a speck beside one lung."""

Cells = Mapping[str, Path | str]
"""By column, the file of a mask or its code."""


def masks_of(record: ImageRecord, manifest: Path) -> Cells:
    """What a manifest says of the masks of a radiograph; files are relative to the manifest."""
    cells = {name: record.columns[name] for name in COLUMNS if name in record.columns}
    return {name: cell if _CODE.fullmatch(cell) else manifest.parent / cell for name, cell in cells.items()}


def stamps_of(record: ImageRecord, manifest: Path) -> Mapping[str, Any]:
    """By which a radiograph and its masks show that one of them was replaced."""
    sources: Cells = {"image": record.image, **masks_of(record, manifest)}
    return {name: stamp_of(cell) if isinstance(cell, Path) else cell for name, cell in sources.items()}


def read_masks(cells: Cells, path: Path, shape: tuple[int, ...]) -> Mapping[str, Mask]:
    """The masks `[H, W]` of a radiograph by column.

    Args:
        cells: as `masks_of` gives them.
        path: the radiograph's file, for messages.
        shape: height and width of the radiograph.

    Raises:
        DataError: naming a mask that cannot be read, is empty or does not fit the radiograph.
    """
    masks = {name: _read(cell, name, path, shape) for name, cell in cells.items()}
    for name, mask in masks.items():
        if not mask.any():
            raise DataError(f"{path} has an empty mask of {name}; mark them, or leave its cell empty")
    return masks


def _read(cell: Path | str, name: str, path: Path, shape: tuple[int, ...]) -> Mask:
    if isinstance(cell, str):
        try:
            return chexmask_runs([cell], *shape).mask()
        except ValueError as error:
            raise DataError(
                f"{path}: its run-length code of {name} {error}; give the code of this image, or leave it out"
            ) from error
    mask = read_target(cell, "magnitude") > 0
    if mask.shape != shape:
        raise DataError(
            f"{cell} is {mask.shape[0]} x {mask.shape[1]}, but {path}, whose {name} it shows, is "
            f"{shape[0]} x {shape[1]}; give a mask of the radiograph's own size, or leave its cell empty"
        )
    return mask


def split_lungs(mask: Mask, path: Path) -> Lungs:
    """Both lungs of one mask: its two largest pieces; the patient's right is on the viewer's left.

    Raises:
        DataError: naming the radiograph, if there are no two pieces.
    """
    pieces, _ = label(mask)
    areas = np.bincount(pieces.ravel())[1:]
    largest = [number for number in np.argsort(-areas)[:2] if areas[number] >= _SMALLER * areas.max()]
    if len(largest) < 2:
        raise DataError(
            f"{path} has a mask of lungs that does not show two of them apart; separate them, or leave its "
            "cell empty"
        )
    right, left = sorted((pieces == number + 1 for number in largest), key=_column)
    return Lungs(right=right, left=left)


def _column(mask: Mask) -> float:
    return float(np.flatnonzero(mask.any(axis=0)).mean())
