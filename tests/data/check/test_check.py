"""`python -m data.check`: what is wrong is named, file by file."""

import csv
import os
import signal
import subprocess
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from skimage.io import imsave

from data.base.processes import Processes
from data.check import problems as checking
from data.check.problems import Problem, check_records
from data.files.images import Radiograph
from data.manifests import records_of
from tests.calling import call
from tests.micro import ROOT, run, write_pairs


def check(*arguments) -> subprocess.CompletedProcess[str]:
    return call("data.check", *arguments, cwd=ROOT)


def test_a_sound_data_set(pairs_folder):
    done = run("data.check", pairs_folder, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"{pairs_folder}: all of 48 files can be used"
    assert "48/48" in done.stderr


@pytest.fixture
def unsound(tmp_path) -> Path:
    folder = write_pairs(tmp_path / "pairs")
    (folder / "baseline" / "p0_0.png").write_bytes(b"no picture")
    imsave(folder / "target" / "p1_0.png", np.zeros((16, 32), np.uint8), check_contrast=False)
    (folder / "target" / "p2_1.png").unlink()
    np.save(folder / "target" / "p2_1.npy", np.full((32, 32), 7.0))
    return folder


def test_every_bad_file_is_named_and_the_exit_code_is_1(unsound, tmp_path):
    done = check(unsound, "--report", tmp_path / "report.csv", "--workers", "2")
    assert done.returncode == 1, done.stderr
    *rows, summary = done.stdout.strip().splitlines()
    assert summary == f"{unsound}: 3 of 48 files cannot be used"
    assert [row.split()[0] for row in rows] == [
        str(unsound / name) for name in ("baseline/p0_0.png", "target/p1_0.png", "target/p2_1.npy")
    ]
    assert "is 16 x 32 but the followup" in rows[1]
    assert "ranges over [7, 7]" in rows[2]
    with (tmp_path / "report.csv").open(newline="") as file:
        header, *reported = csv.reader(file)
    assert header == ["path", "reason"]
    assert [path for path, _ in reported] == [row.split()[0] for row in rows]


def test_a_cluster_finds_the_same(unsound, cluster):
    here, there = check(unsound, "--workers", "2"), check(unsound, "--cluster", cluster.scheduler_address)
    assert (there.returncode, there.stdout) == (here.returncode, here.stdout)
    assert "48/48" in there.stderr


def test_a_cluster_that_is_not_there_is_a_mistake_of_one_line(pairs_folder, monkeypatch):
    monkeypatch.setattr("data.base.cluster._CONNECT_S", 0.2)
    done = check(pairs_folder, "--cluster", "tcp://127.0.0.1:1")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: --cluster tcp://127.0.0.1:1 cannot be reached")
    done = check(pairs_folder, "--cluster", "tcp://127.0.0.1:1", "--workers", "2")
    assert done.returncode == 2
    assert done.stderr.startswith("error: --workers counts processes of this machine")


def test_missing_files_of_a_manifest_are_listed_not_refused(tmp_path):
    imsave(tmp_path / "a.png", np.zeros((8, 8), np.uint8), check_contrast=False)
    (tmp_path / "m.csv").write_text("patient_id,image\nx,a.png\ny,gone.png\nz,notes.txt\n")
    done = check(tmp_path / "m.csv")
    assert done.returncode == 1, done.stderr
    first, second, _ = done.stdout.splitlines()
    assert first.split()[:4] == [str(tmp_path / "gone.png"), "does", "not", "exist;"]
    assert second.startswith(str(tmp_path / "notes.txt"))
    assert "2 of 3 files cannot be used" in done.stdout


def test_a_mistake_is_one_line(tmp_path):
    done = check(tmp_path / "absent.csv")
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    (tmp_path / "m.csv").write_text("patient,image\n")
    assert check(tmp_path / "m.csv").returncode == 2


def _read_or_die(path, _):
    if path.name == "p3_0.png":
        os.kill(os.getpid(), signal.SIGSEGV)
    return Radiograph(pixels=np.zeros((32, 32), np.float32), spacing_mm=None)


def _open_or_die(open_chunk, files):
    checking.read_radiograph = _read_or_die
    return open_chunk(files)


class Dying(Processes):
    def run(self, function, tasks):
        return super().run(partial(_open_or_die, function), tasks)


def test_a_file_that_kills_its_reader_is_found(pairs_folder, monkeypatch):
    monkeypatch.setattr(checking, "read_radiograph", _read_or_die)
    monkeypatch.setattr(checking, "_FILES_A_TASK", 2)  # each file under way then gets a process of its own
    monkeypatch.setattr(checking, "Processes", Dying)
    files, problems = check_records(
        records_of(pairs_folder),
        change="magnitude",
        intensity="dicom",
        engine=Dying(2, isolate=True),
        progress=False,
    )
    assert files == 48
    reason = "reading it kills the process; replace it with an intact file"
    assert problems == [
        Problem(path=pairs_folder / role / "p3_0.png", reason=reason) for role in ("baseline", "followup")
    ]
