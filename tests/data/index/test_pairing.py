"""Consecutive studies, by closed forms."""

import numpy as np
import pyarrow as pa

from data.index.catalogue import MILLISECONDS_PER_DAY, UNDATED, Images
from data.index.pairing import days_between, pair_studies


def images(rows):
    """Rows of patient, study, view, moment and rank."""
    patient, study, view, moment, rank = zip(*rows, strict=True)
    return Images(
        patient=pa.array(patient),
        study=pa.array(study),
        image=pa.array([str(number) for number in range(len(rows))]),
        path=pa.array([str(number) for number in range(len(rows))]),
        view=pa.array(view),
        moment=np.array(moment, np.int64),
        rank=np.array(rank, np.int64),
    )


def pairs(rows, *, dated=False):
    pairing = pair_studies(images(rows), dated=dated)
    found = list(zip(pairing.baseline.tolist(), pairing.followup.tolist(), strict=True))
    return found, pairing.undated, pairing.unordered


def test_n_studies_in_any_order_give_n_minus_one_pairs():
    moments = np.random.default_rng(0).permutation(50)
    found, _, _ = pairs([("p", f"s{moment}", "PA", moment, 0) for moment in moments])
    assert [(moments[a], moments[b]) for a, b in found] == [(n, n + 1) for n in range(49)]


def test_patients_and_views_stay_apart():
    rows = [("p", "1", "PA", 1, 0), ("q", "1", "PA", 2, 0), ("p", "2", "AP", 3, 0), ("p", "3", "PA", 4, 0)]
    assert pairs(rows) == ([(0, 3)], 0, 0)


def test_studies_of_two_patients_may_share_a_name():
    rows = [("p", "study1", "PA", 1, 0), ("q", "study1", "PA", 1, 0), ("q", "study2", "PA", 2, 0)]
    assert pairs(rows) == ([(1, 2)], 0, 0)


def test_a_study_is_as_old_as_its_oldest_image_and_the_lowest_rank_stands_for_it():
    rows = [
        ("p", "1", "PA", 9, 5),
        ("p", "1", "PA", 9, 3),
        ("p", "1", "AP", 1, 0),
        ("p", "2", "PA", 5, 0),
    ]
    assert pairs(rows) == ([(1, 3)], 0, 0)


def test_images_of_one_study_are_never_paired():
    assert pairs([("p", "1", "PA", 1, 0), ("p", "1", "PA", 2, 1)]) == ([], 0, 0)


def test_equal_or_unknown_moments_are_not_paired_but_counted():
    rows = [
        ("p", "1", "PA", 1, 0),
        ("p", "2", "PA", 1, 0),
        ("p", "3", "PA", 2, 0),
        ("p", "4", "PA", UNDATED, 0),
    ]
    assert pairs(rows) == ([(1, 2)], 1, 1)


def test_midnight_is_no_time_and_orders_days_only():
    day = MILLISECONDS_PER_DAY
    rows = [("p", "1", "PA", day, 0), ("p", "2", "PA", day + 5, 0), ("p", "3", "PA", 2 * day, 0)]
    assert pairs(rows, dated=True) == ([(1, 2)], 0, 1)
    assert pairs(rows, dated=False) == ([(0, 1), (1, 2)], 0, 0)


def test_days_are_between_dates_not_multiples_of_24_hours():
    day = MILLISECONDS_PER_DAY
    table = images([("p", "1", "PA", 2 * day - 1, 0), ("p", "2", "PA", 2 * day, 0), ("p", "3", "PA", -1, 0)])
    assert days_between(table, np.array([0, 2]), np.array([1, 0])).tolist() == [1, 2]


def test_nothing_gives_nothing():
    table = images([("p", "1", "PA", 1, 0)]).take(np.array([], np.int64))
    assert len(pair_studies(table, dated=True).baseline) == 0
