"""A record -> the arrays of its files, checked against each other."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from data.base.errors import DataError
from data.config import Change, Intensity
from data.files.images import Radiograph, read_map, read_radiograph
from data.files.orientation import Grid
from data.manifests.records import ImageRecord, PairRecord

RADIOGRAPH_OF = {"target": "followup", "target_baseline": "baseline"}
"""The radiograph in whose geometry a target lies."""
Place = tuple[tuple[int, ...], Grid]
"""Height and width of what was read of a file, and where its pixels lie."""


def load_record(
    record: PairRecord | ImageRecord, *, intensity: Intensity, change: Change
) -> dict[str, Radiograph]:
    """Read every file of a record; a target is a map in the geometry of its radiograph.

    The two radiographs of a pair may differ in size and in how they lie, a target and its radiograph may not.

    Returns:
        By role: `baseline, followup` and, where the record has them, `target, target_baseline`; or `image`.

    Raises:
        DataError: a file is unreadable or out of range, or a target lies on other pixels than its radiograph.
    """
    if isinstance(record, ImageRecord):
        return {"image": read_radiograph(record.image, intensity)}
    pictures = {
        "baseline": read_radiograph(record.baseline, intensity),
        "followup": read_radiograph(record.followup, intensity),
    }
    for role, radiograph in RADIOGRAPH_OF.items():
        path = getattr(record, role)
        if path is None:
            continue
        target, image = read_map(path, change), pictures[radiograph]
        if reason := mismatch(role, place_of(target), getattr(record, radiograph), place_of(image)):
            raise DataError(f"{path} {reason}")
        pixels = image.grid.turn_of(target.grid).seen(target.pixels)
        pictures[role] = replace(image, pixels=np.ascontiguousarray(pixels))
    return pictures


def place_of(picture: Radiograph) -> Place:
    """By which a map and its radiograph are compared."""
    return picture.pixels.shape, picture.grid


def mismatch(role: str, target: Place, image: Path, expected: Place) -> str | None:
    """What is wrong with a target that does not lie on the pixels of its radiograph; None if it does."""
    (size, of_target), (shape, of_image) = target, expected
    radiograph = f"the {RADIOGRAPH_OF[role]} {image}"
    stored = of_image.turn_of(of_target).pair(*shape)
    if size != stored:
        found, wanted = (f"{height} x {width}" for height, width in (size, stored))
        return f"is {found} but {radiograph} is {wanted}; resample the {role} to that size"
    if not of_image.takes(of_target, shape):
        return f"does not lie on the pixels of {radiograph}: their affines differ; save it with that affine"
    return None
