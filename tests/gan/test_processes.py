"""Several processes make the run that one makes on the same steps, from the start or a checkpoint on."""

import json
import os
import shutil

import numpy as np
import pytest
from skimage.io import imread, imsave

from gan.run.directory import RunDir
from tests.calling import call
from tests.forked import call_in_ranks
from tests.micro import MICRO, MICRO_ADVERSARIAL, write_pairs
from tests.shared import made_once

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a POSIX system")

STAGES = {
    "masked": ["gan.pretrain", *MICRO, "--mask.patch-size", "8"],
    "contrastive": ["gan.pretrain", *MICRO, "--method", "contrastive", "--contrast.temperature", "0.5"],
    # Where real and fake pull D's last bias against each other with equal force, as with a hinge before any
    # logit has passed it, Adam makes steps of the rounding of no gradient.
    "adversarial": [
        *("gan.adversarial", *MICRO_ADVERSARIAL, "--pretrained", "none", "--weights.perceptual", "0"),
        *("--loss.adversarial", "least_squares"),
    ],
    "classify": ["gan.classify", *MICRO, "--pretrained", "none", "--data.labels", "a", "b"],
}
STEPS, HALF = 20, 10
TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Thirty-three training pairs of many shapes, so with much padding, and labels of their followups."""

    def write(folder):
        pairs = write_pairs(folder / "pairs", patients=13, pairs=3)
        rows = ["patient_id,image,split,a,b"]
        for number, path in enumerate(sorted((pairs / "followup").iterdir())):
            shape = [(24, 40), (40, 30), (32, 32), (40, 16)][number % 4]
            for role in ("baseline", "followup", "target"):
                image = np.resize(imread(pairs / role / path.name), shape)
                imsave(pairs / role / path.name, image, check_contrast=False)
            patient = path.name.partition("_")[0]
            split = {"p11": "val", "p12": "test"}.get(patient, "train")
            labels = ("", "1", "0")[number % 3], ("1", "0", "", "0")[number % 4]
            rows.append(",".join([patient, str(path), split, *labels]))
        (folder / "images.csv").write_text("\n".join(rows))

    return made_once(tmp_path_factory, "shapes", write)


def options_of(stage, folder, *, batch_size, accumulation):
    return [
        *STAGES[stage],
        *("--data.path", folder / ("images.csv" if stage == "classify" else "pairs")),
        *("--max-steps", STEPS, "--epochs", "100", "--log-every", "1", "--data.augment.objects", "0.3"),
        *("--data.batch-size", batch_size, "--gradient-accumulation", accumulation),
        *("--checkpoint-every", HALF, "--keep-checkpoints", "100"),
    ]


def terms(run):
    """The training terms of every step."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return {line["step"]: line for line in lines if line["split"] == "train"}


def assert_close(run, reference):
    ours, expected = terms(run), terms(reference)
    assert list(ours) == list(expected) == list(range(1, STEPS + 1))
    for step, line in expected.items():
        numbers = {name: value for name, value in line.items() if isinstance(value, float)}
        numbers.pop("generator", None)  # the weighted sum: a hundred times the rounding of L1
        if "area" in numbers:  # a count of pixels, of which one may lie on the threshold
            assert ours[step]["area"] == pytest.approx(numbers.pop("area"), abs=1e-3), step
        found = {name: ours[step][name] for name in numbers}
        assert found == pytest.approx(numbers, rel=TOLERANCE, abs=TOLERANCE), step


def numbers_tested(run):
    """The numbers of the test patients."""
    line = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
    assert line["split"] == "test"
    return {name: value for name, value in line.items() if isinstance(value, float)}


def assert_judged_alike(run, copy):
    """A finished run, judged once more by two processes: to the bit, but for the order of sums."""
    shutil.copytree(run, copy)
    done = call_in_ranks(2, "gan.adversarial", "--resume", copy.name, cwd=copy.parent)
    assert done.returncode == 0, done.stderr
    ours, expected = numbers_tested(copy), numbers_tested(run)
    assert ours == pytest.approx(expected, rel=1e-7)
    for name in ("auroc", "average_precision"):
        assert ours[name] == expected[name]


def resume_at_half(run, copy):
    """A copy of a run that was cut off in the middle."""
    shutil.copytree(run, copy)
    for path in RunDir(copy).checkpoints.iterdir():
        if path.name != "best" and int(path.name.removeprefix("step_")) > HALF:
            shutil.rmtree(path)


SLOW = pytest.mark.slow
CASES = [
    pytest.param("masked", 1, marks=SLOW),
    pytest.param("masked", 2, marks=SLOW),
    pytest.param("contrastive", 1, marks=SLOW),
    pytest.param("contrastive", 2, marks=SLOW),
    pytest.param("adversarial", 1, marks=SLOW),
    ("adversarial", 2),
    pytest.param("classify", 1, marks=SLOW),
    pytest.param("classify", 2, marks=SLOW),
]


@pytest.mark.parametrize(("stage", "accumulation"), CASES)
def test_two_processes_make_the_run_of_one_and_either_goes_on_with_that_of_the_other(
    tmp_path, folder, stage, accumulation
):
    one, two = (options_of(stage, folder, batch_size=size, accumulation=accumulation) for size in (4, 2))
    done = call(*one, "--run-dir", "one", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    done = call_in_ranks(2, *two, "--run-dir", "two", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"processes: 2, {4 * accumulation} samples a step" in done.stdout
    assert_close(tmp_path / "two", tmp_path / "one")
    if stage == "adversarial":
        assert_judged_alike(tmp_path / "one", tmp_path / "judged")

    resume_at_half(tmp_path / "two", tmp_path / "resumed")
    done = call(STAGES[stage][0], "--resume", "resumed", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"resumed from step {HALF}" in done.stdout
    assert f"processes: 1, {4 * accumulation} samples a step" in done.stdout
    assert_close(tmp_path / "resumed", tmp_path / "one")


def test_a_step_that_the_processes_cannot_share_is_refused(tmp_path, folder):
    options = options_of("classify", folder, batch_size=3, accumulation=1)
    done = call(*options, "--max-steps", "2", "--run-dir", "run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    done = call_in_ranks(2, "gan.classify", "--resume", "run", "--max-steps", "4", cwd=tmp_path)
    assert done.returncode == 2
    assert "an optimiser step is of 3 samples, which 2 processes cannot share equally" in done.stderr
