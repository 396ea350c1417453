import pytest
import torch
from accelerate import Accelerator
from accelerate.state import GradientState
from torch import nn

from data.base.errors import UserError
from gan.run.directory import RunDir
from gan.run.finite import FiniteWatch

NAN = torch.tensor(float("nan"))


@pytest.fixture
def watched(tmp_path):
    GradientState._reset_state()
    accelerator = Accelerator(cpu=True)
    model = accelerator.prepare(nn.Linear(2, 2))
    return FiniteWatch(accelerator, RunDir(tmp_path)), model


def test_the_term_that_went_first_is_named_with_its_step_and_samples(watched):
    watch, _ = watched
    fine = torch.tensor(1.0)
    watch.add({"l1": fine, "own": fine, "generator": fine}, 6, ["a", "b"])
    watch.add({"l1": fine, "own": NAN, "generator": NAN}, 7, ["c", "d"])
    watch.add({"l1": NAN, "own": NAN, "generator": NAN}, 8, ["e"])
    with pytest.raises(
        UserError, match=r"^own is not finite at step 7, samples c, d: .*checkpoints"
    ) as caught:
        watch.require()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_parameters_are_looked_at_as_well(watched, value):
    watch, model = watched
    watch.add({"l1": torch.tensor(1.0)}, 3, ["a"])
    watch.require()
    with torch.no_grad():
        model.weight[1, 0] = value
    watch.add({"l1": torch.tensor(1.0)}, 4, ["a"])
    with pytest.raises(UserError, match="parameters are not finite after step 4"):
        watch.require()


def test_what_is_finite_passes_and_is_forgotten(watched):
    watch, _ = watched
    for step in range(5):
        watch.add({"l1": torch.tensor(float(step))}, step, [str(step)])
    watch.require()
    assert not watch._samples
