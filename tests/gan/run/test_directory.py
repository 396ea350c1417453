import multiprocessing
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from data.base.errors import UserError
from gan.pretrain.options import PRESETS, PretrainConfig
from gan.run.directory import claim_run_dir, create_run_dir, find_pretrained, give_up


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def config(**changes) -> PretrainConfig:
    return replace(PRESETS["tiny"], **changes)


def finished_run(path, when):
    (path / "encoder").mkdir(parents=True)
    for name in ("preprocessing.json", "model.safetensors"):
        (path / "encoder" / name).write_text("{}")
    (path / "metrics.jsonl").write_text('{"split": "test", "step": 1}\n')
    os.utime(path / "encoder" / "model.safetensors", (when, when))


def claimed(**changes):
    """The directory of a run that begins, and holds it."""
    run, lock = claim_run_dir(config(**changes), "pretrain")
    create_run_dir(run, overwrite=changes.get("overwrite", False))
    run.config.write_text("x")
    return run, lock


def test_a_taken_directory_is_left_alone(tmp_path):
    for name in ("runs/pretrain", "runs/pretrain-2", "runs/pretrain-3"):
        run, lock = claimed()
        assert str(run.path) == name
        give_up(run, lock)
    named = tmp_path / "mine"
    give_up(*claimed(run_dir=named))
    assert claimed(run_dir=named)[0].path == tmp_path / "mine-2"


def test_runs_that_start_at_once_take_a_directory_each(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: claim_run_dir(config(), "pretrain"), range(24)))
    assert len({run.path for run, _ in found}) == 24
    for run, lock in found:
        give_up(run, lock)
    assert not list((tmp_path / "runs").iterdir()), "nothing was written: nothing stays"
    assert str(claim_run_dir(config(), "pretrain")[0].path) == "runs/pretrain"


@pytest.mark.parametrize("way", ["resume", "overwrite"])
def test_a_run_that_is_running_is_left_alone(tmp_path, way):
    run, lock = claimed(run_dir=tmp_path / "mine")
    again = {"resume": run.path} if way == "resume" else {"run_dir": run.path, "overwrite": True}
    with pytest.raises(UserError, match=rf"--{way}.* a run is writing to .*mine right now; wait for its end"):
        claim_run_dir(config(**again), "pretrain")
    assert run.config.read_text() == "x"
    give_up(run, lock)
    run, lock = claim_run_dir(config(**again), "pretrain")
    assert (run.path, run.config.exists()) == (tmp_path / "mine", True)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a POSIX system")
def test_a_child_does_not_hold_the_directory_of_a_dead_run(tmp_path):
    run, lock = claimed(run_dir=tmp_path / "mine")
    context = multiprocessing.get_context("fork")
    started, stop = context.Event(), context.Event()
    child = context.Process(target=lambda: (started.set(), stop.wait(60)), daemon=True)
    child.start()
    assert started.wait(60)
    with open(os.devnull) as nothing:  # noqa: PTH123
        os.dup2(nothing.fileno(), lock._context.lock_file_fd)  # closes it, as the end of this process does
    claim_run_dir(config(resume=run.path), "pretrain")
    stop.set()


def test_overwrite_replaces_a_run_and_nothing_else(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match=r"--overwrite: .*mine has files but no config.yaml"):
        claim_run_dir(config(run_dir=folder, overwrite=True), "pretrain")
    (folder / "config.yaml").write_text("x")
    (tmp_path / "elsewhere").mkdir()
    (folder / "samples").symlink_to(tmp_path / "elsewhere")
    run, _ = claim_run_dir(config(run_dir=folder, overwrite=True), "pretrain")
    assert run.path == folder
    create_run_dir(run, overwrite=True)
    assert sorted(path.name for path in folder.iterdir()) == [".lock", "checkpoints", "samples"]
    assert (tmp_path / "elsewhere").exists()


def test_a_file_in_the_place_of_the_directory_is_named(tmp_path):
    (tmp_path / "mine").write_text("x")
    with pytest.raises(UserError, match="mine is a file"):
        claim_run_dir(config(run_dir=tmp_path / "mine"), "pretrain")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("n" * 300, "File name too long; name a directory"),
        ("a\udcff", r"'a\\udcff' is not UTF-8; name another"),
    ],
)
def test_a_name_that_no_directory_can_have_is_refused(tmp_path, name, words):
    for options in ({"run_dir": Path(name)}, {"resume": Path(name)}):
        with pytest.raises(UserError, match=words):
            claim_run_dir(config(**options), "pretrain")
    assert not list(tmp_path.iterdir())


def test_the_newest_finished_pretraining_run_is_found(tmp_path):
    runs = tmp_path / "runs"
    finished_run(runs / "pretrain", when=200)
    finished_run(runs / "pretrain-2", when=100)
    finished_run(runs / "pretrain-3", when=300)
    (runs / "pretrain-3" / "metrics.jsonl").write_text('{"split": "val", "step": 1}\n')  # still running
    assert str(find_pretrained("auto").path) == "runs/pretrain"
    assert find_pretrained(str(runs / "pretrain-2")).path == runs / "pretrain-2"
    assert find_pretrained("none") is None


@pytest.mark.parametrize(
    ("name", "words"), [("auto", "python -m gan.pretrain"), ("elsewhere", "--pretrained elsewhere")]
)
def test_without_a_finished_run_the_remedy_is_named(name, words):
    with pytest.raises(UserError, match=words):
        find_pretrained(name)
