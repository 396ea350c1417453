"""Whole runs of `python -m data.synthesize` on small volumes."""

import csv
import errno
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch

from data.base.errors import DataError
from data.base.processes import Processes
from data.files.images import read_image, read_target
from data.findings import FINDINGS
from data.manifests import writing
from data.simulation.volumes.mediastinum import FINDERS
from data.synthesize import collection
from data.synthesize.__main__ import describe
from data.synthesize.collection import synthesize, working_spacing
from data.synthesize.options import FindingProbabilities, SynthesizeConfig
from tests.data.simulation.volumes import hounsfield, renumbered, save_dicom, save_nifti

ROOT = Path(__file__).parents[3]
IMAGES = ("baseline", "followup", "target", "target_baseline")


@pytest.fixture(scope="module", autouse=True)
def coarse():
    """The working grid of a real run is finer and slower."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(collection, "working_spacing", lambda _: 4.0)
        yield


@pytest.fixture(scope="module")
def hu(phantom):
    return np.round(hounsfield(phantom.mu)).astype(np.int16)


@pytest.fixture(scope="module")
def root(phantom, hu, tmp_path_factory):
    """A labelled case, one without labels, and one that is no chest."""
    root = tmp_path_factory.mktemp("cts")  # ct0001, ct0002 and ct0003 by their paths
    save_nifti(root / "labelled/ct.nii.gz", hu, "LPS")
    save_nifti(root / "labelled/segmentations.nii.gz", renumbered(phantom))
    save_nifti(root / "plain/ct.nii.gz", hu)
    save_nifti(root / "water/ct.nii.gz", np.where((hu < -500) & (hu > -990), 30, hu).astype(np.int16))
    return root


def config(root, out, **options):
    options = {"pairs_per_patient": 2, "image_size": 40, "workers": 1, "unchanged": 0.0} | options
    return SynthesizeConfig(ct=root, out=out, **options)


def rows(out):
    with (out / "manifest.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def contents(out):
    files = sorted(path for path in out.rglob("*") if path.is_file())
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def run(root, tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "out"
    return synthesize(config(root, out), progress=False), out


def test_volumes_are_labelled_segmented_or_skipped_by_name(run):
    summary, _ = run
    assert summary.labelled == ["ct0001"]
    assert summary.segmented == ["ct0002"]
    assert list(summary.skipped) == ["ct0003"]
    assert (summary.pairs, summary.volumes, summary.has_splits) == (4, 2, False)
    lines = describe(summary)
    assert lines[-1] == f"train on it: python -m gan.adversarial --data.path {summary.manifest}"
    assert any(line.startswith("skipped ct0003: ") for line in lines)
    assert any(line.startswith("WARNING: no split column") for line in lines)
    assert any("volumes.private.csv names the file" in line for line in lines)


KNOWN = {"direction", "stable", "nuisances", "size", "contrast", "pose_difference", "made", "group"}


def test_the_manifest_names_every_file(run):
    _, out = run
    table = rows(out)
    assert list(table[0])[: len(IMAGES) + 3] == ["id", "patient_id", *IMAGES, "findings"]
    assert set(list(table[0])[len(IMAGES) + 3 :]) <= KNOWN
    assert len({row["group"] for row in table}) == len(table)  # one view of each change
    assert [row["id"] for row in table] == [
        f"{volume}-p000_{pair:03d}" for volume in ("ct0001", "ct0002") for pair in range(2)
    ]
    for row in table:
        for role in IMAGES[:2]:
            image = read_image(out / row[role])
            assert image.shape == (40, 40) and image.std() > 0.1
        for role in IMAGES[2:]:
            assert read_target(out / row[role], "magnitude").max() > 0
        assert row["findings"]


def test_png_and_nifti_hold_the_same(root, run, tmp_path):
    _, out = run
    synthesize(config(root, tmp_path / "out", format="nifti", change="signed"), progress=False)
    table = rows(tmp_path / "out")
    assert table[0]["baseline"] == "ct0001-p000/000/prior.nii.gz"
    for row, png in zip(table, rows(out), strict=True):
        for role in IMAGES[:2]:
            assert nibabel.load(tmp_path / "out" / row[role]).get_data_dtype() == np.float32
            np.testing.assert_allclose(
                read_image(tmp_path / "out" / row[role]), read_image(out / png[role]), atol=1e-5
            )
        for role in IMAGES[2:]:
            signed = read_target(tmp_path / "out" / row[role], "signed")
            np.testing.assert_allclose(np.abs(signed), read_target(out / png[role], "magnitude"), atol=1e-5)


def test_the_folders_read_without_the_manifest(run, tmp_path, root):
    from data.manifests.folders import pairs_in_folder

    _, out = run
    with pytest.raises(DataError, match=r"is described by .*manifest\.csv"):
        pairs_in_folder(out)
    synthesize(config(root, tmp_path / "out", format="nifti"), progress=False)
    (tmp_path / "out" / "manifest.csv").unlink()
    found = pairs_in_folder(tmp_path / "out")
    assert {record.patient_id for record in found} == {"ct0001-p000", "ct0002-p000"}


def test_a_second_run_renders_nothing_new(root, run, monkeypatch):
    _, out = run
    before = contents(out)
    monkeypatch.setattr(collection, "render_virtual_patient", None)
    assert synthesize(config(root, out), progress=False).pairs == 4
    assert contents(out) == before


def test_an_interrupted_run_goes_on_with_the_same_result(root, run, tmp_path, monkeypatch):
    _, complete = run
    out = tmp_path / "out"
    write = writing.write_map
    written = []

    def stop(path, *rest):
        written.append(path)
        if len(written) == 11:
            raise KeyboardInterrupt
        write(path, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(writing, "write_map", stop)
        with pytest.raises(KeyboardInterrupt):
            synthesize(config(root, out), progress=False)
    assert not (out / "manifest.csv").exists()
    assert not any("ct0002" in name for name in contents(out) if not name.startswith(".synthesis"))
    synthesize(config(root, out), progress=False)
    assert contents(out) == contents(complete)


def test_more_patients_extend_a_run(root, run, tmp_path):
    _, first = run
    out = tmp_path / "out"
    synthesize(config(root, out), progress=False)
    before = contents(out)
    assert synthesize(config(root, out, patients_per_volume=2), progress=False).pairs == 8
    assert {name: contents(out)[name] for name in before if name != "manifest.csv"} == {
        name: content for name, content in before.items() if name != "manifest.csv"
    }
    assert len({row["patient_id"] for row in rows(out)}) == 4
    assert contents(first)["baseline/ct0002-p000_000.png"] == before["baseline/ct0002-p000_000.png"]


def test_pairs_are_not_written_among_the_volumes(root):
    with pytest.raises(DataError, match=r"--out .*pairs lies in --ct .*; name a folder elsewhere"):
        synthesize(config(root, root / "pairs"), progress=False)


def test_other_settings_need_another_folder_or_overwrite(root, tmp_path):
    out = tmp_path / "out"
    synthesize(config(root, out), progress=False)
    with pytest.raises(DataError, match=r"was made with other settings \(seed\).*--overwrite"):
        synthesize(config(root, out, seed=2), progress=False)
    (out / "notes.txt").write_text("mine")
    synthesize(config(root, out, format="nifti", overwrite=True), progress=False)
    assert not (out / "baseline").exists()
    assert (out / "notes.txt").read_text() == "mine"


def test_a_folder_of_something_else_is_left_alone(root, tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(DataError, match=r"holds other files \(thesis\.tex\); name a new or an empty folder"):
        synthesize(config(root, tmp_path), progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_volume_that_changed_is_noticed(hu, tmp_path):
    path = save_nifti(tmp_path / "cts/a/ct.nii.gz", hu)
    small = config(tmp_path / "cts", tmp_path / "out", pairs_per_patient=1)
    synthesize(small, progress=False)
    save_nifti(path, hu + 1)
    with pytest.raises(DataError, match=r"the volume ct0001 in .* is not the one"):
        synthesize(small, progress=False)
    assert synthesize(replace(small, overwrite=True), progress=False).pairs == 1


def test_virtual_patients_of_a_volume_share_its_split(hu, tmp_path):
    for name in "abcd":
        save_nifti(tmp_path / f"cts/{name}.nii.gz", hu)
    small = config(tmp_path / "cts", tmp_path / "out", pairs_per_patient=1, patients_per_volume=2)
    summary = synthesize(small, progress=False)
    assert summary.has_splits
    split = {}
    for row in rows(tmp_path / "out"):
        split.setdefault(row["id"].partition("-")[0], set()).add(row["split"])
    assert all(len(names) == 1 for names in split.values())
    assert set().union(*split.values()) == {"train", "val", "test"}


def test_findings_without_their_structures_are_left_out_and_reported(hu, tmp_path, monkeypatch):
    save_nifti(tmp_path / "cts/a/ct.nii.gz", hu)
    monkeypatch.setitem(FINDERS, ("heart",), lambda _: {})
    wanted = FindingProbabilities(**{**dict.fromkeys(FINDINGS, 0), "nodule": 1, "cardiomegaly": 9})
    summary = synthesize(
        config(tmp_path / "cts", tmp_path / "out", findings=wanted, pairs_per_patient=4), progress=False
    )
    assert summary.left_out == {"ct0001": ("cardiomegaly",)}
    assert "ct0001: without cardiomegaly, for lack of the structures they lie in" in describe(summary)
    assert {row["findings"] for row in rows(tmp_path / "out")} == {"nodule"}


def test_when_no_volume_can_be_used_it_is_an_error(root, tmp_path):
    (tmp_path / "cts/water").mkdir(parents=True)
    (tmp_path / "cts/water/ct.nii.gz").write_bytes((root / "water/ct.nii.gz").read_bytes())
    with pytest.raises(DataError, match=r"none of the 1 volume\(s\) in .* could be used; ct0001: "):
        synthesize(config(tmp_path / "cts", tmp_path / "out"), progress=False)


def test_the_working_grid_is_finer_where_pixels_are():
    assert (working_spacing(40), working_spacing(512)) == (2.0, 1.5)


def _run_coarsely(run_job, job):
    collection.working_spacing = lambda _: 4.0
    return run_job(job)


class Coarse(Processes):
    def run(self, function, tasks):
        return super().run(partial(_run_coarsely, function), tasks)


def test_processes_write_what_one_writes(hu, tmp_path, monkeypatch):
    save_nifti(tmp_path / "cts/a/ct.nii.gz", hu)
    small = config(tmp_path / "cts", tmp_path / "two", pairs_per_patient=1, patients_per_volume=2, workers=2)
    monkeypatch.setattr(collection, "engine_of", lambda workers, _: Coarse(workers))
    synthesize(small, progress=False)
    synthesize(replace(small, out=tmp_path / "one", workers=1), progress=False)
    assert contents(tmp_path / "two") == contents(tmp_path / "one")


def test_a_cluster_writes_what_one_process_writes(hu, tmp_path, monkeypatch, cluster):
    """One volume that both workers share."""
    monkeypatch.setattr(collection, "working_spacing", lambda _: 4.0)
    save_nifti(tmp_path / "cts/a/ct.nii.gz", hu)
    small = config(tmp_path / "cts", tmp_path / "one", pairs_per_patient=1, patients_per_volume=2)
    synthesize(small, progress=False)
    many = replace(small, out=tmp_path / "many", workers=0, cluster=cluster.scheduler_address)
    synthesize(many, progress=False)
    assert contents(tmp_path / "many") == contents(tmp_path / "one")


SECRETS = ("secret", "19640812", "doe", "john")


def plant(root, hu):
    """Names in tags, folders and file names, and a character set that pydicom repeats in a warning."""
    save_dicom(root / "Doe_x", hu, patient="SECRET4711", name="Secretperson^Erika")
    save_dicom(root / "Doe_y", hu[..., :30], patient="SECRET4712", name="Secretperson^Max", tilt=0.2)
    for path in save_dicom(root / "odd", hu[..., :30], patient="SECRET", SpecificCharacterSet="ISO_IR 100"):
        path.write_bytes(path.read_bytes().replace(b"ISO_IR 100", b"SECRET 100"))
    save_nifti(root / "Doe_John/ct.nii.gz", hu)
    save_nifti(root / "Doe_Jane.nii", hu)
    (root / "Doe_Jane.nii").write_bytes((root / "Doe_Jane.nii").read_bytes()[:-9000])
    save_nifti(root / "john/ct.nii.gz", hu)
    save_nifti(root / "john/John_seg.nii.gz", np.ones(hu.shape, dtype=np.uint8))


def everything_to_share(out):
    return "".join(
        name + content.decode("latin1") for name, content in contents(out).items() if ".private." not in name
    )


def test_no_identity_leaves_the_volumes(hu, tmp_path):
    plant(tmp_path / "cts", hu)
    code = (
        "import sys\n"
        "from data.synthesize import collection\n"
        "from data.synthesize.__main__ import main\n"
        "collection.working_spacing = lambda _: 4.0\n"
        "main()\n"
    )
    options = ("--pairs-per-patient", "1", "--image-size", "32", "--workers", "1", "--device", "cpu")
    paths = ("--ct", str(tmp_path / "cts"), "--out", str(tmp_path / "out"))
    done = command("-X", "dev", "-c", code, *paths, *options)
    assert done.returncode == 0, done.stderr
    assert "2 pairs of 2 volume(s)" in done.stdout
    for text in (done.stdout, done.stderr, everything_to_share(tmp_path / "out")):
        assert not [secret for secret in SECRETS if secret in text.lower()]
    skipped = [line for line in (done.stdout + done.stderr).splitlines() if "skipped" in line]
    assert [line.partition(":")[0] for line in skipped] == [
        f"skipped ct000{number}" for number in (1, 4, 5, 6)
    ]


def test_the_private_list_names_files_and_reasons_for_its_owner_only(hu, tmp_path):
    plant(tmp_path / "cts", hu)
    summary = synthesize(config(tmp_path / "cts", tmp_path / "out", pairs_per_patient=1), progress=False)
    private = tmp_path / "out/volumes.private.csv"
    assert private.stat().st_mode & 0o777 == 0o600
    with private.open(newline="") as file:
        lines = {line["volume"]: (line["path"], line["reason"]) for line in csv.DictReader(file)}
    assert [lines[name][0] for name in sorted(lines)] == [
        *(
            "Doe_Jane.nii",
            "Doe_John/ct.nii.gz",
            "Doe_x/IM0000",
            "Doe_y/IM0000",
            "john/ct.nii.gz",
            "odd/IM0000",
        )
    ]
    assert {name: reason for name, (_, reason) in lines.items() if reason} == summary.skipped
    assert "tilted" in lines["ct0004"][1]


def test_a_volume_added_later_renames_none(hu, tmp_path):
    save_nifti(tmp_path / "cts/m/ct.nii.gz", hu)
    save_nifti(tmp_path / "cts/n/ct.nii.gz", np.full_like(hu, 30))
    small = config(tmp_path / "cts", tmp_path / "out", pairs_per_patient=1)
    synthesize(small, progress=False)
    before = contents(tmp_path / "out")
    save_nifti(tmp_path / "cts/a/ct.nii.gz", hu)
    assert synthesize(small, progress=False).pairs == 2
    private = (tmp_path / "out/volumes.private.csv").read_text()
    places = [line.split(",")[:2] for line in private.splitlines()[1:]]
    assert places == [["ct0001", "m/ct.nii.gz"], ["ct0002", "n/ct.nii.gz"], ["ct0003", "a/ct.nii.gz"]]
    image = "baseline/ct0001-p000_000.png"
    assert contents(tmp_path / "out")[image] == before[image]
    (tmp_path / "out/volumes.private.csv").unlink()  # finished volumes are known by their records as well
    save_nifti(tmp_path / "cts/0/ct.nii.gz", np.full_like(hu, 30))
    assert synthesize(small, progress=False).pairs == 2


def test_a_skipped_volume_is_said_once(root, tmp_path, capsys):
    small = config(root, tmp_path / "out", patients_per_volume=2, pairs_per_patient=1)
    lines = describe(synthesize(small, progress=True))
    said = "\n".join([*capsys.readouterr(), *lines])
    assert said.count("skipped ct0003") == 1


def full(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("place", ["data.manifests.writing.write_map", "pathlib.Path.write_text"])
def test_a_full_disk_stops_the_run_in_one_line(root, tmp_path, monkeypatch, place):
    monkeypatch.setattr(place, full)
    with pytest.raises(DataError, match=r"out.* cannot be written \(No space left on device\)") as caught:
        synthesize(config(root, tmp_path / "out"), progress=False)
    assert "\n" not in str(caught.value)


def test_an_output_below_a_file_is_one_line(root, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(DataError, match=r"file/out cannot be written \(Not a directory\); make room or name"):
        synthesize(config(root, tmp_path / "file/out"), progress=False)


def test_a_run_that_made_nothing_keeps_no_other_out(root, tmp_path):
    save_nifti(tmp_path / "cts/a/ct.nii.gz", np.full((30, 30, 30), 30, dtype=np.int16))
    with pytest.raises(DataError, match="could be used"):
        synthesize(config(tmp_path / "cts", tmp_path / "out"), progress=False)
    small = config(root, tmp_path / "out", pairs_per_patient=1, seed=2)
    assert synthesize(small, progress=False).pairs == 2
    with pytest.raises(DataError, match=r"was made with other settings \(seed\).*--overwrite"):
        synthesize(replace(small, seed=3), progress=False)


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "{}", '{"rows": [{}]}', '{"rows": [], "volume": 1, "patient": "x", "digest": 2}'],
)
def test_a_damaged_record_is_an_unfinished_patient(root, run, tmp_path, content):
    _, complete = run
    shutil.copytree(complete, tmp_path / "out")
    record = tmp_path / "out/.synthesis/ct0002-p000.done.json"
    record.write_text(content)
    synthesize(config(root, tmp_path / "out"), progress=False)
    assert contents(tmp_path / "out") == contents(complete)


def test_a_bug_is_not_a_skipped_volume(root, tmp_path, monkeypatch):
    def fail(*_):
        raise RuntimeError("a bug")

    monkeypatch.setattr(collection, "make_thorax", fail)
    with pytest.raises(RuntimeError, match="a bug"):
        synthesize(config(root, tmp_path / "out"), progress=False)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_missing_gpu_is_one_line(root, tmp_path):
    with pytest.raises(DataError, match="--device cuda, but torch sees no GPU"):
        synthesize(config(root, tmp_path / "out", device="cuda"), progress=False)


def command(*args):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *args], env=environment, capture_output=True, text=True, cwd=ROOT, check=False
    )


def test_help_imports_nothing_heavy():
    code = (
        "import sys, runpy\n"
        "sys.argv = ['data.synthesize', '--help']\n"
        "try:\n    runpy.run_module('data.synthesize', run_name='__main__')\n"
        "except SystemExit:\n    pass\n"
        "heavy = {'torch', 'numpy', 'scipy', 'pydicom', 'nibabel', 'skimage', 'nanodrr'}\n"
        "print('heavy:', sorted(heavy & set(sys.modules)))\n"
    )
    result = command("-c", code)
    assert "--pose.degrees" in result.stdout
    assert result.stdout.strip().endswith("heavy: []")


def test_a_mistake_is_one_line_and_exit_code_2(tmp_path):
    result = command("-m", "data.synthesize", "--ct", str(tmp_path / "none"), "--out", str(tmp_path / "out"))
    assert result.returncode == 2
    assert (
        result.stderr == f"error: {tmp_path / 'none'} is no folder; give one of CT volumes (NIfTI or DICOM)\n"
    )
