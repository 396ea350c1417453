"""The command as a user types it: what it takes, what it writes, and what it says of mistakes."""

import csv
import json
import os
import shutil
from functools import partial

import pytest

from data.base.errors import UserError
from gan.evaluate.options import EvaluateConfig, free_folder, parse
from gan.measures.critic import critic_accuracy
from gan.run.generator import generator_place
from tests.calling import call
from tests.forked import call_in_ranks
from tests.micro import MICRO_ADVERSARIAL

WRITTEN = {"summary.json", "cases.csv", "froc.png", "reliability.png", "best.png", "worst.png"}
FAST = ("--cpu", "--replicates", "30", "--cases", "1")


@pytest.fixture
def place(workplace, tmp_path):
    """A directory with a finished run."""
    shutil.copytree(workplace / "runs", tmp_path / "runs")
    return tmp_path


def evaluate(place, *arguments):
    return call("gan.evaluate", *arguments, *FAST, cwd=place)


def cases_of(folder):
    with (folder / "cases.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def manifest(place, pairs_folder, *, columns=(), cells=lambda _: (), patients=8, target=True):
    """A manifest of test pairs."""
    roles = ("baseline", "followup", "target") if target else ("baseline", "followup")
    rows = [("patient_id", *roles, "split", *columns)]
    for patient in range(patients):
        files = [str(pairs_folder / role / f"p{patient}_0.png") for role in roles]
        rows.append((f"p{patient}", *files, "test", *cells(patient)))
    path = place / "pairs.csv"
    path.write_text("\n".join(",".join(row) for row in rows))
    return path


def test_a_run_is_judged_on_its_own_test_patients(place):
    done = evaluate(place, "runs/adversarial")
    assert done.returncode == 0, done.stderr
    folder = place / "runs" / "evaluate"
    assert {path.name for path in folder.iterdir()} >= WRITTEN
    summary = json.loads((folder / "summary.json").read_text())
    logged = json.loads((place / "runs/adversarial/metrics.jsonl").read_text().splitlines()[-1])
    ours = summary["methods"]["runs/adversarial"]
    for name in ("auroc", "average_precision", "mae", "psnr", "ssim"):
        assert ours[name]["value"] == pytest.approx(logged[name], rel=1e-5)
        assert summary["methods"]["absdiff"][name]["value"] == pytest.approx(
            logged["absdiff"][name], rel=1e-5
        )
    assert {"reversed_agreement", "exposed_agreement", "itself_area"} <= set(ours)
    assert set(summary["methods"]) == {"runs/adversarial", "empty", "absdiff", "registered"}
    assert len(cases_of(folder)) == summary["pairs"] == logged["pairs"]
    assert "average precision (AP)" in done.stdout
    assert "|followup - baseline|" in done.stdout


def test_the_end_of_training_writes_the_same_table(workplace):
    folder = workplace / "runs" / "adversarial" / "evaluation"
    summary = json.loads((folder / "summary.json").read_text())
    assert set(summary["methods"]) == {"model", "empty", "absdiff", "registered"}
    assert "sensitivity" in summary["methods"]["model"]
    assert len(cases_of(folder)) == summary["pairs"]


def test_two_runs_on_a_manifest_are_compared_and_broken_down(place, pairs_folder):
    shutil.copytree(place / "runs/adversarial/generator", place / "copy")
    path = manifest(place, pairs_folder, columns=("site", "age"), cells=lambda n: ("ab"[n % 2], str(30 + n)))
    options = ("--data.path", path, "--by", "site", "age", "size", "--out", "results")
    done = evaluate(place, "runs/adversarial", "copy", *options)
    assert done.returncode == 0, done.stderr
    summary = json.loads((place / "results" / "summary.json").read_text())
    assert (summary["pairs"], summary["patients"]) == (8, 8)
    assert set(summary["by"]["site"]) == {"a", "b"}
    assert len(summary["by"]["age"]) == 3
    assert summary["differences"]["runs/adversarial - copy"]["dice"] == {"value": 0, "low": 0, "high": 0}
    assert [row["site"] for row in cases_of(place / "results")] == list("abababab")
    assert "threshold: 0.05, for there is no validation pair" in done.stdout
    assert evaluate(place, "copy", "--data.path", path, "--out", "results").returncode == 2


def test_a_plain_unet_is_trained_and_judged_like_any_generator_signed(tmp_path, pairs_folder):
    options = ("--data.path", pairs_folder, "--data.change", "signed", "--max-steps", "1")
    unet = ("--generator", "networks:EarlyFusionUNet", "--pretrained", "none", "--weights.perceptual", "0")
    trained = call("gan.adversarial", *MICRO_ADVERSARIAL, *options, *unet, cwd=tmp_path)
    assert trained.returncode == 0, trained.stderr
    done = evaluate(tmp_path, "runs/adversarial/generator", "--data.path", pairs_folder)
    assert done.returncode == 0, done.stderr
    assert "AP, wrong sign is wrong" in done.stdout
    assert (tmp_path / "runs" / "evaluate" / "reliability.png").is_file()


def test_the_critic_says_how_real_the_maps_look(place, pairs_folder, monkeypatch):
    monkeypatch.setattr("gan.evaluate.realism.critic_accuracy", partial(critic_accuracy, steps=2))
    path = manifest(place, pairs_folder)
    done = evaluate(place, "runs/adversarial", "--data.path", path, "--critic")
    assert done.returncode == 0, done.stderr
    summary = json.loads((place / "runs" / "evaluate" / "summary.json").read_text())
    ours = summary["methods"]["runs/adversarial"]
    assert 0 <= ours["critic"]["value"] <= 1
    assert ours["spectral_distance"]["value"] > 0
    assert {"value"} == set(ours["checkerboard"]) == set(summary["truth"]["checkerboard"])
    assert "critic" not in summary["methods"]["empty"]
    assert "fresh critic's accuracy" in done.stdout
    path = manifest(place, pairs_folder, patients=3)
    done = evaluate(place, "runs/adversarial", "--data.path", path, "--critic")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "--critic: 3 patients whose change is known are too few" in done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a POSIX system")
def test_several_processes_say_what_one_says(place, pairs_folder, monkeypatch):
    """To the byte: batches, the last and smaller one too, hold the same pairs."""
    monkeypatch.setattr("gan.evaluate.realism.critic_accuracy", partial(critic_accuracy, steps=2))
    boxes = json.dumps([{"finding": "opacity", "progression": "new", "followup": [[0.1, 0.1, 0.6, 0.6]]}])
    cell = '"' + boxes.replace('"', '""') + '"'
    columns = {"columns": ("site", "changes"), "cells": lambda n: ("ab"[n % 2], cell if n else "")}
    path = manifest(place, pairs_folder, patients=7, **columns)
    command = ("gan.evaluate", "runs/adversarial", "--data.path", path, "--by", "site", "--critic", *FAST)
    command += ("--data.batch-size", "2")
    one = call(*command, "--out", "one", cwd=place)
    assert one.returncode == 0, one.stderr
    two = call_in_ranks(2, *command, "--out", "two", cwd=place)
    assert two.returncode == 0, two.stderr
    assert two.stdout == one.stdout.replace("written to one", "written to two")
    written = {path.name for path in (place / "one").iterdir()}
    assert written == {path.name for path in (place / "two").iterdir()} >= {*WRITTEN, "boxes.csv"}
    for name in written:
        assert (place / "one" / name).read_bytes() == (place / "two" / name).read_bytes(), name
    assert not (place / "rank_1.out").read_text()


def test_pairs_without_targets_are_looked_at_for_marks(place, pairs_folder):
    path = manifest(place, pairs_folder, target=False)
    done = evaluate(place, "runs/adversarial", "--data.path", path, "--threshold", "0.5")
    assert done.returncode == 0, done.stderr
    assert "no pair has a target" in done.stdout
    assert "marks a pair" in done.stdout
    assert "AUROC" not in done.stdout
    assert {path.name for path in (place / "runs/evaluate").iterdir()} >= {"summary.json", "loudest.png"}


def test_nothing_is_overwritten(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("evaluate", "evaluate-2", "evaluate-3"):
        folder = free_folder(EvaluateConfig(runs=("run",)))
        assert str(folder) == f"runs/{name}"
        folder.mkdir(parents=True)
    (folder / "file").touch()
    with pytest.raises(UserError, match="runs/evaluate-3 is taken"):
        free_folder(EvaluateConfig(runs=("run",), out=folder))


def test_the_hub_is_asked_for_what_is_not_here(tmp_path, place, monkeypatch):
    asked = []

    def download(hub_id, allow_patterns):
        asked.append((hub_id, allow_patterns))
        return str(place / "runs/adversarial/generator")

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    monkeypatch.chdir(tmp_path)
    assert generator_place("owner/name") == place / "runs/adversarial/generator"
    assert asked == [("owner/name", ["config.json", "model.safetensors", "preprocessing.json"])]
    config, folders = parse(["owner/name"])
    assert list(folders) == ["owner/name"]
    assert config.data.image_size == 32


def test_the_data_is_that_of_the_run_unless_another_is_named(place, pairs_folder, monkeypatch):
    monkeypatch.chdir(place)
    own, _ = parse(["runs/adversarial"])
    assert own.data.path == pairs_folder
    assert own.data.image_size == 32
    rendered, _ = parse(["runs/adversarial", "--data.synthesis.seed", "5"])
    assert (rendered.data.path, rendered.data.synthesis.seed) == (None, 5)
    larger, _ = parse(["runs/adversarial", "--data.path", "other.csv", "--data.image-size", "64"])
    assert (str(larger.data.path), larger.data.image_size) == ("other.csv", 64)


MISTAKES = {
    "no run": ([], ["RUN"]),
    "a run without weights": (["runs/pretrain"], ["runs/pretrain", "generator/"]),
    "the same run twice": (["runs/adversarial", "runs/adversarial"], ["runs/adversarial", "twice"]),
    "runs of different kinds": (["runs/adversarial", "signed"], ["change", "magnitude", "signed"]),
    "another kind of change": (
        ["runs/adversarial", "--data.change", "signed"],
        ["--data.change", "magnitude"],
    ),
    "a column that is not there": (["runs/adversarial", "--by", "scanner"], ["--by scanner", "finding"]),
    "a threshold out of range": (["runs/adversarial", "--threshold", "2"], ["threshold"]),
    "a manifest that is not there": (["runs/adversarial", "--data.path", "absent.csv"], ["absent.csv"]),
}


@pytest.mark.parametrize(("arguments", "named"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_one_line(place, arguments, named):
    shutil.copytree(place / "runs/adversarial/generator", place / "signed")
    fed = place / "signed" / "preprocessing.json"
    fed.write_text(fed.read_text().replace("magnitude", "signed"))
    fed.with_name("SHA256SUMS").unlink()
    done = evaluate(place, *arguments)
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: ")
    assert not [word for word in named if word not in done.stderr]
    assert not (place / "runs" / "evaluate").exists()
