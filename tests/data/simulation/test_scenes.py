import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from data.findings import FINDINGS, TABLE
from data.simulation.scenarios import draw_by_weight
from data.synthesize.options import FindingProbabilities, PoseRange, SynthesizeConfig
from data.synthesize.scenes import draw_pose, render_virtual_patient


def config(**options):
    return SynthesizeConfig(ct=Path("ct"), out=Path("out"), **options)


def angles(limits, count=4000):
    rng = np.random.default_rng(0)
    return np.array([draw_pose(limits, rng).rotation for _ in range(count)])


def test_poses_keep_the_published_limits():
    drawn = np.abs(angles(PoseRange()))
    assert 17.0 < drawn.max() <= 17.5
    assert 36.0 < drawn.sum(axis=1).max() <= 37.5 + 1e-9


def test_small_angles_are_frequent_and_signs_even():
    drawn = angles(PoseRange(total_degrees=135))
    # The median of 17.5 u ** 1.75 is 17.5 * 0.5 ** 1.75.
    assert np.median(np.abs(drawn)) == pytest.approx(17.5 * 0.5**1.75, rel=0.03)
    assert (drawn > 0).mean() == pytest.approx(0.5, abs=0.02)
    uniform = angles(PoseRange(exponent=1, total_degrees=135))
    assert np.median(np.abs(uniform)) == pytest.approx(17.5 / 2, rel=0.03)


def test_a_sum_beyond_the_limit_is_scaled_down_to_it():
    drawn = np.abs(angles(PoseRange(total_degrees=6.0)))
    assert drawn.sum(axis=1).max() == pytest.approx(6.0)
    assert (np.isclose(drawn.sum(axis=1), 6.0)).mean() > 0.5


def test_shifts_are_uniform_within_their_limit():
    rng = np.random.default_rng(0)
    shifts = np.array([draw_pose(PoseRange(mm=8.0), rng).shift for _ in range(2000)])
    assert 7.9 < np.abs(shifts).max() <= 8.0
    assert np.abs(shifts).mean() == pytest.approx(4.0, rel=0.05)


def scenarios(possible=FINDINGS, count=4000, **options):
    rng, made = np.random.default_rng(0), config(**options)
    weights = {name: made.findings.of(name) for name in possible}
    return [draw_by_weight(weights, made, rng) for _ in range(count)]


def test_probabilities_are_relative():
    weights = FindingProbabilities(nodule=3.0, device=0.0)
    drawn = scenarios(findings=weights, unchanged=0.0, second=0.0, stable=0.0)
    count = Counter(scenario.changing for scenario in drawn)
    total = len(FINDINGS) - 2 + 3
    assert count["nodule",] / len(drawn) == pytest.approx(3 / total, abs=0.03)
    assert count["effusion",] / len(drawn) == pytest.approx(1 / total, abs=0.03)
    assert ("device",) not in count


def test_shares_are_as_configured():
    drawn = scenarios(unchanged=0.3, second=0.5, stable=0.4)
    changed = [scenario for scenario in drawn if scenario.changing]
    assert len(changed) / len(drawn) == pytest.approx(0.7, abs=0.03)
    assert np.mean([len(scenario.changing) == 2 for scenario in changed]) == pytest.approx(0.5, abs=0.03)
    assert np.mean([bool(scenario.stable) for scenario in drawn]) == pytest.approx(0.4, abs=0.03)
    appearing = sum(len(scenario.appearing) for scenario in drawn)
    assert appearing / sum(len(scenario.changing) for scenario in drawn) == pytest.approx(0.5, abs=0.03)
    assert all(not set(scenario.stable) & set(scenario.changing) for scenario in drawn)


def test_only_what_the_volume_can_have_is_drawn():
    drawn = scenarios(possible=("nodule",), unchanged=0.0, second=1.0, stable=1.0)
    assert {scenario.changing for scenario in drawn} == {("nodule",)}
    assert not any(scenario.stable for scenario in drawn)
    assert not any(scenario.changing for scenario in scenarios(possible=()))


@pytest.mark.parametrize("name", FINDINGS)
def test_every_finding_has_a_probability(name):
    assert FindingProbabilities().of(name) == TABLE[name].weight == 1.0


def test_a_patient_is_a_function_of_its_names(phantom):
    options = config(image_size=32, pairs_per_patient=2, unchanged=0.0)

    def render(volume, patient, pairs=2):
        options.pairs_per_patient = pairs
        return render_virtual_patient(phantom, options, FINDINGS, volume, patient, "cpu")

    one, same, longer = render("a", 1), render("a", 1), render("a", 1, pairs=3)
    np.testing.assert_array_equal(one.followup, same.followup)
    np.testing.assert_array_equal(one.target, longer.target[:2])
    for other in (render("b", 1), render("a", 2), render("a", 0)):
        assert np.abs(other.followup - one.followup).max() > 0.1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: config(pairs_per_patient=0), "pairs_per_patient is 0; it must be at least 1"),
        (lambda: config(unchanged=1.5), "unchanged is 1.5; it must be between 0 and 1"),
        (lambda: config(image_size=8), "image_size is 8; it must be between 32 and 4096"),
        (lambda: config(val_fraction=0.6, test_fraction=0.5), "leave nothing to train on"),
        (lambda: config(workers=-1), "workers is -1; it must not be negative"),
        (lambda: config(seed=-1), "seed is -1; it must not be negative"),
        (lambda: PoseRange(degrees=60), "pose.degrees is 60; it must be between 0 and 45"),
        (lambda: PoseRange(exponent=0), "pose.exponent is 0; it must be above 0 and at most 10"),
        (lambda: FindingProbabilities(nodule=-1), "findings.nodule is -1; it must not be negative"),
        (lambda: FindingProbabilities(**dict.fromkeys(FINDINGS, 0.0)), "findings are all 0; give one of"),
    ],
)
def test_bad_options_name_the_legal_values(make, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        make()
