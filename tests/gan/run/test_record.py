import json
import subprocess

from accelerate import Accelerator

from gan.pretrain.options import PRESETS
from gan.run.record import git_revision, record_start


def git(folder, *arguments):
    who = ("-c", "user.name=x", "-c", "user.email=x@x")
    return subprocess.run(
        ["git", *who, *arguments], cwd=folder, check=True, capture_output=True, text=True
    ).stdout


def test_the_revision_is_that_of_the_folder_and_says_whether_files_differ(tmp_path):
    assert git_revision(tmp_path) is None
    git(tmp_path, "init")
    (tmp_path / "file").write_text("a")
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "-m", "first")
    git(tmp_path, "tag", "-a", "v1", "-m", "a tag is no revision")
    commit = git(tmp_path, "rev-parse", "HEAD").strip()
    assert git_revision(tmp_path) == commit
    (tmp_path / "file").write_text("b")
    assert git_revision(tmp_path) == f"{commit}-dirty"


def test_every_start_is_kept(tmp_path):
    for step in (0, 7):
        record_start(
            tmp_path / "starts.json", Accelerator(cpu=True), PRESETS["tiny"], step=step, data="d", files="f"
        )
    first, second = json.loads((tmp_path / "starts.json").read_text())
    assert (first["step"], second["step"]) == (0, 7)
    assert {"command", "seed", "deterministic", "data", "files", "git", "device", "versions"} <= set(first)
    assert first["versions"]["torch"]
