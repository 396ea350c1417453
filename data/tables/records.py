"""What is known of a pair or an image before its files are read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class PairRecord:
    """Files of one pair; `split` is None where the data names none."""

    id: str
    patient_id: str
    baseline: Path
    followup: Path
    target: Path | None = None
    target_baseline: Path | None = None
    split: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRecord:
    """File of one image; `split` is None where the data names none."""

    id: str
    patient_id: str
    image: Path
    split: str | None = None


def images_of_pairs(pairs: Iterable[PairRecord]) -> list[ImageRecord]:
    """Both images of every pair; one that belongs to several pairs is used once."""
    records: dict[Path, ImageRecord] = {}
    for pair in pairs:
        for role, image in (("baseline", pair.baseline), ("followup", pair.followup)):
            if image not in records:
                records[image] = ImageRecord(
                    id=f"{pair.id}/{role}", patient_id=pair.patient_id, image=image, split=pair.split
                )
    return list(records.values())


def unique_ids(names: Sequence[str], full_names: Sequence[str]) -> list[str]:
    """The short `names`, but the full one for every short name that occurs more than once."""
    count = Counter(names)
    return [
        name if count[name] == 1 else full_name for name, full_name in zip(names, full_names, strict=True)
    ]
