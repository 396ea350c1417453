"""Official splits kept, missing ones drawn by patient."""

import numpy as np
import pyarrow as pa
import pytest

from data.errors import DataError
from data.indexing.splits import assign_splits, patients_by_split
from data.tables.splits import draw_splits
from tests.data.indexing.test_pairing import images

SHARES = {"val_fraction": 0.1, "test_fraction": 0.15, "seed": 3}


def table(patients, splits):
    result = images([(patient, "1", "PA", 1, 0) for patient in patients])
    result.split = pa.array(splits, pa.string())
    return result


def test_without_official_splits_they_are_those_of_draw_splits():
    patients = [f"p{n // 2}" for n in range(200)]
    drawn = draw_splits(patients, **SHARES)
    found = assign_splits(table(patients, [None] * 200), frozenset(), **SHARES)
    assert found.to_pylist() == [drawn[patient] for patient in patients]


def test_official_splits_are_kept():
    splits = ["train", "val", "test", "train"]
    found = assign_splits(table("abcd", splits), frozenset(("train", "val", "test")), **SHARES)
    assert found.to_pylist() == splits


def test_validation_patients_come_from_the_official_training_ones():
    patients = [f"p{n}" for n in range(2000)] * 2
    splits = (["train"] * 1500 + ["test"] * 500) * 2
    found = assign_splits(table(patients, splits), frozenset(("train", "test")), **SHARES).to_pylist()
    assert found[:2000] == found[2000:]
    assert found[1500:2000] == ["test"] * 500
    assert 120 < found[:1500].count("val") < 180
    assert set(found[:1500]) == {"train", "val"}
    more = assign_splits(
        table([*patients, "new"], [*splits, "train"]), frozenset(("train", "test")), **SHARES
    ).to_pylist()
    assert more[:4000] == found  # another patient moves nobody


def test_small_training_splits_give_one_patient_to_each_missing_split():
    found = assign_splits(table("abcd", ["train"] * 4), frozenset(("train",)), **SHARES).to_pylist()
    assert sorted(found) == ["test", "train", "train", "val"]
    with pytest.raises(DataError, match=r"1 official training patient\(s\) cannot give some to val"):
        assign_splits(table("ab", ["train", "test"]), frozenset(("train", "test")), **SHARES)


def test_a_patient_in_two_splits_is_named():
    with pytest.raises(DataError, match="patient b is in the official splits train and val; keep everything"):
        assign_splits(table("abab", ["val", "train", "val", "val"]), frozenset(("train", "val")), **SHARES)


def test_patients_are_counted_once():
    splits = pa.array(["train", "train", "val"])
    assert patients_by_split(pa.array(["a", "a", "b"]), splits) == {"train": 1, "val": 1, "test": 0}
    assert np.sum(list(patients_by_split(pa.array(["a", "a", "b"]), splits).values())) == 2
