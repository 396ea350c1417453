import math

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import GradientState
from torch import nn

from data.base.errors import UserError
from gan.run.directory import RunDir
from gan.run.finite import FiniteWatch
from gan.run.optim import all_finite, optimiser_step
from gan.run.progress import Progress

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
    with pytest.raises(UserError, match="parameters or buffers are not finite after step 4"):
        watch.require()


def test_what_is_finite_passes_and_is_forgotten(watched):
    watch, _ = watched
    for step in range(5):
        watch.add({"l1": torch.tensor(float(step))}, step, [str(step)])
    watch.require()
    assert not watch._samples


def test_buffers_and_modules_that_are_only_kept_are_looked_at(tmp_path):
    GradientState._reset_state()
    average = nn.BatchNorm2d(2)
    watch = FiniteWatch(Accelerator(cpu=True), RunDir(tmp_path), {"ema": average})
    watch.add({"l1": torch.tensor(1.0)}, 1, ["a"])
    watch.require()
    average.running_var[1] = NAN
    watch.add({"l1": torch.tensor(1.0)}, 2, ["a"])
    with pytest.raises(UserError, match="buffers are not finite after step 2"):
        watch.require()


@pytest.mark.parametrize("kind", [torch.optim.AdamW, torch.optim.Adam])
def test_nothing_moves_from_a_gradient_on_that_is_not_finite(tmp_path, kind):
    """Neither of two optimisers that step together, though only one of them meets it."""
    GradientState._reset_state()
    accelerator = Accelerator(cpu=True)
    one, other = nn.Linear(2, 2), nn.Linear(2, 2)
    optimizers = [kind(model.parameters(), lr=0.1, fused=True) for model in (one, other)]
    one, other, *optimizers = accelerator.prepare(one, other, *optimizers)
    watch = FiniteWatch(accelerator, RunDir(tmp_path))

    def step(number, scale):
        (one(torch.ones(1, 2)).sum() * scale + other(torch.ones(1, 2)).sum()).backward()
        optimiser_step(accelerator, *optimizers, clip=one, clip_norm=1.0)
        watch.add({"l1": torch.tensor(1.0)}, number, [str(number)])
        return [parameter.detach().clone() for model in (one, other) for parameter in model.parameters()]

    start, first = step(1, 1.0), step(2, 1.0)
    assert not any(map(torch.equal, start, first))
    for number, scale in ((3, float("inf")), (4, 1.0)):
        assert all(map(torch.equal, first, step(number, scale)))
    with pytest.raises(UserError, match=r"^the gradient is not finite at step 3, samples 3: "):
        watch.require()


def test_steps_are_left_out_up_to_a_limit_and_counted(tmp_path):
    """What comes between moves; what is left out leaves weights and moments as they were."""
    GradientState._reset_state()
    accelerator = Accelerator(cpu=True)
    model = nn.Linear(2, 2)
    model, optimizer = accelerator.prepare(model, torch.optim.AdamW(model.parameters(), fused=True))
    watch, progress = FiniteWatch(accelerator, RunDir(tmp_path), allowed=3, skipped=1), Progress()

    def step(number, scale):
        loss = model(torch.ones(1, 2)).sum() * scale
        loss.backward()
        optimiser_step(accelerator, optimizer, clip=model, clip_norm=1.0)
        progress.add({"l1": loss}, watch.add({"l1": loss}, number, [str(number)]))
        state = [*model.parameters(), *(x for of in optimizer.optimizer.state.values() for x in of.values())]
        return [tensor.detach().clone() for tensor in state]

    first, second = step(1, 1.0), step(2, NAN)
    assert all(map(torch.equal, first, second))
    assert not any(map(torch.equal, second, step(3, 1.0)))
    assert watch.require() == [
        "WARNING: the gradient is not finite at step 2, samples 2: the step is left out "
        "(2 so far, --skip-nonfinite 3)"
    ]
    assert watch.require() == []
    expected = progress.sums["l1"] / 2
    assert progress.take_means(accelerator) == {"l1": pytest.approx(expected.item())}
    step(4, NAN)
    assert progress.take_means(accelerator) == {}
    before = step(5, NAN)
    assert all(map(torch.equal, before, step(6, 1.0)))  # held from here on
    assert progress.skipped == 2
    with pytest.raises(UserError, match=r"^l1 is not finite at step 5, samples 5"):
        watch.require()


@pytest.mark.parametrize(
    ("values", "finite"),
    [([1.0, 2.0], True), ([1e30, -1e30], True), ([math.nan, 1.0], False), ([1.0, -math.inf], False)],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_numbers_are_finite_however_large(values, finite, dtype):
    tensors = [torch.zeros(3), torch.tensor(values, dtype=dtype), torch.full((4,), 6e4, dtype=torch.float16)]
    assert all_finite(tensors).item() is finite


def test_nothing_is_finite():
    assert all_finite([])
