import csv
import errno
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from skimage.io import imread

from data.base.errors import DataError
from data.draw.options import DrawConfig
from data.draw.output import SKIPPED
from data.draw.run import draw
from data.files.images import read_image, read_target
from data.manifests.manifest import pairs_in_manifest
from data.manifests.records import PAIR_FILES
from tests.calling import call
from tests.data.draw.conftest import save
from tests.micro import ROOT, command_environment, run


def options(folder, out, **changed):
    return DrawConfig(
        images=folder, out=out, **{"pairs_per_image": 2, "image_size": 96, "workers": 1, **changed}
    )


def draw_all(config):
    return draw(config, progress=False)


def contents(out):
    return {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and ".drawing" not in path.parts
    }


def rows_of(out):
    with (out / "manifest.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_folder_becomes_pairs_that_the_toolkit_reads(folder, tmp_path):
    outcome = draw_all(options(folder, tmp_path / "out", change="signed", unchanged=0.0))
    assert (outcome.images, outcome.pairs, outcome.skipped) == (3, 6, [])
    records = pairs_in_manifest(outcome.manifest)
    assert len({record.patient_id for record in records}) == 3
    assert all(records[i].patient_id == records[i + 1].patient_id for i in (0, 2, 4))
    for record in records:
        assert imread(record.baseline).dtype == np.uint16
        images = [read_image(path) for path in (record.baseline, record.followup)]
        maps = [read_target(path, "signed") for path in (record.target, record.target_baseline)]
        assert {plane.shape for plane in (*images, *maps)} == {(96, 96)}
        assert all(plane.any() for plane in maps)


KNOWN = ("direction", "stable", "nuisances", "size", "contrast", "group")


def test_the_manifest_names_its_findings_and_splits_only_where_the_source_does(folder, tmp_path):
    draw_all(options(folder, tmp_path / "out", findings=("nodule",), unchanged=0.0, second=0.0))
    rows = rows_of(tmp_path / "out")
    assert tuple(rows[0]) == ("id", "patient_id", *PAIR_FILES, "findings", *KNOWN)
    assert {row["findings"] for row in rows} == {"nodule"}
    lines = ["patient_id,image,split", "p0,p0_chest.png,train", "p1,p1_chest.png,test"]
    manifest = folder / "list.csv"
    manifest.write_text("\n".join(lines))
    draw_all(options(manifest, tmp_path / "split"))
    assert [row["split"] for row in rows_of(tmp_path / "split")] == ["train", "train", "test", "test"]


def test_the_same_bytes_whatever_the_number_of_processes(folder, tmp_path):
    draw_all(options(folder, tmp_path / "one"))
    draw_all(options(folder, tmp_path / "two", workers=2))
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_the_same_bytes_on_a_cluster(folder, tmp_path, cluster):
    one, many = (options(folder, tmp_path / name, pairs_per_image=1) for name in ("one", "many"))
    draw_all(one)
    draw_all(replace(many, workers=0, cluster=cluster.scheduler_address))
    assert contents(tmp_path / "one") == contents(tmp_path / "many")


def test_finished_images_are_not_drawn_again_and_replaced_ones_are(folder, tmp_path, films):
    out = tmp_path / "out"
    draw_all(options(folder, out))
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.png")}
    removed = out / rows_of(out)[0]["target"]
    removed.unlink()
    save(folder / "p2_chest.png", films[0].image)
    draw_all(options(folder, out))
    again = {path for path, stamp in before.items() if path.stat().st_mtime_ns != stamp}
    assert len(before) == 3 * 2 * len(PAIR_FILES)
    assert len(again) == 2 * 2 * len(PAIR_FILES)
    assert removed in again


def test_a_killed_run_goes_on_to_the_same_bytes(folder, tmp_path):
    """Killed after two pairs of the second radiograph."""
    out, config = tmp_path / "killed", ["--pairs-per-image", "6", "--image-size", "96", "--workers", "1"]
    kill = (int(signal.SIGKILL), "data.draw.run.write_pair", 8)
    killed = run("tests.stopping", *kill, "data.draw", folder, out, *config, cwd=ROOT)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert len(list(out.glob("followup/*.png"))) == 6
    assert not (out / "manifest.csv").exists()
    (out / ".part-1-left-over" / "target").mkdir(parents=True)
    (out / ".part-1-left-over" / "target" / "half.png").write_bytes(b"half a file")
    draw_all(options(folder, out, pairs_per_image=6))
    draw_all(options(folder, tmp_path / "whole", pairs_per_image=6))
    assert contents(out) == contents(tmp_path / "whole")


def test_an_interrupt_ends_with_one_line_and_keeps_what_is_finished(folder, tmp_path):
    out, config = tmp_path / "out", ["--pairs-per-image", "8", "--workers", "2"]
    interrupt = (int(signal.SIGINT), "concurrent.futures.Future.result", 1)
    stopped = run("tests.stopping", *interrupt, "data.draw", folder, out, *config, cwd=ROOT)
    assert stopped.returncode == 130, stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert "the same command goes on from there" in stopped.stderr
    assert len(list(out.glob("followup/*.png"))) >= 8
    assert not (out / "manifest.csv").exists()


def test_other_settings_are_refused_in_one_line(folder, tmp_path):
    out = tmp_path / "out"
    draw_all(options(folder, out))
    with pytest.raises(
        DataError, match=r"out was made with other settings \(noise, seed\); name another folder, repeat its"
    ):
        draw_all(options(folder, out, seed=2, noise=0.1))
    draw_all(options(folder, out, workers=2, on_error="skip"))


@pytest.mark.parametrize("left", ["unfinished pairs", "empty folders"])
def test_a_run_that_finished_nothing_makes_room_for_other_settings(folder, tmp_path, left):
    out = tmp_path / "out"
    save(folder / "a_flat.png", np.full((96, 96), 0.5))
    with pytest.raises(DataError, match="it is flat"):
        draw_all(options(folder, out))
    (folder / "a_flat.png").unlink()
    if left == "empty folders":
        (out / ".drawing" / "settings.json").unlink()
        (out / "target").mkdir()
    else:
        (out / "target").mkdir()
        (out / "target" / "0123-000.png").write_bytes(b"of a run that was killed")
    draw_all(options(folder, out, seed=2))
    draw_all(options(folder, tmp_path / "whole", seed=2))
    assert contents(out) == contents(tmp_path / "whole")


def test_names_of_a_folder_are_nowhere_in_what_is_written(folder, tmp_path):
    (folder / "Doe_Jane").mkdir()
    (folder / "p0_chest.png").rename(folder / "Doe_Jane" / "Roe.png")
    (folder / "p1_chest.png").rename(folder / "Doe_16bit.png")
    out = tmp_path / "out"
    draw_all(options(folder, out))
    assert len({row["patient_id"] for row in rows_of(out)}) == 3
    for path in out.rglob("*"):
        assert not {"Doe", "Roe", "chest"} & set(re.split(r"[^A-Za-z]", path.name))
        if path.is_file():
            assert not re.search(rb"Doe|Roe|chest|films", path.read_bytes())


def test_ids_of_a_manifest_are_kept_where_they_can_name_a_file(folder, tmp_path):
    ids = ["study-1", "../study", "p2_chest"]  # the last is what the file is called
    lines = [f"{name},Patient {i},p{i}_chest.png" for i, name in enumerate(ids)]
    (folder / "list.csv").write_text("\n".join(["id,patient_id,image", *lines]))
    draw_all(options(folder / "list.csv", tmp_path / "out"))
    rows = rows_of(tmp_path / "out")
    assert [row["patient_id"] for row in rows[::2]] == ["Patient 0", "Patient 1", "Patient 2"]
    assert [row["id"] for row in rows[:2]] == ["study-1-000", "study-1-001"]
    assert rows[0]["followup"] == "followup/study-1-000.png"
    assert all(re.fullmatch("[0-9a-f]{16}-00[01]", row["id"]) for row in rows[2:])


def test_ids_that_differ_by_case_only_name_different_files(folder, tmp_path):
    lines = [f"{name},p,p{i}_chest.png" for i, name in enumerate(("a", "A", "b"))]
    (folder / "list.csv").write_text("\n".join(["id,patient_id,image", *lines]))
    draw_all(options(folder / "list.csv", tmp_path / "out"))
    names = [row["id"].casefold() for row in rows_of(tmp_path / "out")]
    assert len(set(names)) == 6 and names[-1] == "b-001" and "a-000" not in names


def test_a_disk_that_is_full_ends_a_run_that_skips(folder, tmp_path, monkeypatch):
    def full(path, *_):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr("data.manifests.writing.write_map", full)
    with pytest.raises(DataError, match=r"out cannot be written \(No space left on device\); make room"):
        draw_all(options(folder, tmp_path / "out", on_error="skip"))
    assert not (tmp_path / "out" / "manifest.csv").exists()


@pytest.mark.parametrize("closed", ["films", "out"])
def test_folders_that_cannot_be_opened_are_named(folder, tmp_path, monkeypatch, closed):
    (tmp_path / "out").mkdir()
    listing = Path.iterdir

    def refusing(path):
        if path.name == closed:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return listing(path)

    monkeypatch.setattr(Path, "iterdir", refusing)
    with pytest.raises(DataError, match=rf"^\S*/{closed} cannot be (opened|listed) \(Permission denied\); "):
        draw_all(options(folder, tmp_path / "out"))


def test_a_folder_below_a_file_cannot_be_made(folder, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(DataError, match=r"file/out cannot be written \(Not a directory\); make room or name"):
        draw_all(options(folder, tmp_path / "file" / "out"))


def test_a_folder_of_something_else_is_left_alone(folder, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.txt").write_text("mine")
    with pytest.raises(DataError, match=r"out holds other files \(thesis\.txt\); name a new or an"):
        draw_all(options(folder, out))
    with pytest.raises(DataError, match=r"films/out lies in .*films, whose images are drawn into"):
        draw_all(options(folder, folder / "out"))


def test_what_cannot_be_drawn_into_stops_a_run_by_name(folder, tmp_path):
    save(folder / "p0_flat.png", np.full((96, 96), 0.5))
    with pytest.raises(DataError, match=r"p0_flat.png shows no two lung fields \(it is flat\)"):
        draw_all(options(folder, tmp_path / "out"))
    assert not (tmp_path / "out" / "manifest.csv").exists()


def test_skipped_radiographs_are_counted_and_named(folder, tmp_path, lateral):
    save(folder / "p0_lateral.png", lateral)
    (folder / "p1_broken.png").write_bytes(b"no image")
    few = ("--size", 96, "--pairs-per-image", 1, "--workers", 1)
    result = run("data.draw", folder, tmp_path / "out", *few, "--on-error", "skip", cwd=ROOT)
    assert result.returncode == 0
    assert "3 pairs of 3 radiographs" in result.stdout
    assert "left out 2 radiographs" in result.stdout
    header, *named = (tmp_path / "out" / SKIPPED).read_text().splitlines()
    assert header == "reason"
    assert (tmp_path / "out" / SKIPPED).stat().st_mode & 0o777 == 0o600
    assert [("lateral" in line, "broken" in line) for line in sorted(named)] == [(True, False), (False, True)]
    assert len(rows_of(tmp_path / "out")) == 3
    for path in ("p0_lateral.png", "p1_broken.png"):
        (folder / path).unlink()
    draw_all(options(folder, tmp_path / "out", pairs_per_image=1, on_error="skip"))
    assert not (tmp_path / "out" / SKIPPED).exists()


def test_nothing_to_draw_into_is_an_error(tmp_path):
    (tmp_path / "films").mkdir()
    save(tmp_path / "films" / "flat.png", np.full((96, 96), 0.5))
    with pytest.raises(DataError, match=r"films has no image that can be drawn into; .*flat.png shows"):
        draw_all(options(tmp_path / "films", tmp_path / "out", on_error="skip"))


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["missing.csv", "out"], "missing.csv does not exist"),
        ([".", "out", "--findings", "nodul"], "nodul"),
        ([".", "out", "--pairs-per-image", "0"], "pairs_per_image is 0; it must be at least 1"),
        ([".", "out", "--unchanged", "2"], "unchanged is 2.0; it must be between 0 and 1"),
        ([".", "out", "--size", "16"], "image_size is 16; it must be at least 64, or native"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(args, message, tmp_path):
    result = call("data.draw", *args, cwd=tmp_path)
    assert result.returncode == 2
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_help_imports_nothing_heavy():
    program = (
        "import sys, runpy; sys.argv = ['draw', '--help']\n"
        "try: runpy.run_module('data.draw', run_name='__main__')\n"
        "except SystemExit: pass\n"
        "heavy = {'numpy', 'torch', 'scipy', 'skimage', 'pydicom', 'pyarrow'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    result = subprocess.run([sys.executable, "-c", program], env=command_environment(), capture_output=True)
    assert result.returncode == 0, result.stderr


def test_drawing_imports_no_torch():
    program = "import sys, data.draw.run; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], env=command_environment(), check=True)


@pytest.mark.parametrize("name", ["rotation", "translation", "noise", "seed"])
def test_negative_options_are_refused(name):
    with pytest.raises(ValueError, match=f"{name} is -1"):
        DrawConfig(images=Path("a"), out=Path("b"), **{name: -1})
