"""Training, validation and test patients, drawn from a seed."""

import logging
from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data.base.errors import DataError
from data.base.seeds import fold_seed
from data.config import SplitConfig
from data.manifests.patients import persons, spelled_differently
from data.manifests.records import RecordT, RecordTable, codes_of

_log = logging.getLogger(__name__)


def split_by_patient(
    records: RecordTable[RecordT], config: SplitConfig, *, place: str
) -> RecordTable[RecordT]:
    """The records with the splits they name, or with drawn ones where they name none.

    Args:
        records: all there are.
        config: how splits are drawn.
        place: where the records come from, for messages.

    Raises:
        DataError: a patient is in two splits, or there are too few patients to draw any.
    """
    if not records.has("split"):
        patients = pc.dictionary_encode(records.columns.column("patient_id")).combine_chunks()
        names = patients.dictionary.to_pylist()
        drawn = draw_splits(names, config)
        splits = pa.array([drawn[name] for name in names], pa.string())
        if not config.exact_patients and (alike := spelled_differently(names)):
            _log.warning(
                f"{place}: {len(alike)} patient(s) have ids in several spellings, such as "
                f"{' and '.join(map(repr, alike[0]))}; each stays in one split, unless the option "
                "exact-patients tells them apart"
            )
        return records.with_column("split", splits.take(patients.indices))
    require_whole_patients(records, exact=config.exact_patients, place=place)
    return records


def require_whole_patients(records: RecordTable[RecordT], *, exact: bool, place: str) -> None:
    """Refuse records whose splits divide a patient.

    Args:
        records: all there are; nothing is asked of those that name no splits.
        exact: whether ids that are spelled alike are different people.
        place: where the records come from, for messages.

    Raises:
        DataError: naming the patient, or the two who may be one person, and the splits.
    """
    if not records.has("split"):
        return
    patients = pc.dictionary_encode(records.columns.column("patient_id")).combine_chunks()
    splits = records.columns.column("split").combine_chunks()
    names = patients.dictionary.to_pylist()
    person_of = persons(names, exact=exact)
    codes = codes_of(pa.array([person_of[name] for name in names], pa.string()))[patients.indices.to_numpy()]
    _, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
    differing = pc.not_equal(splits, splits.take(pa.array(first[inverse]))).to_numpy(zero_copy_only=False)
    if not differing.any():
        return
    row = int(differing.argmax())
    earlier = int(first[inverse[row]])
    one, other = patients[earlier].as_py(), patients[row].as_py()
    both = f"in the splits {splits[earlier]} and {splits[row]}"
    if one == other:
        raise DataError(f"{place}: patient {one!r} is {both}; keep everything of a patient in one split")
    raise DataError(
        f"{place}: patients {one!r} and {other!r}, who may be one person, are {both}; keep them in one "
        "split, or say with the option exact-patients that they are two"
    )


def draw_splits(patients: Iterable[str], config: SplitConfig) -> dict[str, str]:
    """Assign every patient to `train`, `val` or `test`.

    A patient's place follows from the seed and the patient's own name alone, so adding patients never moves
    another one, and the sizes of the splits meet the fractions on average. Only where that leaves a split
    empty, in a small data set, do the patients closest to its share fill it.

    Patients who may be one person, as their ids are spelled alike, are drawn together, by the first of them.

    Args:
        patients: names; repeated ones count once.
        config: expected shares of patients for validation and for the final numbers, and the seed, which
            changes who goes where.

    Returns:
        The split of every patient.

    Raises:
        DataError: fewer than three patients.
    """
    # Numbers in `[0, 1)` that look random and are the same on every machine.
    person_of = persons(patients, exact=config.exact_patients)
    position = {person: fold_seed(config.split_seed, person) / 2**63 for person in person_of.values()}
    ordered = sorted(position, key=lambda patient: (position[patient], patient))
    count = len(ordered)
    if count < 3:
        raise DataError(
            f"{count} patient(s) cannot be split into train, val and test; "
            "give at least 3 patients, or name the splits in a manifest"
        )
    in_test = sum(place < config.test_fraction for place in position.values())
    in_test_or_val = sum(place < config.test_fraction + config.val_fraction for place in position.values())
    test_end = min(max(in_test, 1), count - 2)
    val_end = min(max(in_test_or_val, test_end + 1), count - 1)
    names = ["test"] * test_end + ["val"] * (val_end - test_end) + ["train"] * (count - val_end)
    split_of = dict(zip(ordered, names, strict=True))
    return {patient: split_of[person] for patient, person in person_of.items()}
