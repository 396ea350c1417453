import json
import os
import pickle
import shutil
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from accelerate import Accelerator
from torch import nn

from data.base.errors import UserError
from gan.run.checkpoint import (
    BEST,
    keep_best,
    list_checkpoints,
    load_best_weights,
    load_checkpoint,
    newest_checkpoint,
    save_checkpoint,
)
from gan.run.directory import RunDir
from gan.run.progress import Progress


@pytest.fixture
def run(tmp_path):
    run = RunDir(tmp_path)
    run.checkpoints.mkdir()
    return run


def prepared(width=2):
    torch.manual_seed(0)
    accelerator = Accelerator(cpu=True)
    model = nn.Linear(width, 1)
    return accelerator, *accelerator.prepare(model, torch.optim.AdamW(model.parameters()))


def make_step(model, optimizer):
    model(torch.ones(1, model.in_features)).sum().backward()
    optimizer.step()
    optimizer.zero_grad()


def test_everything_comes_back_as_it_was(run):
    accelerator, model, optimizer = prepared()
    ema = nn.Linear(2, 1)
    progress = Progress(step=7, best=0.5, identity={"--seed": 3})
    progress.add({"l1": torch.tensor(0.25)})
    make_step(model, optimizer)
    path = save_checkpoint(accelerator, run, progress, keep=2, kept={"ema": ema})
    make_step(model, optimizer)
    expected = model.weight.detach().clone()
    saved_average = ema.weight.detach().clone()
    nn.init.zeros_(ema.weight)

    again = Progress()
    load_checkpoint(accelerator, path, again, kept={"ema": ema})
    assert (again.step, again.best, again.identity) == (7, 0.5, {"--seed": 3})
    assert again.take_means(accelerator) == {"l1": 0.25}
    assert torch.equal(ema.weight, saved_average)
    make_step(model, optimizer)  # the same step again needs the optimiser's moments as well as the weights
    assert torch.equal(model.weight, expected)


def test_the_options_of_the_optimiser_are_those_of_now(run):
    accelerator, model, optimizer = prepared()
    make_step(model, optimizer)
    path = save_checkpoint(accelerator, run, Progress(step=1), keep=1, kept={})
    accelerator, model, optimizer = prepared()
    for group in optimizer.param_groups:
        group.update(weight_decay=0.5, betas=(0.3, 0.9))
    load_checkpoint(accelerator, path, Progress(), kept={})
    assert [(group["weight_decay"], group["betas"]) for group in optimizer.param_groups] == [
        (0.5, (0.3, 0.9))
    ]
    assert optimizer.state_dict()["state"], "the moments come from the checkpoint"


def test_the_newest_few_are_kept_and_the_best(run):
    accelerator, *_ = prepared()
    for step in range(1, 6):
        save_checkpoint(accelerator, run, Progress(step=step), keep=2, kept={})
        if step == 2:
            keep_best(run)
    assert [path.name for path in list_checkpoints(run)] == ["step_00000004", "step_00000005"]
    assert json.loads((run.checkpoints / BEST / "step.json").read_text())["step"] == 2
    assert newest_checkpoint(run)[0].name == "step_00000005"
    assert not [path for path in run.checkpoints.iterdir() if path.name.startswith(".")]


def test_a_directory_that_was_never_finished_is_no_checkpoint(run):
    accelerator, *_ = prepared()
    save_checkpoint(accelerator, run, Progress(step=1), keep=2, kept={})
    (run.checkpoints / ".step_00000002.tmp").mkdir()
    (run.checkpoints / "step_00000003").mkdir()
    assert newest_checkpoint(run)[0].name == "step_00000001"
    save_checkpoint(accelerator, run, Progress(step=2), keep=2, kept={})  # over the leftovers of a kill
    assert newest_checkpoint(run)[0].name == "step_00000002"


@pytest.mark.parametrize(
    "name", ["model.safetensors", "optimizer.bin", "progress_0.pt", "ema.pt", "step.json"]
)
@pytest.mark.parametrize("damage", [b"", b"not what it was"])
def test_a_damaged_file_is_reported_with_the_checkpoint_and_the_remedy(run, name, damage):
    accelerator, *_ = prepared()
    path = save_checkpoint(accelerator, run, Progress(step=1), keep=1, kept={"ema": nn.Linear(2, 1)})
    (path / name).write_bytes(damage)
    with pytest.raises(
        UserError, match=r"step_00000001 is not a checkpoint of this run .*; delete .*"
    ) as caught:
        load_checkpoint(accelerator, path, Progress(), kept={"ema": nn.Linear(2, 1)})
    assert "\n" not in str(caught.value)


class Hostile:
    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


@pytest.mark.parametrize(
    "name", ["optimizer.bin", "progress_0.pt", "ema.pt", "random_states_0.pkl", "model.safetensors"]
)
@pytest.mark.parametrize("write", [pickle.dump, torch.save])
def test_a_malicious_pickle_in_any_file_is_not_executed(run, tmp_path, name, write):
    accelerator, *_ = prepared()
    kept = {"ema": nn.Linear(2, 1)}
    path = save_checkpoint(accelerator, run, Progress(step=1), keep=1, kept=kept)
    mark = tmp_path / "executed"
    with (path / name).open("wb") as file:
        write(Hostile(mark), file)
    with suppress(UserError):  # states of generators that are not to be read are done without
        load_checkpoint(accelerator, path, Progress(), kept=kept)
        assert name == "random_states_0.pkl"
    assert not mark.exists()
    with pytest.raises(UserError, match=f"is damaged .{name}."):
        newest_checkpoint(run)


