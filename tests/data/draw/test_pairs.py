from pathlib import Path

import numpy as np
import pytest

from data.base.seeds import fold_seed
from data.draw.copies import draw_poses, expose, move
from data.draw.options import DrawConfig
from data.draw.pairs import draw_pair, draw_scenarios, find_chest
from data.files.images import Radiograph
from data.files.orientation import Grid
from data.findings import CHANGE_SCALE, FINDINGS
from data.simulation.films import TOE, change_map, logit
from data.simulation.findings.film import DRAW
from data.simulation.scenarios import Scenario

STILL = {
    "rotation": 0.0,
    "translation": 0.0,
    "scale": 0.0,
    "elastic": 0.0,
    "exposure": 0.0,
    "contrast": 0.0,
    "gamma": 0.0,
    "noise": 0.0,
}


def options(**changed):
    return DrawConfig(images=Path("in"), out=Path("out"), **{"change": "signed", **changed})


@pytest.fixture(scope="module")
def source(films):
    radiograph = Radiograph(pixels=films[0].image, spacing_mm=None)
    return find_chest(radiograph, "p0", Path("film.png"), options())


@pytest.mark.parametrize("name", FINDINGS)
def test_without_augmentation_the_target_is_what_the_film_shows(source, name):
    pair = draw_pair(source, Scenario(appearing=(name,)), 0, options(**STILL))
    np.testing.assert_array_equal(pair.baseline, source.image)
    shown = (logit(pair.followup) - logit(pair.baseline)) * source.chest.tone / CHANGE_SCALE
    exact = (
        (np.minimum(pair.baseline, pair.followup) > TOE)
        & (np.maximum(pair.baseline, pair.followup) < 1 - TOE)
        & (np.abs(pair.target) < 1)
    )
    assert (exact & (np.abs(pair.target) > 0.02)).any()
    np.testing.assert_allclose(pair.target[exact], shown[exact], atol=2e-4)
    np.testing.assert_array_equal(pair.target, pair.target_baseline)


@pytest.mark.parametrize("name", FINDINGS)
def test_nothing_changes_where_the_target_is_empty(source, name):
    pair = draw_pair(source, Scenario(appearing=(name,)), 1, options(**STILL))
    empty = pair.target == 0
    assert 0.3 < empty.mean() < 1
    np.testing.assert_array_equal(pair.baseline[empty], pair.followup[empty])


def test_what_resolves_is_what_appeared_with_the_other_sign(source):
    new = draw_pair(source, Scenario(appearing=("effusion",)), 0, options(**STILL))
    old = draw_pair(source, Scenario(resolving=("effusion",)), 0, options(**STILL))
    np.testing.assert_array_equal(old.target, -new.target)
    np.testing.assert_array_equal(old.baseline, new.followup)
    np.testing.assert_array_equal(old.followup, new.baseline)
    assert old.target.max() == 0


def test_magnitudes_are_the_signed_targets_without_sign(source):
    scenario = Scenario(appearing=("nodule",), resolving=("effusion",), stable=("device",))
    signed = draw_pair(source, scenario, 2, options())
    magnitude = draw_pair(source, scenario, 2, options(change="magnitude"))
    assert signed.target.min() < 0 < signed.target.max()
    np.testing.assert_array_equal(magnitude.target, np.abs(signed.target))
    np.testing.assert_array_equal(magnitude.target_baseline, np.abs(signed.target_baseline))
    np.testing.assert_array_equal(magnitude.followup, signed.followup)
    assert signed.findings == ("nodule", "effusion")


def test_unchanged_copies_differ_and_have_an_empty_target(source):
    pair = draw_pair(source, Scenario(), 0, options())
    assert not pair.target.any() and not pair.target_baseline.any()
    assert np.abs(pair.baseline - pair.followup).mean() > 0.005


def test_what_is_stable_is_in_both_images_and_not_in_the_target(source):
    pair = draw_pair(source, Scenario(stable=("device",)), 0, options(**STILL))
    assert not pair.target.any()
    np.testing.assert_array_equal(pair.baseline, pair.followup)
    assert (pair.baseline - source.image).max() > 0.05


