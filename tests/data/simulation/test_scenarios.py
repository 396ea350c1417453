from dataclasses import dataclass

from data.simulation.scenarios import Scenario, play


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

    stable, appearing, resolving = play(scenario, Place(), draw)
    assert stable == [("device",), ("nodule", "device")]
    assert appearing == [("effusion", "device", "nodule"), ("cardiomegaly", "device", "nodule", "effusion")]
    assert resolving == [("pneumothorax", "device", "nodule")]
