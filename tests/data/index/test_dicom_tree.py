"""Any tree of DICOM files: what its headers make of it."""

import os
import stat

import pydicom
import pytest
from pydicom.dataset import Dataset

from data.base.errors import DataError, UserError
from data.base.processes import ProcessDiedError
from data.index import headers
from data.index.headers import Header, read_header, read_headers
from data.index.indexer import index
from tests.data.index.miniatures import dicom, options, rows_of, write_dicom


@pytest.fixture
def run(tmp_path):
    def run(**changes):
        summary = index(options(tmp_path, key=tmp_path / "key", **changes))
        pairs = tmp_path / "out/pairs.csv"
        return summary, rows_of(tmp_path / "out/images.csv"), rows_of(pairs) if pairs.exists() else []

    return run


def source_of(tmp_path, link):
    """Name of the file that a link of the manifest leads to."""
    return (tmp_path / "out" / link).resolve().name


def write_others(root):
    """Patients without pairs: splits need three."""
    for number in range(3):
        write_dicom(root / f"other{number}.dcm", PatientID=f"other{number}", StudyDate="20200101")


def pairs_of_files(tmp_path, pairs):
    return {(source_of(tmp_path, row["baseline"]), source_of(tmp_path, row["followup"])) for row in pairs}


def test_studies_of_a_patient_are_paired_by_view_and_date(run, tmp_path):
    dicom(tmp_path / "data")
    summary, images, pairs = run()
    assert (summary.images, summary.patients, summary.pairs) == (6, 3, 2)
    assert {(row["view"], row["days"]) for row in pairs} == {("PA", "30"), ("LATERAL", "10")}
    assert pairs_of_files(tmp_path, pairs) == {("0.dcm", "3.dcm"), ("1.dcm", "2.dcm")}
    for row in images:
        link = tmp_path / "out" / row["image"]
        assert link.is_symlink()
        assert not link.readlink().is_absolute()
        assert row["image"].split("/")[:2] == ["files", row["patient_id"]]
        assert row["id"].startswith(row["patient_id"] + "/")


def test_what_is_no_radiograph_is_counted_by_reason_and_listed_in_private(run, tmp_path):
    root = tmp_path / "data"
    dicom(root)
    write_dicom(root / "ct.dcm", Modality="CT")
    write_dicom(root / "odd.dcm", Modality="JANE")
    write_dicom(root / "none.dcm", Modality=None)
    write_dicom(root / "report.dcm", Modality="SR", Rows=None, Columns=None, pixels=False)
    write_dicom(root / "empty_image.dcm", Rows=None, Columns=None, pixels=False)
    write_dicom(root / "colour.dcm", Modality="SC", SamplesPerPixel=3, PhotometricInterpretation="RGB")
    write_dicom(root / "palette.dcm", Modality="OT", PhotometricInterpretation="PALETTE COLOR")
    write_dicom(root / "cine.dcm", NumberOfFrames=2)
    write_dicom(root / "nobody.dcm", PatientID=None)
    write_dicom(root / "no_study.dcm", StudyInstanceUID=None)
    (root / "copy.dcm").write_bytes((root / "0.dcm").read_bytes())
    (root / "notes.txt").write_text("notes")
    (root / "empty.dcm").write_bytes(b"")
    (root / "garbage.dcm").write_bytes(bytes(range(256)) * 4)
    (root / "broken").symlink_to("nowhere")
    os.mkfifo(root / "pipe")
    write_dicom(root / "damaged.dcm", NumberOfFrames=1)
    intact = (root / "damaged.dcm").read_bytes()
    (root / "damaged.dcm").write_bytes(intact.replace(b"IS\x02\x001 ", b"IS\x02\x00??"))
    (root / ".hidden.dcm").write_bytes(intact)
    summary, _, _ = run()
    assert summary.images == 6
    assert summary.refused == {
        "modality CT": 1,
        "another modality": 1,
        "no modality": 1,
        "modality SR": 1,
        "not an image": 1,
        "in colour": 2,
        "several frames": 1,
        "no patient ID": 1,
        "no study or image UID": 1,
        "the same image again": 1,
        "not DICOM": 3,
        "damaged header": 1,
        "cannot be opened": 1,
        "not a regular file": 1,
    }
    private = tmp_path / "out/refused.private.csv"
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    listed = {row["path"]: row["reason"] for row in rows_of(private)}
    assert len(listed) == summary.refused.total() == 17
    assert listed["ct.dcm"] == "modality CT"
    assert listed["copy.dcm"] == "the same image again"
    assert any(
        "refused.private.csv lists the files left out; it is private" in note for note in summary.notes
    )


