"""No name, birth date, number, UID or date of a patient leaves a DICOM archive."""

import ctypes
import subprocess
import sys

import pytest

from tests.data.index.miniatures import MIMIC, MINIATURES, nested, rows_of, write_dicom
from tests.micro import command_environment

KEY = "0123456789abcdef" * 4
NAMES = ("DOE", "JANE", "ROE", "RICHARD")
PLANTED = [
    *NAMES,
    *(
        "19650402",
        "1965",
        "ACC4711",
        "MRN-778899",
        "MRN-665544",
        "HOSPITAL-XYZ",
        "20190314",
        "20190614",
        "101112",
    ),
    *("1.2.826.0.1.3680043.9", "2.25.987654321", "555-0199", "Elm Street", "Dr. Watson"),
]


def plant(root):
    """Names and numbers in every tag that could carry them, in folders and in file names."""
    patients = (("DOE^JANE", "MRN-778899"), ("ROE^RICHARD", "MRN-665544"), ("DOE^JANE", "MRN-1"))
    for number, (name, patient) in enumerate(patients):
        for study, date in enumerate(("20190314", "20190614")):
            uid = f"1.2.826.0.1.3680043.9.{number}.{study}"
            folder = root / f"{name.replace('^', '_')}_19650402" / f"ACC4711-{date}" / uid
            write_dicom(
                folder / f"{uid}.{name.partition('^')[0]}",
                **{"PatientName": name, "PatientID": patient, "IssuerOfPatientID": "HOSPITAL-XYZ"},
                **{"PatientBirthDate": "19650402", "AccessionNumber": "ACC4711", "OtherPatientIDs": "MRN-2"},
                **{"PatientAddress": "1 Elm Street", "PatientTelephoneNumbers": "555-0199"},
                **{"ReferringPhysicianName": "Dr. Watson", "StudyDescription": f"{name} 19650402"},
                **{"StudyInstanceUID": uid, "SOPInstanceUID": f"2.25.987654321{number}{study}"},
                **{"StudyDate": date, "StudyTime": "101112", "AcquisitionDate": date, "ContentDate": date},
                **{"SeriesDescription": "DOE JANE PA 19650402", "BodyPartExamined": "JANE"},
                **{"ViewPosition": ("PA", "DOE^JANE", "AP")[number], "ProtocolName": "ROE"},
            )
    # Values that pydicom repeats in warnings: a UID and a character set that are none.
    odd = root / "DOE_JANE/odd_values.dcm"
    write_dicom(
        odd,
        PatientID="MRN-1",
        IssuerOfPatientID="HOSPITAL-XYZ",
        StudyInstanceUID="DOE^JANE",
        SpecificCharacterSet="ISO_IR 100",
    )
    odd.write_bytes(odd.read_bytes().replace(b"ISO_IR 100", b"MRN-778899"))
    write_dicom(root / "DOE_JANE/ct.dcm", Modality="CT", PatientName="DOE^JANE", PatientID="MRN-778899")
    write_dicom(root / "DOE_JANE/odd.dcm", Modality="DOE", PatientName="DOE^JANE")
    damaged = (root / "DOE_JANE/ct.dcm").read_bytes().replace(b"CT", b"DX")
    (root / "DOE_JANE/damaged.dcm").write_bytes(
        damaged.replace(b"\x28\x00\x10\x00US\x02", b"\x28\x00\x10\x00US\x03")
    )
    (root / "DOE_JANE/MRN-778899.txt").write_text("DOE^JANE")


def run(root, out, *args):
    return run_python("-m", "data.index", str(root), str(out), *args)


def run_python(*args):
    done = subprocess.run(
        [sys.executable, *args],
        capture_output=True,
        text=True,
        env=command_environment(),
        preexec_fn=heed_permissions,
    )
    return done.returncode, done.stdout, done.stderr


def heed_permissions():
    """Give up root's power to read whatever it likes: `CAP_DAC_OVERRIDE` and `CAP_DAC_READ_SEARCH`."""
    if sys.platform == "linux":
        for capability in (1, 2):
            ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)


@pytest.fixture
def lock():
    """Takes all permissions from a folder, until the test is over."""
    locked = []

    def lock(folder, mode=0):
        folder.chmod(mode)
        locked.append(folder)
        listing = f"import os; os.listdir({str(folder)!r}); os.stat({str(folder / 'x')!r})"
        if "PermissionError" not in run_python("-c", listing)[2]:
            pytest.skip("permissions do not bite here")

    yield lock
    for folder in locked:
        folder.chmod(0o700)


