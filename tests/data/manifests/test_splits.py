from collections import Counter
from dataclasses import replace

import pytest

from data import DataError
from data.config import SplitConfig
from data.manifests.splits import draw_splits

OPTIONS = SplitConfig(val_fraction=0.1, test_fraction=0.2)


def test_shares_meet_the_fractions():
    count = Counter(draw_splits((f"p{i}" for i in range(5000)), OPTIONS).values())
    assert count["test"] == pytest.approx(1000, abs=100)
    assert count["val"] == pytest.approx(500, abs=80)


def test_adding_patients_moves_nobody():
    few = draw_splits((f"p{i}" for i in range(200)), OPTIONS)
    many = draw_splits((f"p{i}" for i in range(2000)), OPTIONS)
    assert few.items() <= many.items()


def test_order_and_repetition_do_not_matter():
    patients = [f"p{i}" for i in range(50)]
    assert draw_splits(patients, OPTIONS) == draw_splits(patients[::-1] * 2, OPTIONS)


def test_the_seed_matters():
    patients = [f"p{i}" for i in range(50)]
    assert draw_splits(patients, OPTIONS) != draw_splits(patients, replace(OPTIONS, split_seed=1))


def test_pinned():
    # The split of a data set must be the same in every version: a change here leaks test patients.
    drawn = draw_splits(["ann", "bob", "cem", "dia", "eve", "fay", "gil", "hoa"], OPTIONS)
    assert drawn == {
        "ann": "test",
        "bob": "val",
        "cem": "test",
        "dia": "train",
        "eve": "test",
        "fay": "train",
        "gil": "train",
        "hoa": "test",
    }


@pytest.mark.parametrize("count", range(3, 12))
@pytest.mark.parametrize("seed", range(20))
def test_no_split_is_empty(count, seed):
    options = SplitConfig(val_fraction=0.01, test_fraction=0.01, split_seed=seed)
    drawn = draw_splits((f"p{i}" for i in range(count)), options)
    assert set(drawn.values()) == {"train", "val", "test"}
    assert Counter(drawn.values())["train"] >= count - 4


@pytest.mark.parametrize("count", [0, 1, 2])
def test_too_few_patients(count):
    with pytest.raises(DataError, match=rf"^{count} patient\(s\) cannot be split .* at least 3 patients"):
        draw_splits((f"p{i}" for i in range(count)), OPTIONS)
