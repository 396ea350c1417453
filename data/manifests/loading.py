"""A record -> the arrays of its files, checked against each other."""

from __future__ import annotations

from numpy.typing import NDArray

from data.base.errors import DataError
from data.config import Change, Intensity
from data.files.images import Radiograph, read_radiograph, read_target
from data.manifests.records import ImageRecord, PairRecord

RADIOGRAPH_OF = {"target": "followup", "target_baseline": "baseline"}
"""The radiograph in whose geometry a target lies."""


def load_record(
    record: PairRecord | ImageRecord, *, intensity: Intensity, change: Change
) -> dict[str, Radiograph]:
    """Read every file of a record; a target is a map in the geometry of its radiograph.

    The two radiographs of a pair may differ in size, a target and its radiograph may not.

    Returns:
        By role: `baseline, followup` and, where the record has them, `target, target_baseline`; or `image`.

    Raises:
        DataError: a file is unreadable or out of range, or a target has another size than its radiograph.
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
        pixels = read_target(path, change)
        if pixels.shape != pictures[radiograph].pixels.shape:
            raise DataError(
                f"{path} is {_size_text(pixels)} but the {radiograph} {getattr(record, radiograph)} is "
                f"{_size_text(pictures[radiograph].pixels)}; resample the {role} to its radiograph's size"
            )
        pictures[role] = Radiograph(pixels=pixels, spacing_mm=pictures[radiograph].spacing_mm)
    return pictures


def _size_text(plane: NDArray) -> str:
    height, width = plane.shape
    return f"{height} x {width}"