def everything_to_share(out):
    """Contents of the manifests, and names of all files and links below OUT."""
    texts = []
    for path in sorted(out.rglob("*")):
        is_public_file = path.is_file() and not path.is_symlink() and path.name != "refused.private.csv"
        texts.append(str(path.relative_to(out)))
        texts.append(path.read_text(encoding="latin-1") if is_public_file else "")
    return "\n".join(texts)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_nothing_planted_in_tags_or_paths_gets_out(ending, tmp_path):
    plant(tmp_path / "data")
    (tmp_path / "key").write_text(KEY)
    asked = ("--format", ending, "--include", "unknown-view", "unknown-region")
    code, stdout, stderr = run(tmp_path / "data", tmp_path / "out", "--key", str(tmp_path / "key"), *asked)
    assert code == 0, stderr
    assert "images: 7 of 3 patients" in stdout
    assert "pairs: 3" in stdout
    assert "left out: 1 (modality CT)" in stdout
    shared = everything_to_share(tmp_path / "out")
    assert f"images.{ending}" in shared
    for text in (shared, stdout, stderr):
        assert not [word for word in (*PLANTED, KEY) if word.lower() in text.lower()]
    private = (tmp_path / "out/refused.private.csv").read_text()
    assert "DOE_JANE/ct.dcm" in private
    assert KEY not in private


def test_an_error_names_nothing_either(tmp_path):
    write_dicom(
        tmp_path / "data/DOE_JANE/a.dcm", Modality="JANE", PatientName="DOE^JANE", PatientID="MRN-778899"
    )
    code, stdout, stderr = run(tmp_path / "data", tmp_path / "out", "--key", str(tmp_path / "key"))
    assert (code, stdout) == (2, "")
    assert stderr == (
        f"error: {tmp_path}/data holds no radiograph (another modality: 1); name another folder\n"
    )


@pytest.mark.parametrize("mode", [0o000, 0o400])
def test_a_folder_that_cannot_be_opened_is_left_out_and_not_named(mode, lock, tmp_path):
    plant(tmp_path / "data")
    lock(tmp_path / "data/ROE_RICHARD_19650402", mode)
    write_dicom(tmp_path / "data/third.dcm", PatientID="3", StudyDate="20200101")
    code, stdout, stderr = run(tmp_path / "data", tmp_path / "out", "--key", str(tmp_path / "key"))
    assert (code, stderr) == (0, "")
    assert "(folder cannot be opened)" in stdout
    shared = everything_to_share(tmp_path / "out")
    assert not [word for text in (shared, stdout) for word in PLANTED if word.lower() in text.lower()]
    private = (tmp_path / "out/refused.private.csv").read_text()
    assert "ROE_RICHARD_19650402" in private


@pytest.mark.parametrize("mode", [0o000, 0o400])
@pytest.mark.parametrize("place", ["DOE_JANE", "DOE_JANE/MRN-778899"])
def test_a_case_that_cannot_be_opened_is_left_out_and_not_named(place, mode, lock, tmp_path):
    nested(tmp_path / "data")
    (tmp_path / "data/anna").rename(tmp_path / "data/ROE")
    nested(tmp_path / "more")
    (tmp_path / "more/anna").rename(tmp_path / "data/DOE_JANE")
    (tmp_path / "data/DOE_JANE/p1").rename(tmp_path / "data/DOE_JANE/MRN-778899")
    lock(tmp_path / "data" / place, mode)
    code, stdout, stderr = run(tmp_path / "data", tmp_path / "out", "--key", str(tmp_path / "key"))
    assert (code, stderr) == (0, "")
    assert "layout: nested" in stdout
    assert "cannot be opened)" in stdout
    shared = everything_to_share(tmp_path / "out")
    assert not [word for text in (shared, stdout) for word in PLANTED if word.lower() in text.lower()]
    assert place in (tmp_path / "out/refused.private.csv").read_text()


