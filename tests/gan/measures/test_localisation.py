"""Scores of maps against boxes and labels: closed forms, chance, and geometry."""

import math

import numpy as np
import pytest
import torch

from data import Geometry, PairBatch
from data.base.errors import DataError
from data.manifests.regions import FindingChange, changes_cell, mask_cell
from gan.measures.localisation import (
    SCORES,
    Localisation,
    auroc,
    box_scores,
    boxes_of_change,
    by_change,
    by_label,
    direction_of,
    towards,
    weighted_auroc,
)

LEFT, RIGHT = (0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 1.0, 1.0)
SQUARE = Geometry(height=8, width=8)


def pair_batch(maps, changes, *, valid=None, lungs=None, geometry=SQUARE, baseline=SQUARE):
    """A batch in which each map has the changes of the same place."""
    cells = [changes_cell(one) if one is not None else None for one in changes]
    columns = [{"changes": cell} if cell else {} for cell in cells]
    for own, mask in zip(columns, lungs or [], strict=False):
        own["followup_lungs"] = mask_cell(mask)
    count, image = len(changes), torch.zeros(len(changes), 1, *maps.shape[-2:])
    return PairBatch(
        id=[f"pair{number}" for number in range(count)],
        patient_id=[f"p{number}" for number in range(count)],
        baseline=image,
        followup=image,
        valid=valid,
        findings=[()] * count,
        columns=columns,
        geometry=[geometry] * count,
        geometry_baseline=[baseline] * count,
    )


def change(progression, finding="edema", *, baseline=(), followup=()):
    return FindingChange(finding=finding, progression=progression, baseline=baseline, followup=followup)


def test_scores_of_a_map_done_by_hand():
    score = np.array([0.9, 0.1, 0.8, 0.2, 0.0])
    inside = np.array([True, True, False, False, False])
    numbers = box_scores(score, inside)
    assert numbers["pointing_game"] == 1
    assert numbers["energy_in_box"] == pytest.approx(1.0 / 2.0)
    outside_mean, outside_var = 1 / 3, (0.64 + 0.04) / 3 - 1 / 9
    expected = (0.5 - outside_mean) / math.sqrt(0.16 + outside_var)
    assert numbers["contrast_to_noise"] == pytest.approx(expected)
    # The two largest are 0.9 and 0.8, of which one is inside: 1 of 3.
    assert numbers["box_iou"] == pytest.approx(1 / 3)
    # 0.9 beats all three, 0.1 one of them.
    assert numbers["box_auroc"] == pytest.approx(4 / 6)


def test_the_perfect_and_the_opposite_map():
    inside = np.array([True, True, False, False])
    perfect = box_scores(inside.astype(np.float32), inside)
    assert perfect == dict.fromkeys(SCORES, 1.0) | {"contrast_to_noise": None}
    opposite = box_scores((~inside).astype(np.float32), inside)
    assert opposite == dict.fromkeys(SCORES, 0.0) | {"contrast_to_noise": None}


def test_an_empty_map_scores_as_chance_does():
    inside = np.arange(10) < 3
    numbers = box_scores(np.zeros(10), inside)
    assert numbers["pointing_game"] == pytest.approx(0.3)
    assert numbers["box_auroc"] == 0.5
    # Three of ten, of which 0.9 are in the box by chance.
    assert numbers["box_iou"] == pytest.approx(0.9 / 5.1)
    assert (numbers["energy_in_box"], numbers["contrast_to_noise"]) == (0, 0)


def test_boxes_that_hold_nothing_or_everything_have_no_score():
    for inside in (np.zeros(4, bool), np.ones(4, bool)):
        assert box_scores(np.arange(4.0), inside) == dict.fromkeys(SCORES)


def test_auroc_is_torchmetrics_own():
    from torchmetrics.functional.classification import binary_auroc

    rng = np.random.default_rng(0)
    score = rng.integers(0, 9, 500) / 8
    positive = rng.random(500) < 0.2 + 0.3 * score
    reference = binary_auroc(torch.from_numpy(score), torch.from_numpy(positive).int()).item()
    assert auroc(score, positive) == pytest.approx(reference, abs=1e-6)
    assert auroc(score, np.ones(500, bool)) is None


