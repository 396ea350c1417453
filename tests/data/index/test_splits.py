"""Official splits kept, missing ones drawn by patient."""

import numpy as np
import pyarrow as pa
import pytest

from data.base.errors import DataError
from data.config import SplitConfig
from data.index.splits import assign_splits, patients_by_split
from data.manifests.splits import draw_splits
from tests.data.index.test_pairing import images

OPTIONS = SplitConfig(val_fraction=0.1, test_fraction=0.15, split_seed=3)


def table(patients, splits):
    result = images([(patient, "1", "PA", 1, 0) for patient in patients])
    result.split = pa.array(splits, pa.string())
    return result


def test_without_official_splits_they_are_those_of_draw_splits():
    patients = [f"p{n // 2}" for n in range(200)]
    drawn = draw_splits(patients, OPTIONS)
    found = assign_splits(table(patients, [None] * 200), frozenset(), OPTIONS)
    assert found.to_pylist() == [drawn[patient] for patient in patients]


def test_official_splits_are_kept():
    splits = ["train", "val", "test", "train"]
    found = assign_splits(table("abcd", splits), frozenset(("train", "val", "test")), OPTIONS)
    assert found.to_pylist() == splits


def test_validation_patients_come_from_the_official_training_ones():
    patients = [f"p{n}" for n in range(2000)] * 2
    splits = (["train"] * 1500 + ["test"] * 500) * 2
    found = assign_splits(table(patients, splits), frozenset(("train", "test")), OPTIONS).to_pylist()
    assert found[:2000] == found[2000:]
    assert found[1500:2000] == ["test"] * 500
    assert 120 < found[:1500].count("val") < 180
    assert set(found[:1500]) == {"train", "val"}
    more = assign_splits(
        table([*patients, "new"], [*splits, "train"]), frozenset(("train", "test")), OPTIONS
    ).to_pylist()
    assert more[:4000] == found  # another patient moves nobody


def test_small_training_splits_give_one_patient_to_each_missing_split():
    found = assign_splits(table("abcd", ["train"] * 4), frozenset(("train",)), OPTIONS).to_pylist()
    assert sorted(found) == ["test", "train", "train", "val"]
    with pytest.raises(DataError, match=r"2 official training patient\(s\) cannot give some to val"):
        assign_splits(table("abc", ["train", "train", "test"]), frozenset(("train", "test")), OPTIONS)
    found = assign_splits(
        table("abcd", ["train"] * 3 + ["test"]), frozenset(("train", "test")), OPTIONS
    ).to_pylist()
    assert sorted(found) == ["test", "train", "train", "val"]


def test_drawn_training_patients_are_those_of_draw_splits():
    patients = [f"p{n}" for n in range(300)]
    drawn = draw_splits(patients, OPTIONS)
    both = assign_splits(table(patients, ["train"] * 300), frozenset(("train",)), OPTIONS).to_pylist()
    assert both == [drawn[patient] for patient in patients]
    one = assign_splits(
        table([*patients, "t"], ["train"] * 300 + ["test"]), frozenset(("train", "test")), OPTIONS
    ).to_pylist()
    assert one[:300] == ["val" if drawn[patient] == "val" else "train" for patient in patients]


def test_patients_of_one_group_are_drawn_together():
    grouped = table([f"p{n}" for n in range(60)], [None] * 60)
    grouped.group = pa.array([f"g{n // 3}" for n in range(60)])
    found = assign_splits(grouped, frozenset(), OPTIONS).to_pylist()
    drawn = draw_splits([f"g{n}" for n in range(20)], OPTIONS)
    assert found == [drawn[f"g{n // 3}"] for n in range(60)]


def test_a_patient_in_two_splits_is_named():
    with pytest.raises(DataError, match="patient b is in the official splits train and val; keep everything"):
        assign_splits(table("abab", ["val", "train", "val", "val"]), frozenset(("train", "val")), OPTIONS)


def test_patients_are_counted_once():
    splits = pa.array(["train", "train", "val"])
    assert patients_by_split(pa.array(["a", "a", "b"]), splits) == {"train": 1, "val": 1, "test": 0}
    assert np.sum(list(patients_by_split(pa.array(["a", "a", "b"]), splits).values())) == 2
