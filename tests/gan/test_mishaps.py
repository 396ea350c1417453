"""What befalls a run from outside: each has its outcome in the table of docs/training.md."""

import errno
import functools
import itertools
import multiprocessing
import os
import pkgutil
import shutil
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from skimage.io import imread

from gan.run.checkpoint import list_checkpoints
from gan.run.directory import RunDir
from tests.calling import call
from tests.forked import outcome, start
from tests.micro import MICRO_ADVERSARIAL, PRETRAIN, write_pairs

STEP = "gan.pretrain.masked.MaskedStage.step"
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a POSIX system")


def call_with(happening, after, *command, cwd):
    """Call a command to which something happens after its n-th step."""
    step, steps = pkgutil.resolve_name(STEP), itertools.count(1)

    def step_and_more(*args):
        terms = step(*args)
        if next(steps) == after:
            happening()
        return terms

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(STEP, step_and_more)
        return call(*command, cwd=cwd)


def error_of(done):
    """The only line of an error."""
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    return line


def test_a_directory_that_is_deleted_under_way_is_said_and_not_made_again(tmp_path, pairs_folder):
    options = ("--checkpoint-every", "1", "--log-every", "100", "--data.path", pairs_folder)
    done = call_with(
        lambda: shutil.rmtree(tmp_path / "run"),
        *(2, "gan.pretrain", *PRETRAIN, *options, "--run-dir", "run"),
        cwd=tmp_path,
    )
    assert error_of(done) == "error: run was deleted while the run was writing to it; start the run again"
    assert not (tmp_path / "run").exists()


def fail_at(operation: int, number: int, folder: Path) -> None:
    """Have every operation that writes in `folder` fail from the n-th on, as on a disk that is full."""
    os.setsid()
    operations = itertools.count(1)

    def audit(event, arguments):
        writes = (
            event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        )
        changes = writes or event in ("os.mkdir", "os.rename")
        if changes and is_below(arguments[0], folder) and next(operations) >= operation:
            raise OSError(number, os.strerror(number), arguments[0])

    sys.addaudithook(audit)


def is_below(path, folder: Path) -> bool:
    return isinstance(path, str | Path) and Path(path).absolute().is_relative_to(folder)


def is_said_and_resumed(operation, number, tmp_path, workplace, pairs_folder):
    """Whether the run came to that operation; then it must say so, and go on to the same end."""
    command = ("gan.pretrain", *PRETRAIN, "--checkpoint-every", "1", "--data.path", pairs_folder)
    before = functools.partial(fail_at, operation, number, tmp_path / "run")
    done = outcome(start(*command, "--run-dir", "run", cwd=tmp_path, before=before), cwd=tmp_path)
    if done.returncode == 0:
        return False
    assert os.strerror(number) in error_of(done), operation
    saved = list_checkpoints(RunDir(tmp_path / "run"))
    again = ("gan.pretrain", "--resume", "run") if saved else (*command, "--run-dir", "run")
    if not saved:
        shutil.rmtree(tmp_path / "run")
    done = call(*again, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for name in ("metrics.jsonl", "encoder/model.safetensors"):
        assert (tmp_path / "run" / name).read_bytes() == (workplace / "runs/pretrain" / name).read_bytes()
    shutil.rmtree(tmp_path / "run")
    return True


@needs_fork
@pytest.mark.parametrize(("number", "operation"), [(errno.ENOSPC, 30), (errno.EROFS, 60)])
def test_a_disk_that_fills_or_turns_read_only_is_one_line_and_loses_nothing(
    tmp_path, workplace, pairs_folder, number, operation
):
    assert is_said_and_resumed(operation, number, tmp_path, workplace, pairs_folder)


@needs_fork
@pytest.mark.slow
def test_a_disk_that_fills_at_any_moment_is_one_line_and_loses_nothing(tmp_path, workplace, pairs_folder):
    given = (errno.ENOSPC, tmp_path, workplace, pairs_folder)
    moments = itertools.takewhile(lambda moment: is_said_and_resumed(moment, *given), itertools.count(2, 4))
    assert len(list(moments)) >= 20


def test_a_clock_that_jumps_changes_nothing(tmp_path, workplace, pairs_folder, monkeypatch):
    now, jumps = time.time, itertools.cycle((0, -86_400, 3_600))
    monkeypatch.setattr(time, "time", lambda: now() + next(jumps))
    options = ("--checkpoint-minutes", "0.001", "--data.path", pairs_folder, "--run-dir", "run")
    done = call("gan.pretrain", *PRETRAIN, *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for name in ("metrics.jsonl", "encoder/model.safetensors"):
        assert (tmp_path / "run" / name).read_bytes() == (workplace / "runs/pretrain" / name).read_bytes()


@needs_fork
def test_a_loader_process_that_is_killed_ends_the_run_in_one_line(tmp_path, pairs_folder):
    options = ("--data.workers", "2", "--epochs", "20", "--checkpoint-every", "1")

    def kill_the_loaders():
        for process in multiprocessing.active_children():
            os.kill(process.pid, signal.SIGKILL)

    command = ("gan.pretrain", *PRETRAIN, *options, "--data.path", pairs_folder, "--run-dir", "run")
    line = error_of(call_with(kill_the_loaders, 2, *command, cwd=tmp_path))
    assert line.startswith("error: a loader process died: memory ran out, or a decoder crashed")
    assert line.endswith("continue with --resume run")


@pytest.mark.parametrize("role", ["followup", "target"])
def test_nan_in_an_image_or_a_target_is_named_when_it_is_read(tmp_path, role):
    data = write_pairs(tmp_path / "data", patients=4, pairs=1)
    for path in sorted(data.rglob("*.png")):
        image = imread(path) / np.float32(65535)
        if path.parent.name == role:
            image[3, 4] = np.nan
        np.save(path.with_suffix(".npy"), image)
        path.unlink()
    options = ("--pretrained", "none", "--weights.perceptual", "0", "--data.path", data)
    line = error_of(call("gan.adversarial", *MICRO_ADVERSARIAL, *options, cwd=tmp_path))
    assert f"{data / role}" in line
    assert "ranges over [nan, nan]" in line
