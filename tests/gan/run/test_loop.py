"""The loop on the smallest of stages: what a run leaves is the same wherever it was killed."""

import os
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from accelerate import Accelerator
from torch import nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from gan.pretrain.options import PRESETS
from gan.run import loop
from gan.run.checkpoint import BEST, list_checkpoints
from gan.run.directory import RunDir, create_run_dir
from gan.run.handover import Preprocessing, save_network
from gan.run.log import RunLog
from gan.run.loop import train
from gan.run.run import Run

EPOCHS = 3
SCORES = {2: 0.5, 4: 0.7, 6: 0.6}
"""The best model is that of the second epoch."""
KILLED = 9


class Stage:
    chooser, higher_is_better, shown = "score", True, ()

    def __init__(self, run, model, optimizer):
        self.run, self.model, self.optimizer = run, model, optimizer

    def step(self, *_):
        loss = self.model(torch.rand(3, 2)).sum()
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        return {"loss": loss.detach()}

    def settings(self):
        return {}

    def evaluate(self, _):
        return {"score": SCORES[self.run.progress.step]}

    def draw(self, path):
        path.write_bytes(b"")

    def export(self):
        how = Preprocessing(
            network="torch.nn:Linear", image_size=32, framing="pad", intensity="dicom", change="magnitude"
        )
        save_network(self.model, self.run.directory.generator, how)


def run_in(folder: Path, *, resume: bool) -> None:
    """Train in a folder, from its newest checkpoint where there is one."""
    torch.manual_seed(0)
    accelerator, model = Accelerator(cpu=True), nn.Linear(2, 1)
    batches = DataLoader(range(2), batch_size=1, collate_fn=lambda _: SimpleNamespace(id=["a"], skipped=[]))
    model, optimizer, batches = accelerator.prepare(model, torch.optim.AdamW(model.parameters()), batches)
    directory = RunDir(folder)
    config = replace(
        PRESETS["tiny"], epochs=EPOCHS, keep_checkpoints=1, log_every=1, resume=folder if resume else None
    )
    run = Run(accelerator, directory, config, RunLog(accelerator, directory))
    if resume:
        run._resume()
    else:
        create_run_dir(directory, overwrite=False)
    loaders = SimpleNamespace(
        train=batches, val={"": []}, order=SimpleNamespace(epoch=0), steps_per_epoch=2, total_steps=2 * EPOCHS
    )
    train(run, Stage(run, model, optimizer), loaders)


def left_in(folder: Path) -> dict[str, bytes]:
    run = RunDir(folder)
    (newest,) = list_checkpoints(run)
    assert newest.name == "step_00000006"
    names = ("model.safetensors", "optimizer.bin")
    files = [place / name for place in (newest, run.checkpoints / BEST) for name in names]
    files += [run.metrics, run.generator / "model.safetensors"]
    assert not list(folder.rglob(".part*")) + list(folder.rglob(".before*"))
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    monkeypatch.setattr(loop, "tqdm", partial(tqdm, disable=True))
    monkeypatch.setattr(RunLog, "picture", lambda *_, **__: None)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a POSIX system")
def test_a_kill_before_any_file_operation_leaves_a_run_that_ends_in_the_same_bits(tmp_path):
    """From the first checkpoint to the last line: each operation of the system that changes a file."""
    straight = tmp_path / "straight"
    straight.mkdir()
    run_in(straight, resume=False)
    expected = left_in(straight)
    operation, killed = 1, 0
    while killed == operation - 1:
        folder = tmp_path / str(operation)
        folder.mkdir()
        if killed_before(operation, folder):
            killed += 1
            run_in(folder, resume=bool(list_checkpoints(RunDir(folder))))
        assert left_in(folder) == expected, operation
        operation += 1
    assert killed > 30


def killed_before(operation: int, folder: Path) -> bool:
    """Train in a process that dies before it changes the n-th file; whether it came to that."""
    child = os.fork()
    if child == 0:
        left, first = operation, folder / "checkpoints" / "step_00000002" / "step.json"

        def count(event, arguments):
            nonlocal left
            if changes(event, arguments) and first.exists():
                left -= 1
                if left == 0:
                    os._exit(KILLED)

        try:
            sys.addaudithook(count)
            run_in(folder, resume=False)
        except BaseException:
            os._exit(1)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, KILLED)
    return code == KILLED


def changes(event: str, arguments: tuple) -> bool:
    if event == "open":
        return bool(arguments[2] & (os.O_WRONLY | os.O_RDWR))
    return event in ("os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.link")


@pytest.mark.parametrize(("minutes", "due"), [(None, False), (2.0, False), (1.0, True)])
def test_checkpoints_come_by_the_clock_as_well(monkeypatch, minutes, due):
    now = 100.0
    monkeypatch.setattr(loop.time, "monotonic", lambda: now)
    clock = loop.Clock(minutes)
    now += 60
    assert clock.is_due() == due
    clock.restart()
    assert not clock.is_due()
