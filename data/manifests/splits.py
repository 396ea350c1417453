"""Training, validation and test patients, drawn from a seed."""

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data.base.errors import DataError
from data.base.seeds import fold_seed
from data.config import SplitConfig
from data.manifests.records import RecordT, RecordTable


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
    patients = pc.dictionary_encode(records.columns.column("patient_id")).combine_chunks()
    if not records.has("split"):
        names = patients.dictionary.to_pylist()
        drawn = draw_splits(names, config)
        splits = pa.array([drawn[name] for name in names], pa.string())
        return records.with_column("split", splits.take(patients.indices))
    splits = records.columns.column("split").combine_chunks()
    codes = patients.indices.to_numpy()
    first = np.unique(codes, return_index=True)[1]  # the codes are 0, 1, 2, ..., each of them used
    differing = pc.not_equal(splits, splits.take(pa.array(first[codes]))).to_numpy(zero_copy_only=False)
    if differing.any():
        row = int(differing.argmax())
        raise DataError(
            f"{place}: patient {patients[row].as_py()!r} is in the splits "
            f"{splits[int(first[codes[row]])]} and {splits[row]}; keep everything of a patient in one split"
        )
    return records


def draw_splits(patients: Iterable[str], config: SplitConfig) -> dict[str, str]:
    """Assign every patient to `train`, `val` or `test`.

    A patient's place follows from the seed and the patient's own name alone, so adding patients never moves
    another one, and the sizes of the splits meet the fractions on average. Only where that leaves a split
    empty, in a small data set, do the patients closest to its share fill it.

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
    position = {patient: fold_seed(config.split_seed, patient) / 2**63 for patient in patients}
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
    return dict(zip(ordered, names, strict=True))
