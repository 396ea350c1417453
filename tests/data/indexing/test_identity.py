"""No name, birth date, number, UID or date of a patient leaves a DICOM archive."""

import subprocess
import sys

import pytest

from tests.data.indexing.miniatures import MIMIC, MINIATURES, rows_of, write_dicom
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
    command = [sys.executable, "-m", "data.index", str(root), str(out), *args]
    done = subprocess.run(command, capture_output=True, text=True, env=command_environment())
    return done.returncode, done.stdout, done.stderr


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
    code, stdout, stderr = run(
        tmp_path / "data", tmp_path / "out", "--key", str(tmp_path / "key"), "--format", ending
    )
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