def test_a_tree_without_radiographs_is_an_error_that_counts_reasons(run, tmp_path):
    write_dicom(tmp_path / "data/a.dcm", Modality="CT")
    write_dicom(tmp_path / "data/b.dcm", Modality="CT")
    with pytest.raises(DataError, match=r"holds no radiograph \(modality CT: 2\); name another folder"):
        run()
    assert not (tmp_path / "key").exists()


def test_a_key_is_required(tmp_path):
    dicom(tmp_path / "data")
    with pytest.raises(UserError, match="--key is missing"):
        index(options(tmp_path))


@pytest.mark.parametrize("name", ["plain.dcm", "1.2.840.113", "IM0001", "image.IMA"])
def test_files_are_told_by_content_and_read_without_preamble(name, run, tmp_path):
    dicom(tmp_path / "data")
    data = (tmp_path / "data/0.dcm").read_bytes()
    (tmp_path / "data/0.dcm").unlink()
    (tmp_path / "data" / name).write_bytes(data)
    assert isinstance(read_header(str(tmp_path / "data" / name)), Header)
    assert run()[0].images == 6
    if name != "1.2.840.113":  # without its mark, a file of an unknown suffix is not worth guessing
        (tmp_path / "data" / name).write_bytes(data[132:])
        assert run(overwrite=True)[0].images == 6


def test_a_tree_without_any_mark_is_told_by_its_names(tmp_path):
    dicom(tmp_path / "data")
    for path in (tmp_path / "data").iterdir():
        path.write_bytes(path.read_bytes()[132:])
    assert index(options(tmp_path, key=tmp_path / "key")).images == 6


def test_equal_numbers_of_two_issuers_are_two_patients(run, tmp_path):
    write_others(tmp_path / "data")
    for number, issuer in enumerate(("HOSPITAL A", "HOSPITAL B", None)):
        write_dicom(tmp_path / f"data/{number}.dcm", PatientID="1", IssuerOfPatientID=issuer)
    assert run()[0].patients == 6


@pytest.mark.parametrize(
    "tags",
    [
        {"PatientID": "mrn777"},
        {"PatientID": "MRN 777"},
        {"PatientID": " MRN777"},
        {"PatientID": "MRN-0777"},
        {"PatientID": "MRN_777.0"},
        {"PatientID": "MRN777", "IssuerOfPatientID": "A"},
    ],
)
@pytest.mark.parametrize("seed", range(4))
def test_one_number_in_several_spellings_is_in_one_split(tags, seed, run, tmp_path):
    root = tmp_path / "data"
    for number in range(12):
        write_dicom(root / f"{number}.dcm", PatientID=f"other{number}")
    write_dicom(root / "first.dcm", PatientID="MRN777", IssuerOfPatientID="B", StudyDate="20200101")
    write_dicom(root / "second.dcm", StudyDate="20200102", **tags)
    summary, images, pairs = run(split_seed=seed, val_fraction=0.3, test_fraction=0.3)
    split_of = {source_of(tmp_path, row["image"]): row["split"] for row in images}
    assert split_of["first.dcm"] == split_of["second.dcm"]
    assert (summary.patients, pairs) == (14, [])
    assert (
        "1 patient numbers occur in several spellings or with several issuers; these count as patients of "
        "their own, but stay in one split"
    ) in summary.notes


@pytest.mark.parametrize("seed", range(4))
def test_patients_of_one_study_are_in_one_split_and_so_is_what_they_link(seed, run, tmp_path):
    root = tmp_path / "data"
    for number in range(12):
        write_dicom(root / f"{number}.dcm", PatientID=f"other{number}")
    for name, patient, study in (("a", "P1", "1"), ("b", "P2", "1"), ("c", "p2", "2"), ("d", "P3", "2")):
        write_dicom(root / f"{name}.dcm", PatientID=patient, StudyInstanceUID=f"2.25.{study}")
    summary, images, _ = run(split_seed=seed, val_fraction=0.3, test_fraction=0.3)
    split_of = {source_of(tmp_path, row["image"]): row["split"] for row in images}
    assert len({split_of[f"{name}.dcm"] for name in "abcd"}) == 1
    assert "2 studies carry several patient numbers; their patients stay in one split" in summary.notes


def test_too_few_persons_to_split_are_counted(run, tmp_path):
    for number in range(4):
        write_dicom(tmp_path / f"data/{number}.dcm", PatientID=f"{number}", StudyInstanceUID="2.25.1")
    with pytest.raises(DataError, match=r"the 4 patients may be only 1 person\(s\), as they share"):
        run()
    assert not (tmp_path / "key").exists()


def code(value, meaning):
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "SCT", meaning
    return [item]


