"""Whole runs of `python -m data.synthesize` on small volumes."""

import csv
import logging
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch

from data.errors import DataError
from data.files.images import read_image, read_target
from data.synthesis import collection, output
from data.synthesis.collection import synthesize
from data.synthesis.options import FindingProbabilities, SynthesizeConfig
from data.synthesize import describe

from .volumes import hounsfield, renumbered, save_dicom, save_nifti

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
    root = tmp_path_factory.mktemp("cts")
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
    assert summary.labelled == ["labelled"]
    assert summary.segmented == ["plain"]
    assert list(summary.skipped) == ["water"]
    assert (summary.pairs, summary.volumes, summary.has_splits) == (4, 2, False)
    lines = describe(summary)
    assert lines[-1] == f"train on it: python -m gan.adversarial --data.path {summary.manifest}"
    assert any(line.startswith("skipped water: ") for line in lines)
    assert any("no split column" in line for line in lines)


def test_the_manifest_names_every_file(run):
    _, out = run
    table = rows(out)
    assert list(table[0]) == ["id", "patient_id", *IMAGES, "findings"]
    assert [row["id"] for row in table] == [
        f"{volume}-p000_{pair:03d}" for volume in ("labelled", "plain") for pair in range(2)
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
    assert table[0]["baseline"] == "labelled-p000/000/prior.nii.gz"
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
    from data.tables.folders import pairs_in_folder

    _, out = run
    assert len(pairs_in_folder(out)) == 4
    synthesize(config(root, tmp_path / "out", format="nifti"), progress=False)
    found = pairs_in_folder(tmp_path / "out")
    assert {record.patient_id for record in found} == {"labelled-p000", "plain-p000"}


def test_a_second_run_renders_nothing_new(root, run, monkeypatch):
    _, out = run
    before = contents(out)
    monkeypatch.setattr(collection, "render_virtual_patient", None)
    assert synthesize(config(root, out), progress=False).pairs == 4
    assert contents(out) == before


def test_an_interrupted_run_goes_on_with_the_same_result(root, run, tmp_path, monkeypatch):
    _, complete = run
    out = tmp_path / "out"
    write = output.Folder._write_image
    written = []

    def stop(self, path, role, image):
        written.append(path)
        if len(written) == 11:
            raise KeyboardInterrupt
        write(self, path, role, image)

    with monkeypatch.context() as patch:
        patch.setattr(output.Folder, "_write_image", stop)
        with pytest.raises(KeyboardInterrupt):
            synthesize(config(root, out), progress=False)
    assert not (out / "manifest.csv").exists()
    assert not any("plain" in name for name in contents(out) if not name.startswith(".synthesis"))
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
    assert contents(first)["baseline/plain-p000_000.png"] == before["baseline/plain-p000_000.png"]


def test_other_settings_need_another_folder_or_overwrite(root, tmp_path):
    out = tmp_path / "out"
    synthesize(config(root, out), progress=False)
    with pytest.raises(DataError, match="holds pairs of other settings"):
        synthesize(config(root, out, seed=2), progress=False)
    (out / "notes.txt").write_text("mine")
    synthesize(config(root, out, format="nifti", overwrite=True), progress=False)
    assert not (out / "baseline").exists()
    assert (out / "notes.txt").read_text() == "mine"


def test_a_folder_of_something_else_is_left_alone(root, tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(DataError, match="is not empty and not of this command"):
        synthesize(config(root, tmp_path), progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_volume_that_changed_is_noticed(hu, tmp_path):
    path = save_nifti(tmp_path / "cts/a/ct.nii.gz", hu)
    small = config(tmp_path / "cts", tmp_path / "out", pairs_per_patient=1)
    synthesize(small, progress=False)
    path.unlink()
    save_nifti(path, hu + 1)
    with pytest.raises(DataError, match=r"the volume a in .* is not the one"):
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
    from data.synthesis import segment

    monkeypatch.setattr(segment, "heart_region", lambda *_: None)
    wanted = FindingProbabilities(
        consolidation=0, nodule=1, effusion=0, pneumothorax=0, cardiomegaly=9, fluid_overload=0, device=0
    )
    summary = synthesize(
        config(tmp_path / "cts", tmp_path / "out", findings=wanted, pairs_per_patient=4), progress=False
    )
    assert summary.left_out == {"a": ("cardiomegaly",)}
    assert "a: without cardiomegaly, for lack of the structures they lie in" in describe(summary)
    assert {row["findings"] for row in rows(tmp_path / "out")} == {"nodule"}


def test_when_no_volume_can_be_used_it_is_an_error(root, tmp_path):
    (tmp_path / "cts/water").mkdir(parents=True)
    (tmp_path / "cts/water/ct.nii.gz").write_bytes((root / "water/ct.nii.gz").read_bytes())
    with pytest.raises(DataError, match=r"none of the 1 volume\(s\) in .* could be used; water: "):
        synthesize(config(tmp_path / "cts", tmp_path / "out"), progress=False)


def test_processes_write_what_one_writes(hu, tmp_path):
    """Spawned workers are not patched: they work on the fine grid, as does what they are compared with."""
    save_nifti(tmp_path / "cts/a/ct.nii.gz", hu)
    small = config(tmp_path / "cts", tmp_path / "two", pairs_per_patient=1, patients_per_volume=2, workers=2)
    synthesize(small, progress=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(collection, "working_spacing", lambda _: 2.0)
        synthesize(replace(small, out=tmp_path / "one", workers=1), progress=False)
    assert contents(tmp_path / "two") == contents(tmp_path / "one")


def test_no_identity_leaves_a_dicom_series(hu, tmp_path, caplog, capsys):
    save_dicom(tmp_path / "cts/x", hu, patient="SECRET4711", name="Secretperson^Erika")
    save_dicom(tmp_path / "cts/y", hu[..., :30], patient="SECRET4712", name="Secretperson^Max", tilt=0.2)
    with caplog.at_level(logging.DEBUG):
        summary = synthesize(config(tmp_path / "cts", tmp_path / "out"), progress=True)
    assert list(summary.skipped) == ["ct0002"]
    said = capsys.readouterr()
    everything = "\n".join([caplog.text, said.out, said.err, *describe(summary)])
    everything += "".join(
        name + content.decode("latin1") for name, content in contents(tmp_path / "out").items()
    )
    for secret in ("SECRET", "secretperson", "19640812"):
        assert secret.lower() not in everything.lower()
    private = (tmp_path / "out" / "volumes.private.csv").read_text()
    assert private == "volume,folder\nct0001,x\nct0002,y\n"


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
