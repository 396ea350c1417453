"""Training, validation and test patients, drawn from a seed."""

from __future__ import annotations

from collections.abc import Iterable

from data.errors import DataError
from data.randomness import fold_seed


def draw_splits(
    patients: Iterable[str], *, val_fraction: float, test_fraction: float, seed: int
) -> dict[str, str]:
    """Assign every patient to `train`, `val` or `test`.

    A patient's place follows from the seed and the patient's own name alone, so adding patients never moves
    another one, and the sizes of the splits meet the fractions on average. Only where that leaves a split
    empty, in a small data set, do the patients closest to its share fill it.

    Args:
        patients: names; repeated ones count once.
        val_fraction: expected share of patients for validation.
        test_fraction: expected share of patients for the final numbers.
        seed: changes who goes where.

    Returns:
        The split of every patient.

    Raises:
        DataError: fewer than three patients.
    """
    position = {patient: _position(patient, seed) for patient in patients}
    ordered = sorted(position, key=lambda patient: (position[patient], patient))
    count = len(ordered)
    if count < 3:
        raise DataError(
            f"{count} patient(s) cannot be split into train, val and test; "
            "give at least 3 patients, or name the splits in a manifest"
        )
    in_test = sum(place < test_fraction for place in position.values())
    in_test_or_val = sum(place < test_fraction + val_fraction for place in position.values())
    test_end = min(max(in_test, 1), count - 2)
    val_end = min(max(in_test_or_val, test_end + 1), count - 1)
    names = ["test"] * test_end + ["val"] * (val_end - test_end) + ["train"] * (count - val_end)
    return dict(zip(ordered, names, strict=True))


def _position(patient: str, seed: int) -> float:
    """A number in `[0, 1)` that looks random and is the same on every machine."""
    return fold_seed(seed, patient) / 2**63
