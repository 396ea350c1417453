"""Whole commands killed and preempted at moments that nobody chose; `KILLS` and `PREEMPTIONS` say how often.

The short versions: every file operation of a save in tests/gan/run/test_loop.py, chosen moments in
tests/gan/test_runs.py.
"""

import functools
import os
import random
import re
import shutil
import signal
import sys
import time
from pathlib import Path

import pytest
from safetensors.torch import load_file

from gan.run.checkpoint import list_checkpoints
from gan.run.directory import RunDir
from tests.calling import call
from tests.forked import call_forked, outcome, start
from tests.micro import ADVERSARIAL, MICRO, PRETRAIN

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a POSIX system"),
]
KILLS = int(os.environ.get("KILLS", "3"))
"""Of each kind, of each stage."""
PREEMPTIONS = int(os.environ.get("PREEMPTIONS", "3"))
"""By each signal."""
OFTEN = ("--checkpoint-every", "2", "--keep-checkpoints", "1")
STAGES = {
    "pretrain": ("gan.pretrain", *PRETRAIN, *OFTEN),
    "adversarial": (
        *("gan.adversarial", *ADVERSARIAL, *OFTEN),
        *("--epochs", "2", "--pretrained", "none", "--weights.perceptual", "0"),
    ),
    "classify": (
        "gan.classify",
        *MICRO,
        *OFTEN,
        "--epochs",
        "2",
        "--pretrained",
        "none",
        "--data.labels",
        "a",
    ),
}
KEPT = {"pretrain": "encoder", "adversarial": "generator", "classify": "classifier"}


@pytest.fixture(scope="module", params=STAGES)
def stage(request, tmp_path_factory, pairs_folder):
    """Its name, its command, a run that nothing happened to, how long that took and its file operations."""
    folder = tmp_path_factory.mktemp(request.param)
    data = folder / "images.csv"
    images = sorted((pairs_folder / "followup").iterdir())
    splits = {"p6": "val", "p7": "test"}
    rows = [(path.name.partition("_")[0], path, number % 2) for number, path in enumerate(images)]
    lines = [f"{patient},{path},{splits.get(patient, 'train')},{label}" for patient, path, label in rows]
    data.write_text("\n".join(["patient_id,image,split,a", *lines]))
    command = (*STAGES[request.param], "--data.path", data if request.param == "classify" else pairs_folder)
    done = call(*command, "--run-dir", "straight", cwd=folder)  # here, so that forks have all imports
    assert done.returncode == 0, done.stderr
    begun = time.monotonic()
    count = folder / "operations"
    before = functools.partial(die_before, count, None)
    assert (
        outcome(start(*command, "--run-dir", "counted", cwd=folder, before=before), cwd=folder).returncode
        == 0
    )
    took = time.monotonic() - begun
    return request.param, command, folder / "straight", took, count.stat().st_size


def die_before(count: Path, operation: int | None) -> None:
    """Have this process kill itself before its n-th operation that changes a file, each a byte of `count`."""
    os.setsid()
    log, left = os.open(count, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), operation

    def audit(event, arguments):
        nonlocal left
        if changes(event, arguments):
            os.write(log, b".")
            if left is not None:
                left -= 1
                if left <= 0:
                    os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(audit)


def changes(event: str, arguments: tuple) -> bool:
    if event == "open":
        return isinstance(arguments[2], int) and bool(arguments[2] & (os.O_WRONLY | os.O_RDWR))
    return event in ("os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.link", "os.chmod")


def assert_ends_alike(name, command, folder, straight):
    """Resume what was killed in `folder`, or begin anew where nothing was saved; it ends in the same bits."""
    run = folder / "killed"
    resumed = (command[0], "--resume", "killed")
    again = resumed if list_checkpoints(RunDir(run)) else (*command, "--run-dir", "killed", "--overwrite")
    if again is not resumed:
        shutil.rmtree(run, ignore_errors=True)
    done = call_forked(*again, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert (run / "metrics.jsonl").read_text() == (straight / "metrics.jsonl").read_text()
    ours, expected = (load_file(path / KEPT[name] / "model.safetensors") for path in (run, straight))
    assert all(ours[key].equal(expected[key]) for key in expected)
    assert not [path for path in run.rglob("*") if path.name.startswith((".part-", ".before-"))]
    shutil.rmtree(run)


def test_runs_killed_at_random_moments_end_in_the_same_bits(stage, tmp_path):
    name, command, straight, took, _ = stage
    moments = random.Random(0)
    for _ in range(KILLS):
        child = start(*command, "--run-dir", "killed", cwd=tmp_path)
        time.sleep(moments.uniform(0.1, 1) * took)
        os.kill(child, signal.SIGKILL)
        assert outcome(child, cwd=tmp_path).returncode in (-signal.SIGKILL, 0)
        assert_ends_alike(name, command, tmp_path, straight)


def test_runs_killed_before_a_file_operation_end_in_the_same_bits(stage, tmp_path):
    name, command, straight, _, operations = stage
    moments = random.Random(1)
    for _ in range(KILLS):
        before = functools.partial(die_before, tmp_path / "count", moments.randint(1, operations))
        child = start(*command, "--run-dir", "killed", cwd=tmp_path, before=before)
        assert outcome(child, cwd=tmp_path).returncode == -signal.SIGKILL
        assert_ends_alike(name, command, tmp_path, straight)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP])
def test_preempted_runs_save_at_the_step_they_reached(tmp_path, pairs_folder, number):
    """SIGTERM comes to the whole group, loader processes included."""
    moments = random.Random(int(number))
    options = (*MICRO, "--epochs", "1000", "--data.workers", "2", "--log-every", "1000")
    call("gan.pretrain", *options, "--max-steps", "1", "--data.path", pairs_folder, cwd=tmp_path)
    for attempt in range(PREEMPTIONS):
        run = RunDir(tmp_path / f"run-{attempt}")
        command = ("gan.pretrain", *options, "--data.path", pairs_folder, "--run-dir", run.path)
        child = start(*command, cwd=tmp_path)
        while not list_checkpoints(run):
            assert os.waitpid(child, os.WNOHANG) == (0, 0)
            time.sleep(0.01)
        time.sleep(moments.uniform(0, 0.5))
        (os.killpg if number == signal.SIGTERM else os.kill)(child, number)
        done = outcome(child, cwd=tmp_path)
        assert done.returncode == 130, done.stderr
        (step,) = re.findall(r"stopped at step (\d+) and saved", done.stderr)
        assert list_checkpoints(run)[-1].name == f"step_{int(step):08d}"
        with pytest.raises(ProcessLookupError):  # nor has it left a process behind
            os.killpg(child, 0)
        shutil.rmtree(run.path)
