"""A record -> the arrays of its files, checked against each other."""

from pathlib import Path

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
            image = getattr(record, radiograph)
            raise DataError(
                f"{path} {mismatch(role, pixels.shape, image, pictures[radiograph].pixels.shape)}"
            )
        pictures[role] = Radiograph(pixels=pixels, spacing_mm=pictures[radiograph].spacing_mm)
    return pictures


def mismatch(role: str, size: tuple[int, ...], image: Path, expected: tuple[int, ...]) -> str:
    """What is wrong with a target of another size than its radiograph."""
    found, wanted = (f"{height} x {width}" for height, width in (size, expected))
    return f"is {found} but the {RADIOGRAPH_OF[role]} {image} is {wanted}; resample the {role} to that size"
