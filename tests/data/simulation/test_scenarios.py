from collections import Counter
from dataclasses import dataclass

import numpy as np
import pytest

from data.config import ScenarioOptions
from data.findings import FINDINGS
from data.simulation.scenarios import Scenario, columns_of, draw_in_turns, play


@dataclass(frozen=True)
class Place:
    """A place that remembers what is in it."""

    there: tuple = ()

    def with_change(self, change):
        return Place((*self.there, change))


def test_findings_meet_the_stable_ones_and_their_own_kind_only():
    scenario = Scenario(
        stable=("device", "nodule"), appearing=("effusion", "cardiomegaly"), resolving=("pneumothorax",)
    )

    def draw(place, name):
        return name, *(change[0] for change in place.there)

    played = play(scenario, Place(), draw)
    assert played.stable == [("device",), ("nodule", "device")]
    assert played.appearing == [
        ("effusion", "device", "nodule"),
        ("cardiomegaly", "device", "nodule", "effusion"),
    ]
    assert played.resolving == [("pneumothorax", "device", "nodule")]
    assert played.arriving == played.leaving == []


def scenarios(count=3000, **options):
    shares = ScenarioOptions(**options)
    return draw_in_turns(FINDINGS, count, shares, np.random.default_rng(0))


def test_nuisances_come_go_and_move_but_never_change():
    drawn = scenarios(nuisances=("device",), nuisance=0.6, unchanged=0.3)
    assert not any("device" in (*scenario.changing, *scenario.stable) for scenario in drawn)
    kinds = Counter((scenario.arriving, scenario.leaving) for scenario in drawn)
    assert set(kinds) == {((), ()), (("device",), ()), ((), ("device",)), (("device",), ("device",))}
    assert kinds[(), ()] / len(drawn) == pytest.approx(0.4, abs=0.03)
    silent = [scenario for scenario in drawn if not scenario.changing]
    assert sum(bool(s.arriving or s.leaving) for s in silent) / len(silent) == pytest.approx(0.6, abs=0.05)


def test_without_nuisances_nothing_of_them_is_drawn():
    assert not any(scenario.arriving or scenario.leaving for scenario in scenarios())


def test_views_of_a_change_share_its_scenario():
    drawn = scenarios(count=7, views_per_change=3)
    assert len(drawn) == 7
    assert drawn[0] == drawn[1] == drawn[2] != drawn[3]


@pytest.mark.parametrize(
    ("scenario", "direction"),
    [
        (Scenario(appearing=("nodule",)), "appearing"),
        (Scenario(resolving=("nodule",)), "resolving"),
        (Scenario(appearing=("nodule",), resolving=("device",)), "both"),
        (Scenario(stable=("nodule",)), "unchanged"),
    ],
)
def test_columns_say_what_a_pair_shows(scenario, direction):
    target = np.zeros((10, 10), dtype=np.float32)
    target[:2, :2] = (0.04, 0.06), (-0.5, 0.3)
    columns = columns_of(scenario, target)
    changed = {} if direction == "unchanged" else {"size": "0.0300", "contrast": "0.500"}
    stable = "+".join(scenario.stable) or "none"
    assert columns == {"direction": direction, "stable": stable, "nuisances": "none", **changed}
