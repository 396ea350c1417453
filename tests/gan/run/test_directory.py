import os
from dataclasses import replace

import pytest

from data.base.errors import UserError
from gan.pretrain.options import PRESETS, PretrainConfig
from gan.run.directory import choose_run_dir, create_run_dir, find_pretrained


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


def test_a_taken_directory_is_left_alone(tmp_path):
    names = []
    for _ in range(3):
        run = choose_run_dir(config(), "pretrain")
        create_run_dir(run, overwrite=False)
        run.config.write_text("x")
        names.append(str(run.path))
    assert names == ["runs/pretrain", "runs/pretrain-2", "runs/pretrain-3"]
    named = tmp_path / "mine"
    create_run_dir(choose_run_dir(config(run_dir=named), "pretrain"), overwrite=False)
    assert choose_run_dir(config(run_dir=named), "pretrain").path == tmp_path / "mine-2"


def test_overwrite_replaces_a_run_and_nothing_else(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match=r"--overwrite: .*mine has files but no config.yaml"):
        choose_run_dir(config(run_dir=folder, overwrite=True), "pretrain")
    (folder / "config.yaml").write_text("x")
    run = choose_run_dir(config(run_dir=folder, overwrite=True), "pretrain")
    assert run.path == folder
    create_run_dir(run, overwrite=True)
    assert not (folder / "thesis.txt").exists()


def test_a_file_in_the_place_of_the_directory_is_named(tmp_path):
    (tmp_path / "mine").write_text("x")
    with pytest.raises(UserError, match="mine is a file"):
        choose_run_dir(config(run_dir=tmp_path / "mine"), "pretrain")


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
