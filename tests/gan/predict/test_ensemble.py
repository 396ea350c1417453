"""Several maps are one: their mean, and how far they are apart."""

import pytest
import torch

from data.base.errors import UserError
from gan.predict.ensemble import Ensemble
from gan.run.feeding import Fed
from tests.gan.predict.models import Difference, Magnitude, model


@pytest.fixture
def pairs():
    generator = torch.Generator().manual_seed(0)
    baseline, followup = (0.2 + 0.6 * torch.rand(3, 1, 64, 64, generator=generator) for _ in range(2))
    known = torch.ones_like(followup)
    known[..., :8] = 0
    return Fed(baseline=baseline, followup=followup, known=known, geometry=[], confidence=None)


def part_of(pairs, place):
    tensors = (getattr(pairs, name)[place : place + 1] for name in ("baseline", "followup", "known"))
    return Fed(
        **dict(zip(("baseline", "followup", "known"), tensors, strict=True)), geometry=[], confidence=None
    )


def test_the_maps_of_several_models_have_a_mean_and_a_spread(pairs):
    ensemble = Ensemble({str(weight): model(Difference, weight=weight) for weight in (0.2, 0.4, 0.9)})
    change, spread = ensemble(pairs, ["a", "b", "c"])
    difference = (pairs.followup - pairs.baseline) * pairs.known
    assert torch.allclose(change, 0.5 * difference, atol=1e-6)
    weights = torch.tensor([0.2, 0.4, 0.9])
    assert torch.allclose(spread, weights.std(correction=0) * difference.abs(), atol=1e-6)
    assert not change[..., :8].any()
    assert not spread[..., :8].any()


def test_one_look_of_one_model_is_its_map(pairs):
    alone = Ensemble({"a": model(Difference)})
    change, spread = alone(pairs, ["a", "b", "c"])
    assert torch.equal(change, (pairs.followup - pairs.baseline) * pairs.known)
    assert not spread.any()
    assert not alone.is_several


def test_exposures_follow_from_seed_and_id_alone(pairs):
    ensemble = Ensemble({"a": model(Difference)}, passes=3, seed=1)
    change, spread = ensemble(pairs, ["a", "b", "c"])
    assert spread.max() > 0.01
    one_by_one = [ensemble(part_of(pairs, place), [name])[1] for place, name in enumerate("abc")]
    assert torch.allclose(torch.cat(one_by_one), spread, atol=1e-5)
    other = Ensemble({"a": model(Difference)}, passes=3, seed=2)(pairs, ["a", "b", "c"])[1]
    assert not torch.allclose(other, spread, atol=1e-3)
    assert (change - ensemble(pairs, ["d", "b", "c"])[0])[0].abs().max() > 1e-3


def test_models_that_are_fed_in_another_way_are_refused():
    with pytest.raises(UserError, match="a and b differ in change"):
        Ensemble({"a": model(Difference), "b": model(Magnitude)})
    with pytest.raises(UserError, match="differ in image_size"):
        Ensemble({"a": model(Difference), "b": model(Difference, size=32)})


def test_a_map_that_is_not_finite_is_refused(pairs):
    broken = Ensemble({"runs/broken": model(Difference, weight=float("nan"))})
    with pytest.raises(UserError, match="runs/broken makes maps that are not finite"):
        broken(pairs, ["a", "b", "c"])
