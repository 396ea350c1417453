"""Whole runs, by the commands a user types; in processes of their own where those prove something."""

import itertools
import json
import math
import os
import pkgutil
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from gan.run.checkpoint import list_checkpoints
from gan.run.directory import RunDir
from networks import BottleneckEncoder, LongitudinalMIMModelBig
from tests.calling import call
from tests.forked import call_in_ranks
from tests.micro import ADVERSARIAL, MICRO, MICRO_ADVERSARIAL, PRETRAIN, command_environment, run, write_pairs
from tests.stopping import signal_after

ADVERSARIAL_STEP = "gan.adversarial.stage.adversarial_step"
SAVE = "accelerate.Accelerator.save_state"
"""When it returns, a checkpoint is on the disk and not yet in its place."""


def lines(path: Path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_pretraining_leaves_what_the_next_stage_and_a_user_need(workplace):
    folder = workplace / "runs" / "pretrain"
    assert sorted(path.name for path in (folder / "samples").iterdir()) == [
        "epoch_0001.png",
        "epoch_0002.png",
    ]
    assert (folder / "curves.png").stat().st_size > 5000
    assert list((folder / "tensorboard").iterdir())
    encoder = BottleneckEncoder.from_pretrained(folder / "encoder")
    assert encoder(torch.rand(1, 1, 32, 32)).shape == (1, 8, 2, 2)
    test = lines(folder / "metrics.jsonl")[-1]
    assert test["split"] == "test"
    assert {"mae", "visible_mean", "interpolation"} <= set(test)


def test_adversarial_training_writes_the_numbers_the_pictures_and_the_generator(workplace):
    folder = workplace / "runs" / "adversarial"
    assert len(list((folder / "samples").iterdir())) == 3
    numbers = lines(folder / "metrics.jsonl")
    test = numbers[-1]
    measures = {"auroc", "average_precision", "mae", "psnr", "ssim"}
    assert test["split"] == "test"
    assert measures <= set(test)
    assert measures <= set(test["empty"])
    assert measures <= set(test["absdiff"])
    assert test["empty"]["auroc"] == pytest.approx(0.5)
    assert isinstance(test["findings"], dict)
    train = next(line for line in numbers if line["split"] == "train")
    assert {"l1", "perceptual", "adversarial", "discriminator", "logits_real", "logits_fake"} <= set(train)
    assert train["weights"]["l1"] > 0
    model = LongitudinalMIMModelBig.from_pretrained(folder / "generator")
    assert model(torch.rand(2, 1, 40, 36), torch.rand(2, 1, 40, 36)).shape == (2, 1, 40, 36)


def test_patients_are_split_once_for_both_stages(workplace):
    tables = [(workplace / "runs" / stage / "split.csv").read_text() for stage in ("pretrain", "adversarial")]
    assert tables[0] == tables[1]
    rows = [row.split(",") for row in tables[0].splitlines()[1:]]
    assert len({patient for patient, _ in rows}) == len(rows) == 8
    assert {split for _, split in rows} == {"train", "val", "test"}


def test_a_second_run_takes_the_next_free_directory(workplace, tmp_path, pairs_folder):
    shutil.copytree(workplace / "runs" / "pretrain", tmp_path / "runs" / "pretrain")
    before = contents(tmp_path / "runs" / "pretrain")
    done = call("gan.pretrain", *PRETRAIN, "--data.path", pairs_folder, "--max-steps", "1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("run directory: runs/pretrain-2\n")
    assert contents(tmp_path / "runs" / "pretrain") == before


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_config_yaml_repeats_the_run_to_the_bit(workplace, tmp_path):
    first = workplace / "runs" / "adversarial"
    done = call(
        "gan.adversarial",
        *("--config", first / "config.yaml"),
        *("--pretrained", workplace / "runs" / "pretrain"),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    again = tmp_path / "runs" / "adversarial"
    assert (again / "metrics.jsonl").read_text() == (first / "metrics.jsonl").read_text()
    assert_equal_tensors(load_file(again / "generator" / "model.safetensors"), first)


def assert_equal_tensors(tensors, reference: Path):
    expected = load_file(reference / "generator" / "model.safetensors")
    assert set(tensors) == set(expected)
    assert all(torch.equal(tensors[name], expected[name]) for name in expected)


def stopped_in_save(save, module, *options, cwd):
    """Run a command that gets a signal while it writes checkpoint number `save`; the step it stopped at."""
    return stopped_after(SAVE, save, module, *options, cwd=cwd)


def stopped_after(function, times, module, *options, cwd, number=signal.SIGINT):
    """Run a command that gets a signal when a function has returned for the n-th time; where it stopped."""
    with pytest.MonkeyPatch.context() as patch:
        signal_after(patch, number, function, times)
        done = call(module, *options, cwd=cwd)
    return stopped_at(done)


def stopped_at(done):
    assert done.returncode == 130, done.stderr
    assert "Traceback" not in done.stderr
    (step,) = re.findall(r"stopped at step (\d+) and saved; continue with --resume", done.stderr)
    return int(step)


@pytest.mark.parametrize(
    ("number", "function", "times", "every"),
    [(signal.SIGINT, ADVERSARIAL_STEP, 3, 100), (signal.SIGKILL, SAVE, 4, 1)],
)
def test_a_stopped_and_resumed_run_equals_the_uninterrupted_one(
    workplace, tmp_path, pairs_folder, number, function, times, every
):
    """SIGINT saves where it is; SIGKILL falls back to the newest checkpoint; both end in the same bits.

    A real process each. It is killed at the end of an epoch, with the log ahead of the newest checkpoint.
    """
    last = 3
    options = [*ADVERSARIAL, "--data.path", pairs_folder, "--pretrained", workplace / "runs" / "pretrain"]
    options += ["--checkpoint-every", every, "--keep-checkpoints", "3"]
    stopped = run("tests.stopping", int(number), function, times, "gan.adversarial", *options, cwd=tmp_path)
    if number == signal.SIGINT:
        assert stopped_at(stopped) == last
        assert "continue with --resume runs/adversarial" in stopped.stderr
    else:
        assert stopped.returncode == -number, stopped.stderr
    folder, reference = RunDir(tmp_path / "runs" / "adversarial"), workplace / "runs" / "adversarial"
    assert list_checkpoints(folder)[-1].name == f"step_{last:08d}"
    assert (lines(folder.metrics)[-1]["step"] > last) == (number == signal.SIGKILL)

    done = call("gan.adversarial", "--resume", "runs/adversarial", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"resumed from step {last}" in done.stdout
    assert folder.metrics.read_text() == (reference / "metrics.jsonl").read_text()
    assert_equal_tensors(load_file(folder.generator / "model.safetensors"), reference)


def test_every_option_that_touches_the_state_resumes_to_the_bit(workplace, tmp_path):
    """Signed maps of wide images, bf16, accumulation, loader processes, frozen encoder, late D, plug-in.

    Stopped twice: before the encoder is free and D plays, and in the middle of an epoch in which they are.
    """
    data = write_pairs(tmp_path / "wide", shape=(24, 40))
    options = [
        *MICRO_ADVERSARIAL,
        *("--epochs", "3", "--data.path", data, "--data.change", "signed", "--data.workers", "1"),
        *("--mixed-precision", "bf16", "--gradient-accumulation", "2", "--data.batch-size", "2"),
        *("--freeze-encoder-epochs", "1", "--adversarial-start", "1", "--disc.num-scales", "2"),
        *("--extra-loss", "tests.gan.plugins:total_variation=0.1", "tests.gan.plugins:Learned=0.1"),
        *("--checkpoint-every", "1"),
        *("--pretrained", workplace / "runs" / "pretrain"),
    ]
    straight = call("gan.adversarial", *options, "--run-dir", "straight", cwd=tmp_path)
    assert straight.returncode == 0, straight.stderr
    numbers = lines(tmp_path / "straight" / "metrics.jsonl")
    late = [line for line in numbers if line["split"] == "train" and "adversarial" in line]
    assert late
    assert not [line for line in late if line["epoch"] == 1]
    assert all("extra/total_variation" in line for line in numbers if line["split"] == "train")

    assert stopped_in_save(1, "gan.adversarial", *options, "--run-dir", "stopped", cwd=tmp_path) == 2
    assert stopped_after(ADVERSARIAL_STEP, 3, "gan.adversarial", "--resume", "stopped", cwd=tmp_path) == 5
    done = call("gan.adversarial", "--resume", "stopped", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    folder = RunDir(tmp_path / "stopped")
    assert folder.metrics.read_text() == (tmp_path / "straight" / "metrics.jsonl").read_text()
    assert_equal_tensors(load_file(folder.generator / "model.safetensors"), tmp_path / "straight")


STEP = "gan.pretrain.masked.MaskedStage.step"


@pytest.mark.parametrize(
    ("number", "function", "times", "step"),
    [
        (signal.SIGTERM, STEP, 4, 4),
        (signal.SIGUSR1, STEP, 6, 6),  # the last of the run
        (signal.SIGHUP, SAVE, 2, 6),  # after it
    ],
)
def test_a_stopped_pretraining_run_equals_the_uninterrupted_one(
    workplace, tmp_path, pairs_folder, number, function, times, step
):
    """By the signals of schedulers, this time, which no line of the log has to come after."""
    options = [*PRETRAIN, "--data.path", pairs_folder, "--checkpoint-every", "100", "--log-every", "100"]
    stopped = stopped_after(function, times, "gan.pretrain", *options, cwd=tmp_path, number=number)
    assert stopped == step
    assert list_checkpoints(RunDir(tmp_path / "runs" / "pretrain"))[-1].name == f"step_{step:08d}"
    done = call("gan.pretrain", "--resume", "runs/pretrain", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    folder, reference = RunDir(tmp_path / "runs" / "pretrain"), workplace / "runs" / "pretrain"
    assert lines(folder.metrics)[-1] == lines(reference / "metrics.jsonl")[-1]
    ours, expected = (load_file(path / "encoder" / "model.safetensors") for path in (folder.path, reference))
    assert all(torch.equal(ours[name], expected[name]) for name in expected)


def test_files_that_changed_are_said_at_the_end_of_an_epoch_and_refused_when_it_is_resumed(
    tmp_path, pairs_folder, monkeypatch
):
    data = tmp_path / "data"
    shutil.copytree(pairs_folder, data)
    changed = data / "followup" / "p0_0.png"
    kept = changed.read_bytes()

    def replace_one(step, *args):
        changed.write_bytes((data / "followup" / "p1_0.png").read_bytes())
        return step(*args)

    step = pkgutil.resolve_name(STEP)
    with monkeypatch.context() as patch:
        patch.setattr(STEP, lambda *args: replace_one(step, *args))
        options = [*PRETRAIN, "--epochs", "1", "--data.path", data, "--deterministic"]
        done = call("gan.pretrain", *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    named = f"1 of the 32 files of the data changed ({changed})"
    assert f"WARNING: {named} while the run was reading it" in done.stdout

    go_on = ["gan.pretrain", "--resume", "runs/pretrain", "--epochs", "2"]
    done = call(*go_on, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].endswith(
        f"--resume runs/pretrain: {named} since the run began; put back what they were, or start a new run"
    )
    changed.write_bytes(kept)
    data.rename(tmp_path / "moved")
    done = call(*go_on, "--data.path", "moved", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    starts = json.loads((tmp_path / "runs" / "pretrain" / "starts.json").read_text())
    assert [start["step"] for start in starts] == [0, 3]
    assert starts[0]["files"] == starts[1]["files"]
    assert starts[0]["deterministic"]


LOSS = "gan.pretrain.masked.masked_l1_loss"


def test_a_run_that_leaves_a_step_out_resumes_to_the_bit(tmp_path, pairs_folder, monkeypatch):
    """Stopped after that step and before the line of the log that it is missing from."""
    options = [*PRETRAIN, "--data.path", pairs_folder, "--skip-nonfinite", "2", "--log-every", "3"]
    loss = pkgutil.resolve_name(LOSS)

    def call_with_nan_in(times, *args):
        calls = itertools.count(1)
        with monkeypatch.context() as patch:
            patch.setattr(LOSS, lambda *given: loss(*given) * (math.nan if next(calls) == times else 1))
            return call(*args, cwd=tmp_path)

    done = call_with_nan_in(2, "gan.pretrain", *options, "--run-dir", "straight")
    assert done.returncode == 0, done.stderr
    assert "WARNING: the gradient is not finite at step 2, samples p" in done.stdout
    assert "(1 so far, --skip-nonfinite 2)" in done.stdout
    numbers = lines(tmp_path / "straight" / "metrics.jsonl")
    assert {line["skipped_steps"] for line in numbers if line["split"] == "train"} == {1}

    with monkeypatch.context() as patch:
        signal_after(patch, signal.SIGTERM, STEP, 2)
        stopped = call_with_nan_in(2, "gan.pretrain", *options, "--run-dir", "stopped")
    assert stopped_at(stopped) == 2
    done = call("gan.pretrain", "--resume", "stopped", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    ours, expected = (tmp_path / name for name in ("stopped", "straight"))
    assert (ours / "metrics.jsonl").read_text() == (expected / "metrics.jsonl").read_text()
    weights = [(path / "encoder" / "model.safetensors").read_bytes() for path in (ours, expected)]
    assert weights[0] == weights[1]

    done = call_with_nan_in(2, "gan.pretrain", *options, "--skip-nonfinite", "0", "--run-dir", "strict")
    assert done.returncode == 2
    assert "masked_l1 is not finite at step 2" in done.stderr


@pytest.fixture(scope="module")
def labelled(tmp_path_factory, pairs_folder):
    """A manifest of the followups, with a label that is known, uncertain or unknown."""
    manifest = tmp_path_factory.mktemp("labelled") / "images.csv"
    rows = ["patient_id,image,split,nodule,device"]
    for patient in range(8):
        split = {6: "val", 7: "test"}.get(patient, "train")
        for pair in range(2):
            image = pairs_folder / "followup" / f"p{patient}_{pair}.png"
            rows.append(f"p{patient},{image},{split},{pair},{('', '-1', '1.0', '0')[(patient + pair) % 4]}")
    manifest.write_text("\n".join(rows))
    return manifest


@pytest.mark.parametrize(
    ("module", "options", "kept"),
    [
        ("gan.pretrain", ["--method", "contrastive"], "encoder"),
        ("gan.classify", ["--data.labels", "nodule", "device"], "classifier"),
    ],
)
def test_the_other_stages_resume_to_the_bit(workplace, tmp_path, labelled, module, options, kept):
    options = [*MICRO, "--epochs", "2", "--checkpoint-every", "1", "--data.path", labelled, *options]
    if module == "gan.classify":
        options += ["--pretrained", workplace / "runs" / "pretrain"]
    start = run if module == "gan.classify" else call
    straight = start(module, *options, "--run-dir", "straight", cwd=tmp_path)
    assert straight.returncode == 0, straight.stderr
    numbers = lines(tmp_path / "straight" / "metrics.jsonl")[-1]
    if module == "gan.classify":
        assert numbers["labels"]["nodule"] == {"auroc": numbers["auroc"], "positives": 1, "known": 2}
        assert numbers["labels"]["device"]["known"] == 1
    else:
        assert numbers["images"] == 2
        assert {"recall_at_1", "recall_at_5"} <= set(numbers) & set(numbers["untrained"])
    assert len(list((tmp_path / "straight" / "samples").iterdir())) == 2

    folder = RunDir(tmp_path / "stopped")
    assert stopped_in_save(1, module, *options, "--run-dir", "stopped", cwd=tmp_path) == 2
    done = call(module, "--resume", "stopped", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert folder.metrics.read_text() == (tmp_path / "straight" / "metrics.jsonl").read_text()
    ours, expected = (
        load_file(path / kept / "model.safetensors") for path in (folder.path, tmp_path / "straight")
    )
    assert all(torch.equal(ours[name], expected[name]) for name in expected)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory, pairs_folder):
    out = tmp_path_factory.mktemp("prepared") / "out"
    # Without alignments, which are found more finely there than where files are read.
    options = ("--size", "native", "--workers", "1", "--no-align")
    done = call("data.prepare", pairs_folder, out, *options, cwd=out.parent)
    assert done.returncode == 0, done.stderr
    assert f"train on it with --data.prepared {out}" in done.stdout
    return out


def test_prepared_data_train_the_same_networks_as_their_files(workplace, tmp_path, prepared):
    done = call(
        "gan.adversarial",
        *(*ADVERSARIAL, "--data.prepared", prepared),
        *("--pretrained", workplace / "runs" / "pretrain"),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    reference = workplace / "runs" / "adversarial"
    ours = tmp_path / "runs" / "adversarial"
    assert (ours / "metrics.jsonl").read_text() == (reference / "metrics.jsonl").read_text()
    assert (ours / "split.csv").read_text() == (reference / "split.csv").read_text()
    assert "waiting for data took" in done.stdout


def test_a_run_on_streamed_data_resumes_to_the_bit(workplace, tmp_path, prepared):
    options = [
        *(*ADVERSARIAL, "--data.prepared", f"file://{prepared}", "--epochs", "3"),
        *("--pretrained", workplace / "runs" / "pretrain"),
        *("--checkpoint-every", "1"),
    ]
    straight = call("gan.adversarial", *options, "--run-dir", "straight", cwd=tmp_path)
    assert straight.returncode == 0, straight.stderr
    assert "unknown (streamed) train" in straight.stdout
    told = (ADVERSARIAL_STEP, 2, "gan.adversarial", *options)
    assert stopped_after(*told, "--run-dir", "stopped", cwd=tmp_path) == 2
    folder = RunDir(tmp_path / "stopped")
    done = call("gan.adversarial", "--resume", "stopped", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert folder.metrics.read_text() == (tmp_path / "straight" / "metrics.jsonl").read_text()


@pytest.mark.parametrize("store", ["{}", "file://{}"])
def test_a_run_on_a_mix_names_its_sources_and_resumes_to_the_bit(tmp_path, pairs_folder, prepared, store):
    """Of files and of a store, which may be streamed; stopped in the middle of the second epoch."""
    sources = [str(pairs_folder), f"prepared:{store.format(prepared)}"]
    options = [
        *(*ADVERSARIAL, "--epochs", "2", "--data.mix", f"{sources[0]}=1", f"{sources[1]}=3"),
        *("--pretrained", "none", "--weights.perceptual", "0"),
        *("--data.batch-size", "2", "--checkpoint-every", "8"),
    ]
    straight = call("gan.adversarial", *options, "--run-dir", "straight", cwd=tmp_path)
    assert straight.returncode == 0, straight.stderr
    numbers = lines(tmp_path / "straight" / "metrics.jsonl")
    assert numbers[-1]["step"] == 12
    for line in (line for line in numbers if line["split"] != "train"):
        assert list(line["sources"]) == sources
        reports = [line["sources"][name] for name in sources]
        assert reports[0] == reports[1]  # of the same patients
        assert line["average_precision"] == reports[0]["average_precision"]
    for number, name in enumerate(sources, start=1):
        assert f"{reports[0]['pairs']} pairs of " in straight.stdout
        assert f" held-out patients of {name}\n" in straight.stdout
        assert (tmp_path / "straight" / "evaluation" / str(number) / "summary.json").exists()
    assert f"{sources[1]} " in straight.stdout.partition("samples of an epoch: ")[2].splitlines()[0]

    assert stopped_in_save(2, "gan.adversarial", *options, "--run-dir", "stopped", cwd=tmp_path) == 9
    done = call("gan.adversarial", "--resume", "stopped", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    folder = RunDir(tmp_path / "stopped")
    assert folder.metrics.read_text() == (tmp_path / "straight" / "metrics.jsonl").read_text()
    assert_equal_tensors(load_file(folder.generator / "model.safetensors"), tmp_path / "straight")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a POSIX system")
def test_two_processes_share_a_stream_and_no_other_number_goes_on_with_it(tmp_path, prepared):
    options = [*MICRO, "--epochs", "2", "--data.prepared", f"file://{prepared}", "--data.batch-size", "2"]
    done = call_in_ranks(2, "gan.pretrain", *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert lines(tmp_path / "runs" / "pretrain" / "metrics.jsonl")[-1]["split"] == "test"
    done = call("gan.pretrain", "--resume", "runs/pretrain", "--epochs", "3", cwd=tmp_path)
    assert done.returncode == 2
    assert "the number of processes, which share a stream, was 2 and is 1 now" in done.stderr


def test_unreadable_files_are_skipped_counted_and_named(workplace, tmp_path, pairs_folder):
    data = tmp_path / "data"
    shutil.copytree(pairs_folder, data)
    rows = (workplace / "runs" / "adversarial" / "split.csv").read_text().splitlines()[1:]
    patient_of = {split: patient for patient, split in (row.split(",") for row in rows)}
    bad = [data / "followup" / f"{patient_of[split]}_0.png" for split in ("train", "val", "test")]
    for path in bad:
        path.write_bytes(b"no picture")
    done = call(
        "gan.adversarial",
        *(*ADVERSARIAL, "--data.path", data, "--data.on-error", "skip"),
        *("--pretrained", workplace / "runs" / "pretrain"),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert "skipped: 2 unreadable, 2 so far" in done.stdout
    assert "skipped: 1 unreadable, 3 so far" in done.stdout
    folder = tmp_path / "runs" / "adversarial"
    header, *named = (folder / "skipped.csv").read_text().splitlines()
    assert header == "reason"
    assert len(named) == 3
    assert all(any(str(path) in line for line in named) for path in bad)
    reference = lines(workplace / "runs" / "adversarial" / "metrics.jsonl")
    assert lines(folder / "metrics.jsonl")[-1]["pairs"] == reference[-1]["pairs"] - 1
    assert lines(folder / "metrics.jsonl")[-1]["step"] == reference[-1]["step"]


def test_networks_of_the_users_own_run_by_command(tmp_path, pairs_folder):
    done = call(
        "gan.adversarial",
        *MICRO_ADVERSARIAL,
        *(
            "--max-steps",
            "2",
            "--data.path",
            pairs_folder,
            "--pretrained",
            "none",
            "--weights.perceptual",
            "0",
        ),
        *("--generator", "tests.gan.plugins:Generator", "--discriminator", "tests.gan.plugins:Discriminator"),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    args = [pairs_folder / kind / "p0_0.png" for kind in ("baseline", "followup")]
    args = ["runs/adversarial", *args, "-o", "map.npy", "--cpu"]
    done = call("gan.predict", *args, cwd=tmp_path)
    assert done.returncode == 2
    assert "wants code of its own to be run (tests.gan.plugins:Generator)" in done.stderr
    done = call("gan.predict", *args, "--trust-remote-code", cwd=tmp_path)
    assert done.returncode == 0, done.stderr

    # What its user started goes on wherever it lies; what comes from elsewhere asks first.
    (tmp_path / "runs" / "adversarial").rename(tmp_path / "moved")
    go_on = ["gan.adversarial", "--resume", "moved", "--max-steps", "3"]
    assert call(*go_on, cwd=tmp_path).returncode == 0
    (tmp_path / "moved" / ".origin").write_text("0" * 32)
    done = call(*go_on, cwd=tmp_path)
    assert done.returncode == 2
    assert "--resume moved was not started here and wants code of its own to be run" in done.stderr
    assert call(*go_on, "--trust-remote-code", cwd=tmp_path).returncode == 0


def test_prediction_comes_in_the_size_of_the_followup(workplace, tmp_path):
    import numpy as np
    from skimage.io import imread, imsave

    rng = np.random.default_rng(0)
    for name in ("baseline", "followup"):
        imsave(
            tmp_path / f"{name}.png", rng.integers(0, 65535, (50, 70), dtype=np.uint16), check_contrast=False
        )
    run_folder = workplace / "runs" / "adversarial"
    for start, output in ((run, "map.png"), (call, "map.npy")):
        done = start(
            "gan.predict", run_folder, "baseline.png", "followup.png", "-o", output, "--cpu", cwd=tmp_path
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.split() == [output, "map_overlay.png", "map_findings.csv"]
    stored, exact = imread(tmp_path / "map.png"), np.load(tmp_path / "map.npy")
    assert stored.dtype == np.uint16
    assert stored.shape == exact.shape == (50, 70)
    np.testing.assert_allclose(stored / 65535, exact, atol=1e-5)
    assert imread(tmp_path / "map_overlay.png").ndim == 3


def test_a_folder_is_predicted_by_several_models_and_processes_and_gone_on_with(
    workplace, tmp_path, pairs_folder
):
    shutil.copytree(workplace / "runs" / "adversarial" / "generator", tmp_path / "alone")
    models = [workplace / "runs" / "adversarial", "alone"]
    options = ["-o", "out", "--cpu", "--workers", "2", "--passes", "1", "--format", "nii.gz"]
    done = call("gan.predict", *models, pairs_folder, *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "maps of 16 pairs" in done.stdout
    assert "threshold: 0.05, for the model's run names none" in done.stderr  # alone left its run
    for kind in ("maps", "uncertainty"):
        assert len(list((tmp_path / "out" / kind).glob("*.nii.gz"))) == 16
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "maps").iterdir()}
    (tmp_path / "out" / "maps" / "p0_0.nii.gz").unlink()
    assert call("gan.predict", *models, pairs_folder, *options, cwd=tmp_path).returncode == 0
    after = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "maps").iterdir()}
    assert [path.name for path in before if before[path] != after[path]] == ["p0_0.nii.gz"]
    done = call("gan.predict", models[0], pairs_folder, *options, cwd=tmp_path)
    assert done.returncode == 2
    assert "made with other settings (models" in done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="torchrun needs a POSIX system")
def test_all_processes_of_a_job_are_told_to_stop_and_it_saves(tmp_path, pairs_folder):
    """As SLURM does: launcher, two processes and their loader processes; torchrun passes the signal on."""
    options = [*MICRO, "--epochs", "1000", "--data.path", pairs_folder, "--data.workers", "1"]
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m")
    with (tmp_path / "log").open("w") as log:
        job = subprocess.Popen(
            [sys.executable, *launcher, "gan.pretrain", *map(str, options), "--log-every", "10000"],
            **{"cwd": tmp_path, "env": command_environment(), "stdout": log, "stderr": log},
            start_new_session=True,
        )
        folder = RunDir(tmp_path / "runs" / "pretrain")
        while not list_checkpoints(folder):
            assert job.poll() is None, (tmp_path / "log").read_text()
            time.sleep(0.05)
        os.killpg(job.pid, signal.SIGTERM)
        job.wait(120)
    said = (tmp_path / "log").read_text()
    (step,) = set(re.findall(r"stopped at step (\d+) and saved", said))
    assert list_checkpoints(folder)[-1].name == f"step_{int(step):08d}"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a POSIX system")
def test_two_processes_make_one_run(workplace, tmp_path, pairs_folder):
    """Twice the devices: half the steps an epoch, and one set of files."""
    options = [*MICRO_ADVERSARIAL, "--epochs", "1", "--data.path", pairs_folder]
    options += ["--pretrained", workplace / "runs" / "pretrain"]
    done = call_in_ranks(2, "gan.adversarial", *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("run directory:") == 1
    folder = tmp_path / "runs" / "adversarial"
    test = lines(folder / "metrics.jsonl")[-1]
    reference = lines(workplace / "runs" / "adversarial" / "metrics.jsonl")
    steps_an_epoch = next(line["step"] for line in reference if line["split"] == "val")
    assert test["step"] == -(-steps_an_epoch // 2)
    assert test["pairs"] == reference[-1]["pairs"]
    assert test["absdiff"] == pytest.approx(reference[-1]["absdiff"])
