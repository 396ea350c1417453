"""Splits: official ones kept, missing ones drawn by patient."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data.config import SPLITS
from data.errors import DataError
from data.randomness import fold_seed
from data.tables.splits import draw_splits

from .catalogue import Images


def assign_splits(
    images: Images, official: frozenset[str], *, val_fraction: float, test_fraction: float, seed: int
) -> pa.Array:
    """The split of every image.

    Without official splits all patients are drawn. Where the official ones lack val or test, patients for it
    are drawn from the official training patients.

    Args:
        images: their `split` is set wherever `official` is not empty.
        official: splits that the data set defines.
        val_fraction: share of the patients drawn from, for validation.
        test_fraction: share of the patients drawn from, for the final numbers.
        seed: seed of what is drawn.

    Raises:
        DataError: a patient is in two official splits, or there are too few to draw from.
    """
    fractions = {"val": val_fraction, "test": test_fraction}
    if not official:
        patients = images.patient.unique().to_pylist()
        drawn = draw_splits(patients, val_fraction=val_fraction, test_fraction=test_fraction, seed=seed)
        return _look_up(images.patient, drawn)
    require_one_split(images)
    missing = {name: share for name, share in fractions.items() if name not in official}
    in_train = pc.equal(images.split, "train")
    if not missing or not pc.any(in_train).as_py():
        return images.split
    training_patients = images.patient.filter(in_train).unique().to_pylist()
    drawn_splits = _look_up(images.patient, _draw_from_train(training_patients, missing, seed))
    return pc.if_else(in_train, drawn_splits, images.split)


def require_one_split(images: Images) -> None:
    """Refuse a patient of two official splits.

    Raises:
        DataError: naming the patient and the splits.
    """
    table = pa.table({"patient": images.patient, "split": images.split})
    unique = table.group_by(["patient", "split"]).aggregate([])
    repeated = unique.group_by("patient").aggregate([("split", "count"), ("split", "list")])
    repeated = repeated.filter(pc.greater(repeated["split_count"], 1))
    if len(repeated):
        row = repeated.sort_by("patient").slice(0, 1).to_pylist()[0]
        raise DataError(
            f"patient {row['patient']} is in the official splits {' and '.join(sorted(row['split_list']))}; "
            "keep everything of a patient in one split"
        )


def patients_by_split(patients: pa.Array, splits: pa.Array) -> dict[str, int]:
    """How many patients each split holds."""
    counted = pa.table({"patient": patients, "split": splits}).group_by("split")
    counts = counted.aggregate([("patient", "count_distinct")]).to_pylist()
    found = {row["split"]: row["patient_count_distinct"] for row in counts}
    return {split: found.get(split, 0) for split in SPLITS}


def _draw_from_train(patients: Iterable[str], missing: dict[str, float], seed: int) -> dict[str, str]:
    """Every patient's place follows from the seed and the patient's own name, as in `draw_splits`."""
    position = {patient: fold_seed(seed, patient) / 2**63 for patient in patients}
    ordered = sorted(position, key=lambda patient: (position[patient], patient))
    if len(ordered) <= len(missing):
        raise DataError(
            f"{len(ordered)} official training patient(s) cannot give some to {' and '.join(missing)}; "
            "download more of the data set"
        )
    places = np.array([position[patient] for patient in ordered])
    drawn = dict.fromkeys(ordered, "train")
    start, reach = 0, 0.0
    for name, share in missing.items():
        reach += share
        # At least one here, and enough left for the others.
        end = max(int(np.searchsorted(places, reach)), start + 1)
        end = min(end, len(ordered) - len(missing) + list(missing).index(name))
        drawn.update(dict.fromkeys(ordered[start:end], name))
        start = end
    return drawn


def _look_up(patients: pa.Array, split_of: dict[str, str]) -> pa.Array:
    encoded = patients.dictionary_encode()
    names = [split_of.get(patient) for patient in encoded.dictionary.to_pylist()]
    return pa.array(names, pa.string()).take(encoded.indices)