def test_each_target_lies_where_its_film_has_the_finding(source):
    """Against the same poses without the finding: what differs is the target's place, in both geometries."""
    calm = dict.fromkeys(("exposure", "contrast", "gamma", "noise"), 0.0)
    config = options(**calm, rotation=20.0, translation=0.1)
    for scenario, time, target in (
        (Scenario(appearing=("consolidation",)), "followup", "target"),
        (Scenario(resolving=("consolidation",)), "baseline", "target_baseline"),
    ):
        pair = draw_pair(source, scenario, 0, config)
        poses = dict(zip(("baseline", "followup"), _poses(source, config), strict=True))
        healthy = move(source.image, poses[time])
        changed = np.abs(getattr(pair, time) - healthy) > 1e-6
        drawn = getattr(pair, target) != 0
        assert changed.any() and not (changed & ~drawn).any()
        other = "baseline" if time == "followup" else "followup"
        np.testing.assert_array_equal(getattr(pair, other), move(source.image, poses[other]))


@pytest.mark.parametrize("name", FINDINGS)
def test_both_targets_are_the_drawn_change_under_the_pose_of_their_film(source, name):
    config = options(rotation=8.0, translation=0.05, scale=0.08, elastic=0.01)
    for sign, scenario in ((1, Scenario(appearing=(name,))), (-1, Scenario(resolving=(name,)))):
        pair = draw_pair(source, scenario, 0, config)
        rng = np.random.default_rng(fold_seed("findings", config.seed, source.id, 0))
        added = sign * source.chest.grain.soften(DRAW[name](source.chest, rng))
        baseline_pose, followup_pose = _poses(source, config)
        np.testing.assert_array_equal(pair.target, change_map(move(added, followup_pose)))
        np.testing.assert_array_equal(pair.target_baseline, change_map(move(added, baseline_pose)))
        assert (pair.target != pair.target_baseline).any()


def _poses(source, config):
    rng = np.random.default_rng(fold_seed("pair", config.seed, source.id, 0))
    return draw_poses(source.image.shape, config, rng)


def test_a_nuisance_is_in_one_image_and_no_change(source):
    pair = draw_pair(source, Scenario(arriving=("device",)), 0, options(**STILL))
    assert not pair.target.any() and not pair.target_baseline.any()
    assert np.abs(pair.followup - pair.baseline).max() > 0.05
    assert pair.findings == ()
    assert (pair.columns["direction"], pair.columns["nuisances"]) == ("unchanged", "device")


def test_pairs_of_a_group_show_one_change_in_other_poses(source):
    config = options(views_per_change=2)
    first, second, third = (draw_pair(source, Scenario(appearing=("nodule",)), n, config) for n in range(3))
    assert [pair.columns["group"] for pair in (first, second, third)] == ["0", "0", "1"]
    sizes = [float((pair.target > 0.05).sum()) for pair in (first, second, third)]
    assert sizes[1] == pytest.approx(sizes[0], rel=0.15)
    assert abs(sizes[2] - sizes[0]) > 0.15 * sizes[0]
    assert not np.array_equal(first.target, second.target)


def test_a_pair_is_a_function_of_seed_id_and_number(source):
    scenario = Scenario(appearing=("nodule",))
    first, again = (draw_pair(source, scenario, 3, options()) for _ in range(2))
    np.testing.assert_array_equal(first.followup, again.followup)
    np.testing.assert_array_equal(first.target, again.target)
    for other in (draw_pair(source, scenario, 4, options()), draw_pair(source, scenario, 3, options(seed=1))):
        assert (other.target != first.target).any()


def test_poses_without_differences_leave_a_film_as_it_is(films):
    rng = np.random.default_rng(0)
    for pose in draw_poses(films[0].image.shape, options(**STILL), rng):
        np.testing.assert_array_equal(move(films[0].image, pose), films[0].image)
    np.testing.assert_array_equal(expose(films[0].image, options(**STILL), rng), films[0].image)