@pytest.mark.parametrize(
    ("tags", "view"),
    [
        ({"ViewPosition": "PA"}, "PA"),
        ({"ViewPosition": "ll"}, "LATERAL"),
        ({"ViewPosition": "DOE^JANE"}, "unknown"),
        ({"ViewCodeSequence": code("272479007", "")}, "PA"),
        ({"ViewCodeSequence": code("X", "antero-posterior")}, "AP"),
        ({"ViewPosition": "", "ViewCodeSequence": code("399173006", "left lateral")}, "LATERAL"),
        ({"SeriesDescription": "W033 Chest PA"}, "PA"),
        ({"SeriesDescription": "Thorax lat."}, "LATERAL"),
        ({"SeriesDescription": "Chest PA and Lat"}, "unknown"),
        ({"SeriesDescription": "Chest, Pat. supine"}, "unknown"),
        ({"ViewPosition": "AP", "SeriesDescription": "Chest PA"}, "AP"),
        ({}, "unknown"),
    ],
)
def test_the_view_is_found_cautiously(tags, view, tmp_path):
    write_dicom(tmp_path / "a.dcm", **{"ViewPosition": None, **tags})
    header = read_header(str(tmp_path / "a.dcm"))
    assert isinstance(header, Header)
    assert header.view == view


@pytest.mark.parametrize("asked", [{"include": ("unknown-view",)}, {"views": ("PA", "unknown")}])
def test_unknown_views_pair_only_with_each_other_and_only_where_asked_for(asked, run, tmp_path):
    root = tmp_path / "data"
    write_others(root)
    for number, (view, date) in enumerate(
        (("PA", "20200101"), (None, "20200102"), ("PA", "20200103"), (None, "20200104"))
    ):
        write_dicom(root / f"{number}.dcm", PatientID="A", ViewPosition=view, StudyDate=date)
    summary, _, pairs = run()
    assert pairs_of_files(tmp_path, pairs) == {("0.dcm", "2.dcm")}
    assert (
        "2 images are in no pair: nothing says which view they are (--include unknown-view)" in summary.notes
    )
    _, _, pairs = run(overwrite=True, **asked)
    assert pairs_of_files(tmp_path, pairs) == {("0.dcm", "2.dcm"), ("1.dcm", "3.dcm")}


def test_other_parts_of_the_body_are_paired_among_themselves(run, tmp_path):
    root = tmp_path / "data"
    write_others(root)
    parts = (("CHEST", "U"), ("HAND", "L"), ("HAND", "R"), ("", "L"), ("HAND", "L"), ("T\xf3rax", None))
    for number, (part, side) in enumerate(parts):
        tags = {"PatientID": "A", "ViewPosition": "PA", "BodyPartExamined": part, "ImageLaterality": side}
        write_dicom(root / f"{number}.dcm", StudyDate=f"2020010{number + 1}", **tags)
    _, _, pairs = run()
    assert pairs_of_files(tmp_path, pairs) == {("0.dcm", "5.dcm"), ("1.dcm", "4.dcm")}
    assert sorted(row["id"].rpartition("-PA")[2] for row in pairs) == ["", "-HAND_LEFT"]


def test_the_date_of_acquisition_stands_in_and_studies_without_any_are_not_paired(run, tmp_path):
    root = tmp_path / "data"
    write_others(root)
    dates = (
        {"StudyDate": "20200101", "StudyTime": "1200"},
        {"AcquisitionDate": "2020.01.05", "AcquisitionTime": "09:00:00"},
        {},
        {"StudyDate": "", "AcquisitionDate": ""},
    )
    for number, tags in enumerate(dates):
        write_dicom(root / f"{number}.dcm", PatientID="A", **tags)
    summary, _, pairs = run()
    assert pairs_of_files(tmp_path, pairs) == {("0.dcm", "1.dcm")}
    assert pairs[0]["days"] == "4"
    assert "2 images carry no date and are in no pair" in summary.notes


def test_studies_of_one_day_need_times(run, tmp_path):
    root = tmp_path / "data"
    write_others(root)
    for patient, times in (("A", ("100000", "090000")), ("B", ("100000", None))):
        for number, time in enumerate(times):
            tags = {"PatientID": patient, "StudyDate": "20200101", "StudyTime": time}
            write_dicom(root / f"{patient}{number}.dcm", **tags)
    summary, _, pairs = run()
    assert pairs_of_files(tmp_path, pairs) == {("A1.dcm", "A0.dcm")}
    assert pairs[0]["days"] == "0"
    assert "1 pairs are left out because nothing says which study came first" in summary.notes


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (
            {"AcquisitionTime": "100000", "InstanceNumber": 2},
            {"AcquisitionTime": "100001", "InstanceNumber": 1},
        ),
        (
            {"AcquisitionTime": "100000.5", "InstanceNumber": 1},
            {"AcquisitionTime": "100000.5", "InstanceNumber": 2},
        ),
        (
            {"PresentationIntentType": "FOR PRESENTATION", "AcquisitionTime": "110000"},
            {"PresentationIntentType": "FOR PROCESSING", "AcquisitionTime": "100000"},
        ),
    ],
)
@pytest.mark.parametrize("names", ["ab", "ba"])
def test_the_first_image_of_a_view_stands_for_its_study(first, second, names, run, tmp_path):
    root = tmp_path / "data"
    write_others(root)
    study = {"PatientID": "A", "StudyInstanceUID": "2.25.1", "StudyDate": "20200101"}
    write_dicom(root / f"{names[0]}.dcm", **study, **first)
    write_dicom(root / f"{names[1]}.dcm", **study, **second)
    write_dicom(root / "later.dcm", PatientID="A", StudyDate="20200201")
    summary, _, pairs = run()
    assert pairs_of_files(tmp_path, pairs) == {(f"{names[0]}.dcm", "later.dcm")}
    assert summary.images == 6