@pytest.mark.parametrize(
    ("finding", "progression", "sign"),
    [
        *(("edema", "new", 1), ("edema", "resolved", -1), ("edema", "stable", 0)),
        *(("Pneumothorax", "worse", -1), ("pneumothorax", "improved", 1), ("right pneumothorax", "new", -1)),
    ],
)
def test_directions(finding, progression, sign):
    assert direction_of(finding, progression) == sign
    values = np.array([-0.5, 0.25])
    expected = {1: [0, 0.25], -1: [0.5, 0], 0: [0.5, 0.25]}[sign]
    assert towards(values, change(progression, finding), signed=True).tolist() == expected
    assert towards(values, change(progression, finding), signed=False).tolist() == [0.5, 0.25]


@pytest.mark.parametrize(
    ("progression", "judged"),
    [("new", RIGHT), ("worse", RIGHT), ("improved", LEFT), ("resolved", LEFT), ("stable", (0, 0, 1, 1))],
)
def test_which_image_s_boxes_a_map_is_judged_by(progression, judged):
    both = boxes_of_change(change(progression, baseline=(LEFT,), followup=(RIGHT,)), 8, SQUARE, SQUARE)
    expected = boxes_of_change(change("new", followup=(judged,)), 8, SQUARE, SQUARE)
    assert (both == expected).all()
    only = boxes_of_change(change(progression, baseline=(LEFT,)), 8, SQUARE, SQUARE)
    assert only[:, :4].all()
    assert not only[:, 4:].any()


def test_each_image_s_boxes_follow_its_own_framing():
    wide, tall = Geometry(height=50, width=100), Geometry(height=100, width=50)
    found = boxes_of_change(change("new", followup=((0, 0, 1, 1),)), 8, wide, tall)
    assert found.any(1).tolist() == [False] * 2 + [True] * 4 + [False] * 2
    found = boxes_of_change(change("resolved", baseline=((0, 0, 1, 1),)), 8, wide, tall)
    assert found.any(0).tolist() == [False] * 2 + [True] * 4 + [False] * 2


def test_a_line_a_progression():
    maps = torch.zeros(3, 1, 8, 8)
    maps[0, 0, 2, 6] = 1  # in the box of a new finding
    maps[1, 0, 2, 1] = 1  # where the followup, not the baseline, has the box of a resolved one
    batch = pair_batch(
        maps,
        [
            [change("new", followup=(RIGHT,)), change("stable", "nodule")],
            [change("resolved", baseline=(RIGHT,), followup=(LEFT,))],
            None,
        ],
    )
    scores = Localisation(signed=False)
    scores.add(maps, batch)
    found = by_change({"model": scores}, "progression", replicates=0)
    assert list(found) == ["new", "resolved", "changed"]
    assert found["new"].values["model"]["pointing_game"] == 1
    assert found["resolved"].values["model"]["energy_in_box"] == 0
    assert found["changed"].pairs == 2
    assert found["changed"].described("model", "energy_in_box") == {"value": 0.5}
    assert list(by_change({"model": scores}, "finding", replicates=0)) == ["edema", "changed"]
    assert [(case.id, case.patient_id, case.finding) for case in scores.cases] == [
        ("pair0", "p0", "edema"),
        ("pair1", "p1", "edema"),
    ]
    assert len(scores.pairs) == 2


def test_padding_does_not_count():
    maps = torch.zeros(1, 1, 8, 8)
    maps[..., :2, :] = 1
    valid = torch.ones(1, 1, 8, 8)
    valid[..., :2, :] = 0
    changes = [[change("new", followup=(RIGHT,))]]
    scores = Localisation(signed=False)
    scores.add(maps, pair_batch(maps, changes, valid=valid))
    assert scores.cases[0].scores["energy_in_box"] == 0
    assert scores.pairs[0].mass == 0
    unread = Localisation(signed=False)
    unread.add(maps, pair_batch(maps, changes, valid=torch.zeros(1, 1, 8, 8)))
    assert unread.cases == unread.pairs == []


