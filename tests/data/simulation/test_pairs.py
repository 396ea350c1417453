import itertools
from dataclasses import replace

import numpy as np
import pytest

from data.config import EmbeddedConfig
from data.findings import CHANGE_SCALE, FINDINGS
from data.simulation import pairs as pairs_module
from data.simulation.drawing.chest import measure
from data.simulation.embedded.patients import draw_poses, draw_scenarios, patient_rng, render_patient
from data.simulation.pairs import Draw, render_pairs
from data.simulation.scenarios import Scenario

CONFIG = EmbeddedConfig(pairs_per_patient=3, drawn_pairs_per_patient=2)


@pytest.fixture
def render(phantom, monkeypatch):
    """Noise-free pair of one scenario: line integrals in place of films."""
    monkeypatch.setattr(pairs_module, "expose", lambda lines, _: lines)

    def run(**scenario):
        rng = np.random.default_rng(3)
        poses = draw_poses(CONFIG, rng)
        draw = Draw(scenario=Scenario(**scenario), group="0", poses=poses, findings=rng, films=rng)
        pairs = render_pairs(phantom, 32, [draw])
        return pairs.baseline[0], pairs.followup[0], pairs.target[0], pairs.target_baseline[0]

    return run


def test_an_unchanged_pair_has_no_target_but_another_pose(render):
    baseline, followup, target, target_baseline = render()
    assert not target.any() and not target_baseline.any()
    assert np.abs(followup - baseline).max() > 0.1


@pytest.mark.parametrize("name", FINDINGS)
def test_the_target_is_the_change_of_the_line_integrals(render, name):
    baseline, followup, _, _ = render()
    same, new, target, target_baseline = render(appearing=(name,))
    np.testing.assert_array_equal(same, baseline)
    np.testing.assert_allclose(target, np.clip((new - followup) / CHANGE_SCALE, -1, 1), atol=1e-5)
    assert np.abs(target).max() > 0.05
    # The same change as the baseline would show it, had it been there.
    old, same, target, target_before = render(resolving=(name,))
    np.testing.assert_array_equal(same, followup)
    np.testing.assert_allclose(target_before, np.clip((baseline - old) / CHANGE_SCALE, -1, 1), atol=1e-5)
    np.testing.assert_allclose(target_before, -target_baseline, atol=1e-6)


def test_a_stable_finding_is_in_both_images_and_not_in_the_target(render):
    baseline, followup, _, _ = render()
    old, new, target, target_baseline = render(stable=("consolidation",))
    assert (old - baseline).max() > 0.2
    assert (new - followup).max() > 0.2
    assert not target.any() and not target_baseline.any()


def test_one_finding_can_appear_while_another_resolves(render):
    _, _, target, _ = render(appearing=("device",), resolving=("effusion",))
    assert target.max() > 0.05 and target.min() < -0.05


@pytest.mark.parametrize("time", ["arriving", "leaving"])
def test_a_nuisance_is_in_one_image_and_not_in_the_target(render, time):
    baseline, followup, _, _ = render()
    old, new, target, target_baseline = render(**{time: ("device",)})
    assert not target.any() and not target_baseline.any()
    shown = np.array([(old - baseline).max(), (new - followup).max()]) > 0.05
    assert shown.tolist() == [time == "leaving", time == "arriving"]


def test_columns_say_pose_difference_and_group(phantom):
    config = EmbeddedConfig(pairs_per_patient=4, views_per_change=2, unchanged=0.0)
    pairs = render_patient(phantom, config, 32, "val", 0)
    assert [columns["group"] for columns in pairs.columns] == ["0", "0", "1", "1"]
    assert pairs.findings[0] == pairs.findings[1]
    poses = draw_poses(config, patient_rng(config.seed, "val", 0, 0, 3))
    difference = np.abs(np.subtract(*(pose.rotation for pose in poses))).sum()
    assert float(pairs.columns[3]["pose_difference"]) == pytest.approx(difference, abs=0.06)
    assert all(float(columns["contrast"]) > 0 for columns in pairs.columns)


def test_small_poses_are_frequent_where_asked():
    rng = np.random.default_rng(0)
    config = EmbeddedConfig(pose_degrees=10.0, pose_exponent=2.0)
    poses = [draw_poses(config, rng) for _ in range(500)]
    turn = np.abs([np.subtract(a.rotation, b.rotation) for a, b in poses])
    assert 9 < turn.max() <= 10
    assert np.median(turn) == pytest.approx(2.5, rel=0.15)  # 10 * 0.5 ** 2


def test_findings_take_turns_and_never_meet_themselves():
    config = EmbeddedConfig(pairs_per_patient=len(FINDINGS), unchanged=0.0)
    scenarios = draw_scenarios(config, config.pairs_per_patient, np.random.default_rng(0))
    assert {scenario.changing[0] for scenario in scenarios} <= set(FINDINGS)
    assert len(set(itertools.chain.from_iterable(s.changing for s in scenarios))) == len(FINDINGS)
    for scenario in scenarios:
        assert not set(scenario.stable) & set(scenario.changing)
        assert len(scenario.changing) in (1, 2)


