"""The command line, and how a layout is chosen."""

import subprocess
import sys

import pytest

from data.index.layouts import LAYOUTS
from data.index.options import LAYOUT_NAMES
from tests.calling import call
from tests.data.index.annotated import ANNOTATED
from tests.data.index.miniatures import MINIATURES, rows_of
from tests.micro import ROOT, run


def index(*args, start=call):
    done = start("data.index", *args, cwd=ROOT)
    return done.returncode, done.stdout, done.stderr


def test_every_layout_can_be_named_and_has_a_miniature():
    assert set(LAYOUTS) == set(LAYOUT_NAMES) == set(MINIATURES) | set(ANNOTATED)


def test_one_line_a_fact(tmp_path):
    MINIATURES["padchest"](tmp_path / "data")
    (tmp_path / "data/0/2168_b.png").unlink()
    code, stdout, stderr = index(
        tmp_path / "data", tmp_path / "out", "--views", "PA", "L", "AP_horizontal", start=run
    )
    assert (code, stderr) == (0, "")
    assert stdout.splitlines() == [
        "layout: padchest",
        "images: 6 of 3 patients",
        "pairs: 2",
        "missing: 1 files named by the tables are not on the disk",
        "left out: 1 (projection EXCLUDE)",
        "patients by split: train 1, val 1, test 1",
        "note: 1 pairs are left out because nothing says which study came first",
    ]
    assert len(rows_of(tmp_path / "out/images.csv")) == 6


def test_help_imports_nothing_heavy():
    program = (
        "import sys, runpy; sys.argv = ['data.index', '--help']\n"
        "try: runpy.run_module('data.index', run_name='__main__')\n"
        "except SystemExit as stop: assert stop.code == 0\n"
        "assert not {'numpy', 'torch', 'pydicom', 'pyarrow', 'nibabel', 'skimage'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert "ROOT OUT" in done.stdout


def test_mistakes_are_one_line_and_exit_code_2(tmp_path):
    (tmp_path / "empty").mkdir()
    MINIATURES["dicom"](tmp_path / "data")
    MINIATURES["padchest"](tmp_path / "two")
    MINIATURES["nih"](tmp_path / "two")
    expected = {
        ("absent", "out"): "absent is no folder; give the folder of the data set",
        (
            "empty",
            "out",
        ): "has no layout known here; looked for mimic-cxr-jpg: mimic-cxr-2.*-metadata.csv(.gz); mimic-cxr:",
        (
            "two",
            "out",
        ): "looks like several data sets (nih: Data_Entry_2017*.csv; padchest: PADCHEST_chest_x_ray",
        (
            "data",
            "out",
            "--layout",
            "chexpert",
        ): "does not look like chexpert: it lacks train.csv or valid.csv",
        (
            "data",
            "out",
        ): "--key is missing: patients of DICOM files get pseudonyms; name a file to keep the key in",
    }
    for args, words in expected.items():
        code, stdout, stderr = index(*(tmp_path / arg if arg in ("out", args[0]) else arg for arg in args))
        assert (code, stdout) == (2, ""), args
        assert stderr.count("\n") == 1
        assert stderr.startswith("error: ")
        assert words in stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--val-fraction", "0"], "val_fraction is 0.0; it must be between 0 and 1"),
        (["--val-fraction", "0.5", "--test-fraction", "0.5"], "leave nothing to train on"),
        (["--workers", "-1"], "workers is -1; it must not be negative"),
        (["--views", "SIDEWAYS"], "views names 'SIDEWAYS'; the legal views are PA, AP, LATERAL"),
        (["--layout", "mimic"], "mimic-cxr-jpg"),
        (["--format", "xlsx"], "parquet"),
    ],
)
def test_options_that_do_not_fit_name_the_legal_values(args, words, tmp_path):
    code, _, stderr = index(tmp_path, tmp_path / "out", *args)
    assert code == 2
    assert stderr.count("\n") == 1
    assert words in stderr