def test_networks_of_another_size_are_refused(run):
    path = save_checkpoint(prepared()[0], run, Progress(step=1), keep=1, kept={})
    accelerator, *_ = prepared(width=3)
    with pytest.raises(UserError, match="is not a checkpoint of this run"):
        load_checkpoint(accelerator, path, Progress(), kept={})


def test_what_two_processes_had_in_mind_goes_on_in_one(run):
    accelerator, *_ = prepared()
    written = Progress(step=3, sums={"l1": torch.tensor(1.0)}, counts={"l1": 2})
    path = save_checkpoint(accelerator, run, written, keep=1, kept={})
    written.sums["l1"] += 2
    torch.save(written.state_dict(), path / "progress_1.pt")
    (path / "step.json").write_text('{"step": 3, "processes": 2}')
    read = Progress()
    load_checkpoint(accelerator, path, read, kept={})
    assert (read.step, read.sums, read.counts) == (3, {"l1": torch.tensor(2.0)}, {"l1": 2})


def test_a_run_without_checkpoints_cannot_be_resumed(run):
    with pytest.raises(UserError, match=r"no checkpoint in .*without --resume"):
        newest_checkpoint(run)


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.bin", "progress_0.pt", "ema.pt"])
def test_a_flipped_bit_is_noticed_and_the_checkpoint_before_taken(run, name):
    accelerator, *_ = prepared()
    for step in (1, 2):
        save_checkpoint(accelerator, run, Progress(step=step), keep=2, kept={"ema": nn.Linear(2, 1)})
    flip_a_bit(run.checkpoints / "step_00000002" / name)
    path, problems = newest_checkpoint(run)
    assert path.name == "step_00000001"
    assert problems == [f"{run.checkpoints}/step_00000002 is damaged ({name})"]
    (path / name).unlink()
    with pytest.raises(UserError, match=r"--resume .*step_00000002 is damaged .*start the run again without"):
        newest_checkpoint(run)


def test_damaged_weights_of_the_best_are_not_judged(run):
    accelerator, model, _ = prepared()
    save_checkpoint(accelerator, run, Progress(step=1), keep=1, kept={})
    keep_best(run)
    load_best_weights(run, model)
    flip_a_bit(run.checkpoints / BEST / "model.safetensors")
    with pytest.raises(UserError, match=r"best is damaged \(model.safetensors\)"):
        load_best_weights(run, model)


def test_checkpoints_of_before_there_were_fingerprints_are_taken(run):
    accelerator, *_ = prepared()
    path = save_checkpoint(accelerator, run, Progress(step=1), keep=1, kept={})
    (path / "step.json").write_text('{"step": 1, "processes": 1}')
    assert newest_checkpoint(run) == (path, [])


def test_what_killed_saves_left_goes(run):
    save_checkpoint(prepared()[0], run, Progress(step=1), keep=1, kept={})
    for folder in (run.path, run.checkpoints):
        (folder / ".part-shared-x").mkdir()
    newest_checkpoint(run)
    assert not list(run.path.rglob(".part*"))


def test_files_may_be_read_by_whoever_may_read_the_folder(run):
    path = save_checkpoint(prepared()[0], run, Progress(step=1), keep=1, kept={})
    usual = path.stat().st_mode & 0o666
    assert usual == 0o666 & ~umask()
    assert {file.stat().st_mode & 0o777 for file in path.iterdir()} == {usual}


def umask():
    before = os.umask(0)
    os.umask(before)
    return before


@pytest.mark.parametrize(
    "error", [RuntimeError("PytorchStreamWriter failed"), OSError(28, "No space left on device")]
)
def test_a_disk_that_fills_is_one_line_and_loses_nothing(run, error, monkeypatch):
    accelerator, *_ = prepared()
    before = save_checkpoint(accelerator, run, Progress(step=1), keep=1, kept={})

    def fail(*_):
        raise error

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(UserError, match=r"step_00000002 cannot be written .*make room") as caught:
        save_checkpoint(accelerator, run, Progress(step=2), keep=1, kept={})
    assert "\n" not in str(caught.value)
    assert newest_checkpoint(run) == (before, [])


def test_a_checkpoint_that_would_not_fit_is_not_begun(run, monkeypatch):
    accelerator, *_ = prepared()
    numbers = 2 + 1  # of the model, and twice as many of its moments
    free = SimpleNamespace(free=4 * 3 * numbers - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: free)
    with pytest.raises(UserError, match=r"step_00000001 takes .* are free; make room, or move it"):
        save_checkpoint(accelerator, run, Progress(step=1), keep=1, kept={})
    assert not list(run.checkpoints.iterdir())
    free.free += 1
    save_checkpoint(accelerator, run, Progress(step=1), keep=1, kept={})
