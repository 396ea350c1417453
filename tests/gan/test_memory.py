"""Long runs grow by nothing: resident memory, open files, threads; of 3,000 steps with `STEPS=3000`."""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import pytest

from tests.micro import MICRO, MICRO_ADVERSARIAL, command_environment, write_pairs
from tests.shared import made_once

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux"),
]
STEPS = int(os.environ.get("STEPS", "600"))
SETTLED = STEPS // 10
"""Steps after which everything has happened once, an epoch's evaluation included."""
STAGES = {
    "masked": ["gan.pretrain", *MICRO, "--mask.patch-size", "8"],
    "contrastive": ["gan.pretrain", *MICRO, "--method", "contrastive"],
    "adversarial": [
        *("gan.adversarial", *MICRO_ADVERSARIAL, "--pretrained", "none", "--weights.perceptual", "0")
    ],
    "classify": ["gan.classify", *MICRO, "--pretrained", "none", "--data.labels", "a"],
}


@dataclass(frozen=True)
class Sample:
    """What the training process holds at a step."""

    step: int
    mebibytes: float
    files: int
    threads: int


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Some fifty steps an epoch."""

    def write(folder):
        pairs = write_pairs(folder / "pairs", patients=25, pairs=10)
        rows = ["patient_id,image,a"]
        for number, path in enumerate(sorted((pairs / "followup").iterdir())):
            rows.append(f"{path.name.partition('_')[0]},{path},{number % 2}")
        (folder / "images.csv").write_text("\n".join(rows))

    return made_once(tmp_path_factory, "many", write)


def step_of(run):
    """The newest step that is in the log."""
    try:
        return json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])["step"]
    except (OSError, IndexError, ValueError):
        return 0


def sample(process, step):
    place = Path(f"/proc/{process}")
    lines = (line.partition(":") for line in (place / "status").read_text().splitlines())
    status = {name: value.split() for name, _, value in lines}
    memory, threads = int(status["VmRSS"][0]) / 1024, int(status["Threads"][0])
    return Sample(step, memory, len(list((place / "fd").iterdir())), threads)


def watch(command, cwd):
    """Samples of a whole run, several a second."""
    argv = [sys.executable, "-m", *map(str, command), "--run-dir", "run"]
    found = []
    with (cwd / "output").open("w") as output:
        process = subprocess.Popen(argv, cwd=cwd, env=command_environment(), stdout=output, stderr=output)
        while process.poll() is None:
            try:
                found.append(sample(process.pid, step_of(cwd / "run")))
            except (OSError, KeyError):  # it ends just now
                break
            time.sleep(0.2)
        assert process.wait() == 0, (cwd / "output").read_text()
    return [one for one in found if SETTLED <= one.step < STEPS]  # the final numbers come after that


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("stage", STAGES)
def test_a_long_run_grows_by_nothing(tmp_path, folder, stage, workers):
    data = folder / ("images.csv" if stage == "classify" else "pairs")
    options = ("--epochs", "100000", "--max-steps", STEPS, "--log-every", "10", "--data.workers", workers)
    found = watch([*STAGES[stage], *options, "--data.path", data], tmp_path)
    early = [one for one in found if one.step < 2 * SETTLED]
    late = [one for one in found if one.step >= STEPS - SETTLED]
    before, after = (
        {name: median(getattr(one, name) for one in part) for name in ("mebibytes", "files", "threads")}
        for part in (early, late)
    )
    print(f"{stage}, {workers} workers: {before} -> {after}")
    assert after["mebibytes"] < 1.01 * before["mebibytes"]
    assert (after["files"], after["threads"]) == (before["files"], before["threads"])