def test_poses_differ_by_no_more_than_asked_and_are_a_similarity():
    config = options(**{**STILL, "rotation": 10.0, "translation": 0.1, "scale": 0.2})
    for seed in range(10):
        baseline, followup = draw_poses((90, 120), config, np.random.default_rng(seed))
        angles, sizes = [], []
        for pose in (baseline, followup):
            along = pose[:, 0, -1] - pose[:, 0, 0]
            angles.append(np.rad2deg(np.arctan2(along[0], along[1])))
            sizes.append(119 / np.hypot(*along))
        assert abs(angles[1] - angles[0]) <= 10.0 + 1e-3
        assert abs(sizes[1] - sizes[0]) <= 0.2 + 1e-3
        centre = np.abs(
            baseline[:, 44:46, 59:61].mean(axis=(1, 2)) - followup[:, 44:46, 59:61].mean(axis=(1, 2))
        )
        assert (centre <= 0.1 * 120 * 1.15).all()


def test_moving_is_linear():
    rng = np.random.default_rng(0)
    film, added = rng.random((2, 50, 60), dtype=np.float32)
    pose = draw_poses((50, 60), options(rotation=10.0, elastic=0.02), rng)[0]
    np.testing.assert_allclose(move(film + added, pose), move(film, pose) + move(added, pose), atol=1e-6)


def test_films_stay_in_range_and_keep_black_and_white():
    film = np.linspace(0, 1, 101, dtype=np.float32)[None]
    for seed in range(10):
        shown = expose(
            film, options(noise=0.0, exposure=0.5, contrast=0.4, gamma=0.4), np.random.default_rng(seed)
        )
        assert shown.dtype == np.float32
        assert (np.diff(shown[0]) >= 0).all()
        assert shown[0, 0] < 0.01 and shown[0, -1] > 0.99


def test_findings_take_turns_and_probabilities_hold():
    config = options(pairs_per_image=700, unchanged=0.2, second=0.3, stable=0.4)
    scenarios = draw_scenarios("p0", config)
    counts = [sum(name in scenario.changing for scenario in scenarios) for name in FINDINGS]
    assert max(counts) < 1.5 * min(counts)
    assert np.mean([not scenario.changing for scenario in scenarios]) == pytest.approx(0.2, abs=0.05)
    changed = [scenario for scenario in scenarios if scenario.changing]
    assert np.mean([len(scenario.changing) == 2 for scenario in changed]) == pytest.approx(0.3, abs=0.06)
    assert np.mean([bool(scenario.stable) for scenario in scenarios]) == pytest.approx(0.4, abs=0.06)
    assert all(not set(scenario.stable) & set(scenario.changing) for scenario in scenarios)
    assert scenarios == draw_scenarios("p0", config) != draw_scenarios("p1", config)


def test_the_size_asked_for_is_the_longest_side(films):
    image = films[0].image[:, :150]
    source = find_chest(
        Radiograph(pixels=image, spacing_mm=None), "p", Path("film.png"), options(image_size=80)
    )
    assert source.image.shape == (80, 75)


@pytest.mark.parametrize(("size", "shape"), [("native", (160, 160)), (100, (100, 100))])
def test_pixels_that_are_not_square_become_so(films, size, shape):
    image = films[0].resized(160, 80).image
    radiograph = Radiograph(pixels=image, spacing_mm=(0.9, 1.8), grid=Grid(pixel_aspect=0.5))
    source = find_chest(radiograph, "p", Path("film.png"), options(image_size=size))
    assert source.image.shape == shape
    assert source.chest.frame.pixel == pytest.approx(0.9 * 160 / shape[0])


def test_spacing_is_that_of_the_size_asked_for(films):
    radiograph = Radiograph(pixels=films[0].image, spacing_mm=(1.8, 1.8))
    source = find_chest(radiograph, "p", Path("film.png"), options(image_size=80))
    assert source.chest.frame.pixel == pytest.approx(3.6)