@pytest.mark.parametrize("mode", [0o000, 0o400])
@pytest.mark.parametrize("name", ["mimic-cxr-jpg", "padchest", "vindr", "nested", "dicom"])
def test_a_root_that_cannot_be_read_is_one_line_without_names(name, mode, lock, tmp_path):
    MINIATURES[name](tmp_path / "data/DOE_JANE")
    (tmp_path / "data/DOE_JANE").rename(tmp_path / "data/set")
    lock(tmp_path / "data/set", mode)
    code, stdout, stderr = run(tmp_path / "data/set", tmp_path / "out", "--key", str(tmp_path / "key"))
    assert (code, stdout, stderr.count("\n")) == (2, "", 1)
    assert stderr.startswith("error: ")
    if mode == 0:
        message = f"{tmp_path}/data/set cannot be listed (Permission denied); make it readable"
        assert stderr == f"error: {message}\n"
    else:
        assert not [path.name for path in (tmp_path / "data/set").iterdir() if path.name in stderr]


@pytest.mark.parametrize("place", ["data", "out"])
def test_what_lies_behind_a_closed_folder_is_one_line(place, lock, tmp_path):
    plant(tmp_path / "closed/data")
    (tmp_path / "closed/out").mkdir()
    lock(tmp_path / "closed")
    root, out = (tmp_path / "closed" / name if name == place else tmp_path / name for name in ("data", "out"))
    if place == "out":
        plant(root)
    code, stdout, stderr = run(root, out, "--key", str(tmp_path / "key"))
    assert (code, stdout, stderr.count("\n")) == (2, "", 1)
    assert "Permission denied" in stderr
    assert not [word for word in PLANTED if word.lower() in stderr.lower()]


def test_an_out_that_cannot_be_listed_is_one_line(lock, tmp_path):
    plant(tmp_path / "data")
    (tmp_path / "out").mkdir()
    lock(tmp_path / "out")
    code, stdout, stderr = run(tmp_path / "data", tmp_path / "out", "--key", str(tmp_path / "key"))
    assert (code, stdout) == (2, "")
    assert stderr == f"error: {tmp_path}/out cannot be listed (Permission denied); name another folder\n"


def test_an_error_of_the_system_that_nobody_expected_names_no_path(tmp_path):
    program = (
        "import data.index.indexer as indexer, runpy, sys\n"
        "def fail(*_): raise PermissionError(13, 'Permission denied', '/archive/DOE_JANE')\n"
        "indexer.choose_layout = fail\n"
        "sys.argv = ['data.index', *sys.argv[1:]]\n"
        "runpy.run_module('data.index', run_name='__main__')\n"
    )
    code, stdout, stderr = run_python("-c", program, str(tmp_path), str(tmp_path / "out"))
    assert (code, stdout) == (2, "")
    assert stderr == ("error: Permission denied; see that all of ROOT can be read and OUT be written\n")


def test_pseudonyms_follow_the_key_alone(tmp_path):
    plant(tmp_path / "data")
    columns = []
    for name, key in (("a", KEY), ("b", KEY), ("c", KEY[::-1])):
        (tmp_path / f"key_{name}").write_text(key)
        code, _, _ = run(tmp_path / "data", tmp_path / name, "--key", str(tmp_path / f"key_{name}"))
        assert code == 0
        columns.append(
            {
                column: {row[column] for row in rows_of(tmp_path / name / "images.csv")}
                for column in ("id", "patient_id")
            }
        )
        # The same data elsewhere, under other names, keeps its pseudonyms.
        if name == "a":
            for number, folder in enumerate(sorted((tmp_path / "data").iterdir())):
                folder.rename(tmp_path / "data" / str(number))
    first, again, other = columns
    assert first == again
    assert not first["id"] & other["id"]
    assert not first["patient_id"] & other["patient_id"]


def test_a_published_data_set_can_have_pseudonyms_too(tmp_path):
    MINIATURES["mimic-cxr-jpg"](tmp_path / "data")
    (tmp_path / "key").write_text(KEY)
    code, stdout, stderr = run(tmp_path / "data", tmp_path / "out", "--key", str(tmp_path / "key"))
    assert code == 0, stderr
    shared = everything_to_share(tmp_path / "out") + stdout
    for name, subject, study, *_ in MIMIC:
        assert not [word for word in (name, name[:8], str(subject), str(study)) if word in shared]
    images = rows_of(tmp_path / "out/images.csv")
    assert all(
        row["image"].endswith(".jpg") and (tmp_path / "out" / row["image"]).is_file() for row in images
    )
    assert [row["patient_id"] for row in images] == sorted(row["patient_id"] for row in images)