def test_links_to_folders_are_followed_once_and_names_need_not_be_utf8(run, tmp_path):
    root = tmp_path / "data"
    dicom(root)
    (root / "loop").symlink_to(root)
    elsewhere = tmp_path / "elsewhere"
    write_dicom(elsewhere / "x.dcm", PatientID="elsewhere")
    (root / "linked").symlink_to(elsewhere)
    latin = root / os.fsdecode(b"J\xfcrgen")
    write_dicom(root / "odd.dcm", PatientID="odd")
    latin.mkdir()
    (root / "odd.dcm").rename(latin / os.fsdecode(b"M\xfcller.dcm"))
    (latin / "x.txt").write_text("text")
    summary, images, _ = run()
    assert (summary.images, summary.patients) == (8, 5)
    assert os.fsencode("M\udcfcller.dcm") in {
        os.fsencode(source_of(tmp_path, row["image"])) for row in images
    }
    assert "1 files lie outside ROOT, where links lead" in summary.notes
    assert b"J\xfcrgen/x.txt" in (tmp_path / "out/refused.private.csv").read_bytes()


def test_a_folder_that_cannot_be_opened_is_counted(run, tmp_path, monkeypatch):
    dicom(tmp_path / "data")
    (tmp_path / "data/locked").mkdir()
    scandir = os.scandir

    def refuse(folder):
        if str(folder).endswith("locked"):
            raise PermissionError(13, "Permission denied", folder)
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    assert run()[0].refused == {"folder cannot be opened": 1}
    assert rows_of(tmp_path / "out/refused.private.csv")[0]["path"] == "locked"


def test_an_index_inside_the_tree_is_not_part_of_it(tmp_path):
    dicom(tmp_path / "data")
    config = options(tmp_path, key=tmp_path / "key", out=tmp_path / "data/index")
    first = index(config)
    before = {name: (tmp_path / "data/index" / name).read_text() for name in ("images.csv", "pairs.csv")}
    config.overwrite = True
    assert index(config) == first.__class__(**{**vars(first), "notes": []})
    assert all((tmp_path / "data/index" / name).read_text() == text for name, text in before.items())


def test_processes_read_what_one_process_reads(tmp_path, monkeypatch):
    monkeypatch.setattr(headers, "_WORTH_A_POOL", 0)
    paths = []
    for number in range(150):
        write_dicom(tmp_path / f"{number}.dcm", PatientID=f"p{number}", Modality="CR" if number % 3 else "CT")
        paths.append(str(tmp_path / f"{number}.dcm"))
    together, alone = list(read_headers(paths, 2)), list(read_headers(paths, 1))
    assert together == alone
    assert [isinstance(header, Header) for header in alone] == [bool(number % 3) for number in range(150)]


def test_a_linked_file_outside_is_counted_and_one_inside_is_not(run, tmp_path):
    root = tmp_path / "data"
    dicom(root)
    write_dicom(tmp_path / "elsewhere.dcm", PatientID="elsewhere")
    (root / "outside.dcm").symlink_to(tmp_path / "elsewhere.dcm")
    (root / "inside.dcm").symlink_to(root / "0.dcm")
    summary, _, _ = run()
    assert "1 files lie outside ROOT, where links lead" in summary.notes


def test_a_process_that_dies_is_one_line(monkeypatch):
    def die(*_, **__):
        raise ProcessDiedError([0], [])

    monkeypatch.setattr(headers, "in_processes", die)
    with pytest.raises(UserError, match=r"^a worker process died: either memory ran out") as caught:
        list(read_headers(["a.dcm"], 1))
    assert "\n" not in str(caught.value)


def test_no_header_of_pydicoms_own_files_raises():
    from pathlib import Path

    files = [str(path) for path in (Path(pydicom.__file__).parent / "data").rglob("*") if path.is_file()]
    found = list(read_headers(files, 1))
    assert len(found) == len(files) > 100
    assert all(isinstance(header, (Header, str)) for header in found)
    assert any(isinstance(header, Header) for header in found)