def test_the_configured_share_of_pairs_is_unchanged():
    config = EmbeddedConfig(pairs_per_patient=4000, unchanged=0.25)
    scenarios = draw_scenarios(config, config.pairs_per_patient, np.random.default_rng(0))
    assert np.mean([not scenario.changing for scenario in scenarios]) == pytest.approx(0.25, abs=0.02)
    appear = sum(len(scenario.appearing) for scenario in scenarios)
    assert appear / sum(len(scenario.changing) for scenario in scenarios) == pytest.approx(0.5, abs=0.03)


def test_only_configured_findings_are_drawn():
    config = EmbeddedConfig(pairs_per_patient=50, findings=("nodule",))
    scenarios = draw_scenarios(config, config.pairs_per_patient, np.random.default_rng(0))
    assert all(scenario.changing in ((), ("nodule",)) and not scenario.stable for scenario in scenarios)


def test_poses_differ_by_no_more_than_configured():
    config = EmbeddedConfig(pose_degrees=2.0, pose_mm=5.0)
    rng = np.random.default_rng(0)
    poses = [draw_poses(config, rng) for _ in range(300)]
    turn = np.abs([np.subtract(a.rotation, b.rotation) for a, b in poses])
    shift = np.abs([np.subtract(a.shift, b.shift) for a, b in poses])
    assert 1.9 < turn.max() <= 2.0
    assert 4.8 < shift.max() <= 5.0


def test_splits_and_patients_share_no_randomness():
    keys = [(0, "train", 0), (0, "train", 1), (0, "val", 0), (0, "test", 0), (1, "train", 0)]
    draws = {tuple(patient_rng(*key).random(4)) for key in keys}
    draws |= {tuple(patient_rng(0, "train", 0, pair).random(4)) for pair in range(3)}
    assert len(draws) == 8


def test_a_patient_depends_on_nothing_but_seed_split_and_index(phantom):
    few = render_patient(phantom, CONFIG, 32, "val", 2)
    many = EmbeddedConfig(pairs_per_patient=3, train_patients=999, val_patients=1, test_patients=5)
    again = render_patient(phantom, many, 32, "val", 2)
    for name in ("baseline", "followup", "target", "target_baseline"):
        np.testing.assert_array_equal(getattr(few, name), getattr(again, name))
    other = render_patient(phantom, CONFIG, 32, "test", 2)
    assert np.abs(few.baseline - other.baseline).max() > 0.1


def test_films_are_in_range_and_sized(phantom):
    rendered = render_patient(phantom, CONFIG, 48, "train", 0)
    assert rendered.baseline.shape == rendered.target.shape == (5, 48, 48)
    for image in (rendered.baseline, rendered.followup):
        assert image.min() >= 0 and image.max() <= 1
        assert image.std() > 0.1
    assert np.abs(rendered.target).max() <= 1
    assert rendered.target.dtype == rendered.baseline.dtype == np.float32


def test_only_patients_to_train_on_have_pairs_that_are_drawn(phantom):
    made = [pair["made"] for pair in render_patient(phantom, CONFIG, 48, "train", 0).columns]
    assert made == ["projected"] * 3 + ["drawn"] * 2
    assert len(render_patient(phantom, CONFIG, 48, "val", 0).columns) == 3
    without = render_patient(phantom, replace(CONFIG, drawn_pairs_per_patient=0), 48, "train", 0)
    np.testing.assert_array_equal(
        without.baseline, render_patient(phantom, CONFIG, 48, "train", 0).baseline[:3]
    )


@pytest.mark.parametrize("name", FINDINGS)
def test_what_is_drawn_into_a_film_is_its_target(phantom, monkeypatch, name):
    monkeypatch.setattr("data.simulation.drawn.expose", lambda lines, _: lines)
    monkeypatch.setattr("data.simulation.drawn.measure", lambda _, *known: measure(film, *known))
    rng = np.random.default_rng(5)
    pose = draw_poses(CONFIG, rng)[1]
    film = render_patient(phantom, CONFIG, 64, "val", 0).followup[0]
    draw = Draw(
        scenario=Scenario(appearing=(name,), stable=("device",) if name != "device" else ()),
        group="0",
        poses=(pose, pose),
        findings=rng,
        films=rng,
        drawn=True,
    )
    pairs = render_pairs(phantom, 64, [draw])
    change = pairs.followup[0] - pairs.baseline[0]
    np.testing.assert_allclose(pairs.target[0], np.clip(change / CHANGE_SCALE, -1, 1), atol=1e-5)
    np.testing.assert_array_equal(pairs.target, pairs.target_baseline)
    assert np.abs(pairs.target).max() > 0.03
    assert (np.abs(pairs.target[0]) > 0.01).mean() < 0.2
    assert pairs.columns[0]["pose_difference"] == "0.0"