def test_a_sign_counts_where_the_map_has_one():
    maps = torch.zeros(1, 1, 8, 8)
    maps[..., 6], maps[..., 1] = -0.9, 0.4
    changes = [[change("new", followup=(RIGHT,)), change("new", "pneumothorax", followup=(RIGHT,))]]
    by_magnitude, by_sign = Localisation(signed=False), Localisation(signed=True)
    for scores in (by_magnitude, by_sign):
        scores.add(maps, pair_batch(maps, changes))
    assert [case.scores["pointing_game"] for case in by_magnitude.cases] == [1, 1]
    assert [case.scores["pointing_game"] for case in by_sign.cases] == [0, 1]


def test_labels_by_the_mass_in_the_lungs():
    lungs = np.zeros((4, 4), bool)
    lungs[:, :2] = True
    maps = torch.zeros(4, 1, 8, 8)
    maps[0, ..., 0], maps[1, ..., 0] = 0.5, -0.4
    maps[2:, ..., 7] = 0.9  # outside the lungs
    changes = [
        [change("worse")],
        [change("improved"), change("stable", "nodule")],
        [change("stable")],
        [change("stable")],
    ]
    within = Localisation(signed=True)
    within.add(maps, pair_batch(maps, changes, lungs=[lungs] * 4))
    found = by_label({"model": within}, replicates=0)
    assert list(found) == ["edema", "nodule", "all"]
    assert found["all"].pairs == 4
    assert found["all"].values["model"] == {"label_auroc": 1, "direction_auroc": 1}
    assert found["nodule"].described("model", "label_auroc") == {"value": None}
    assert within.pairs[0].mass == pytest.approx(0.5 / 4)
    without = Localisation(signed=False)
    without.add(maps, pair_batch(maps, changes))
    assert by_label({"model": without}, replicates=0)["all"].values["model"] == {"label_auroc": 0}
    assert by_change({"model": without}, "progression", replicates=0) == {}


def test_weighted_auroc_counts_as_often_as_it_is_told():
    rng = np.random.default_rng(1)
    score, positive = rng.integers(0, 5, 40) / 4, rng.random(40) < 0.5
    weights = rng.integers(0, 3, (7, 40)).astype(float)
    expected = [auroc(np.repeat(score, row), np.repeat(positive, row)) for row in weights.astype(int)]
    np.testing.assert_allclose(weighted_auroc(score, positive, weights), expected)
    assert np.isnan(weighted_auroc(score, positive, weights * positive)).all()


def test_intervals_come_from_patients_and_cover_the_mean():
    maps = torch.rand(30, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    scores = Localisation(signed=False)
    scores.add(maps, pair_batch(maps, [[change("new", followup=(RIGHT,))]] * 30))
    numbers = by_change({"model": scores}, "progression", replicates=200)["new"].described(
        "model", "box_auroc"
    )
    assert numbers["low"] < numbers["value"] < numbers["high"]
    values = [case.scores["box_auroc"] for case in scores.cases]
    assert numbers["value"] == pytest.approx(np.mean(values))
    # As wide as the standard error says.
    half = 1.96 * np.std(values) / math.sqrt(30)
    assert (numbers["high"] - numbers["low"]) / 2 == pytest.approx(half, rel=0.3)


def test_a_cell_that_is_wrong_names_its_pair():
    maps = torch.zeros(1, 1, 8, 8)
    batch = pair_batch(maps, [None])
    batch.columns = [{"changes": '[{"finding":"e","progression":"new","followup":[[0,0,9,9]]}]'}]
    with pytest.raises(DataError, match="changes of pair 'pair0': the box 0, 0, 9, 9 lies outside"):
        Localisation(signed=False).add(maps, batch)
