"""Which image is it: what is unknown, raw, derived or burned-in is in no pair unless it is asked for."""

import pytest
from pydicom.dataset import Dataset

from data.base.errors import DataError
from data.index.headers import Header, read_header
from data.index.indexer import index
from tests.data.index.miniatures import mimic_cxr, mimic_cxr_jpg, nested, options, rows_of, write_dicom
from tests.data.index.test_dicom_tree import pairs_of_files, source_of, write_others

CAPTURE = {
    "SOPClassUID": "1.2.840.10008.5.1.4.1.1.7",
    "ImageType": ["DERIVED", "SECONDARY"],
    "InstanceNumber": 1,
}
RAW = {"PresentationIntentType": "FOR PROCESSING"}


@pytest.fixture
def run(tmp_path):
    def run(**changes):
        summary = index(options(tmp_path, key=tmp_path / "key", overwrite=True, **changes))
        pairs = tmp_path / "out/pairs.csv"
        return summary, rows_of(tmp_path / "out/images.csv"), rows_of(pairs) if pairs.exists() else []

    return run


def study(tmp_path, name, year, **tags):
    tags = {"PatientID": "A", "StudyDate": f"{year}0101", "StudyTime": "120000", **tags}
    write_dicom(tmp_path / f"data/{name}.dcm", **tags)


def code(value, meaning, **further):
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "SCT", meaning
    for name, cell in further.items():
        setattr(item, name, cell)
    return [item]


@pytest.mark.parametrize(
    ("tags", "region"),
    [
        ({"BodyPartExamined": "CHEST"}, ""),
        ({"BodyPartExamined": "T\xf3rax"}, ""),
        ({"BodyPartExamined": "Jane"}, "unknown"),
        ({"AnatomicRegionSequence": code("72696002", "Knee"), "ImageLaterality": "L"}, "KNEE_LEFT"),
        ({"AnatomicRegionSequence": code("T-D3000", "")}, ""),
        ({"AnatomicRegionSequence": code("X", "Abdomen")}, "ABDOMEN"),
        (
            {
                "AnatomicRegionSequence": code(
                    "72696002", "Knee", AnatomicRegionModifierSequence=code("24028007", "Right")
                )
            },
            "KNEE_RIGHT",
        ),
        ({"BodyPartExamined": "CHEST", "AnatomicRegionSequence": code("72696002", "Knee")}, "several"),
        ({"BodyPartExamined": "KNEE"}, "KNEE"),
        ({"BodyPartExamined": "KNEE", "Laterality": "B"}, "KNEE_BOTH"),
        ({"StudyDescription": "XR KNEE LEFT AP"}, "KNEE_LEFT"),
        ({"StudyDescription": "XR CHEST AP PORTABLE"}, ""),
        ({"StudyDescription": "XR CHEST AND ABDOMEN"}, "several"),
        ({"SeriesDescription": "AP", "ProtocolName": "Thorax", "StudyDescription": "Trauma: pelvis"}, ""),
        ({"PerformedProcedureStepDescription": "Thoracic spine lat"}, "TSPINE"),
        ({"BodyPartExamined": "CHEST", "StudyDescription": "XR CHEST, XR KNEE"}, ""),
        ({}, "unknown"),
    ],
)
def test_the_region_is_found_cautiously(tags, region, tmp_path):
    write_dicom(tmp_path / "a.dcm", **{"BodyPartExamined": None, **tags})
    header = read_header(str(tmp_path / "a.dcm"))
    assert isinstance(header, Header)
    assert header.region == region


@pytest.mark.parametrize(
    ("tags", "marks"),
    [
        ({}, set()),
        (RAW, {"raw"}),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.1.1"}, {"raw"}),
        (CAPTURE, {"derived"}),
        ({"SOPClassUID": CAPTURE["SOPClassUID"]}, {"derived"}),
        ({"SOPClassUID": CAPTURE["SOPClassUID"], "ConversionType": "DF"}, set()),
        ({"ImageType": ["ORIGINAL", "SECONDARY"]}, {"derived"}),
        # What many systems call the film that they process for presentation.
        ({"ImageType": ["DERIVED", "PRIMARY"], "PresentationIntentType": "FOR PRESENTATION"}, set()),
        ({"ImageType": ["DERIVED", "PRIMARY", "", "SUBTRACTION"]}, {"derived"}),
        ({"ImageType": ["DERIVED", "PRIMARY"], "DerivationDescription": "Bone suppressed"}, {"derived"}),
        ({"BurnedInAnnotation": "YES"}, {"burned-in"}),
        ({"BurnedInAnnotation": "NO"}, set()),
        ({**RAW, "BurnedInAnnotation": "yes"}, {"raw", "burned-in"}),
    ],
)
def test_an_image_says_what_it_is(tags, marks, tmp_path):
    write_dicom(tmp_path / "a.dcm", **tags)
    header = read_header(str(tmp_path / "a.dcm"))
    assert isinstance(header, Header)
    assert header.marks == marks


def test_a_knee_is_no_chest_and_sides_stay_apart(run, tmp_path):
    write_others(tmp_path / "data")
    knee = {"BodyPartExamined": None, "AnatomicRegionSequence": code("72696002", "Knee")}
    study(tmp_path, "knee", 2011, **knee, ImageLaterality="L")
    study(tmp_path, "chest", 2012)
    study(tmp_path, "other_knee", 2013, **knee, ImageLaterality="R")
    study(tmp_path, "next_chest", 2014)
    study(tmp_path, "unsided", 2015, **knee)
    study(tmp_path, "unnamed", 2016, BodyPartExamined=None)
    study(tmp_path, "again", 2017, BodyPartExamined=None)
    summary, images, pairs = run()
    assert pairs_of_files(tmp_path, pairs) == {("chest.dcm", "next_chest.dcm")}
    assert [note for note in summary.notes if "3 images are in no pair" in note and "unknown-region" in note]
    regions = {source_of(tmp_path, row["image"]): row["region"] for row in images}
    assert (regions["knee.dcm"], regions["chest.dcm"], regions["again.dcm"]) == (
        "KNEE_LEFT",
        "CHEST",
        "unknown",
    )
    _, _, pairs = run(include=("unknown-region",))
    assert pairs_of_files(tmp_path, pairs) == {
        ("chest.dcm", "next_chest.dcm"),
        ("unnamed.dcm", "again.dcm"),
    }


def test_raw_images_are_in_no_pair_and_where_asked_for_paired_among_themselves(run, tmp_path):
    write_others(tmp_path / "data")
    study(tmp_path, "a", 2011)
    study(tmp_path, "raw", 2012, **RAW)
    study(tmp_path, "b", 2013, StudyInstanceUID="2.25.7")
    study(tmp_path, "raw_too", 2013, StudyInstanceUID="2.25.7", **RAW)
    summary, images, pairs = run()
    assert pairs_of_files(tmp_path, pairs) == {("a.dcm", "b.dcm")}
    reason = "2 images are in no pair: raw detector data, FOR PROCESSING (--include raw)"
    assert reason in summary.notes
    assert sum(row["doubts"] == "raw" for row in images) == 2
    _, _, pairs = run(include=("raw",))
    assert pairs_of_files(tmp_path, pairs) == {("a.dcm", "b.dcm"), ("raw.dcm", "raw_too.dcm")}
    assert len({row["id"] for row in pairs}) == 2


@pytest.mark.parametrize("film", [{"ImageType": ["ORIGINAL", "PRIMARY"]}, {}])
def test_a_capture_never_stands_for_a_film(film, run, tmp_path):
    write_others(tmp_path / "data")
    time = {"AcquisitionTime": "101011", "InstanceNumber": 9}
    study(tmp_path, "film", 2011, StudyInstanceUID="2.25.7", **film, **time)
    study(tmp_path, "capture", 2011, StudyInstanceUID="2.25.7", **CAPTURE)
    study(tmp_path, "next", 2012, **film, **time)
    study(tmp_path, "lonely", 2013, **CAPTURE)
    summary, images, pairs = run()
    assert pairs_of_files(tmp_path, pairs) == {("film.dcm", "next.dcm")}
    assert any(note.startswith("2 images are in no pair: secondary captures") for note in summary.notes)
    assert len(images) == 7
    _, _, pairs = run(include=("derived",))
    assert pairs_of_files(tmp_path, pairs) == {("film.dcm", "next.dcm"), ("next.dcm", "lonely.dcm")}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"AcquisitionTime": "120000"}, {}),
        ({"InstanceNumber": 3}, {}),
        ({"ImageType": ["ORIGINAL", "PRIMARY"]}, {"ImageType": ["DERIVED", "PRIMARY"], "InstanceNumber": 1}),
    ],
)
@pytest.mark.parametrize("names", ["ab", "ba"])
def test_what_a_tag_does_not_say_comes_last(first, second, names, run, tmp_path):
    write_others(tmp_path / "data")
    study(tmp_path, names[0], 2011, StudyInstanceUID="2.25.7", **first)
    study(tmp_path, names[1], 2011, StudyInstanceUID="2.25.7", **second)
    study(tmp_path, "later", 2012)
    assert pairs_of_files(tmp_path, run()[2]) == {(f"{names[0]}.dcm", "later.dcm")}


def test_burned_in_text_stays_out_of_both_manifests(run, tmp_path):
    write_others(tmp_path / "data")
    study(tmp_path, "a", 2011)
    study(tmp_path, "named", 2012, BurnedInAnnotation="YES")
    study(tmp_path, "b", 2013)
    summary, images, pairs = run()
    reason = "text is burned in; --include burned-in takes them"
    assert summary.refused == {reason: 1}
    assert "named.dcm" not in {source_of(tmp_path, row["image"]) for row in images}
    assert pairs_of_files(tmp_path, pairs) == {("a.dcm", "b.dcm")}
    assert rows_of(tmp_path / "out/refused.private.csv") == [{"path": "named.dcm", "reason": reason}]
    summary, images, pairs = run(include=("burned-in",))
    assert (len(images), not summary.refused) == (6, True)
    assert pairs_of_files(tmp_path, pairs) == {("a.dcm", "named.dcm"), ("named.dcm", "b.dcm")}


def test_nothing_but_burned_in_text_is_an_error_that_says_what_takes_it(run, tmp_path):
    write_dicom(tmp_path / "data/a.dcm", BurnedInAnnotation="YES")
    with pytest.raises(
        DataError, match=r"all 1 images say that text is burned into them.* --include burned-in"
    ):
        run()


def test_mimic_by_tables_pairs_neither_unknown_views_nor_other_parts_of_the_body(tmp_path):
    import csv
    import gzip

    mimic_cxr_jpg(tmp_path / "data")
    path = tmp_path / "data/mimic-cxr-2.0.0-metadata.csv.gz"
    with gzip.open(path, "rt", newline="") as file:
        header, *rows = csv.reader(file)
    for row in rows:
        if row[1] == "10000032":
            row[header.index("ViewPosition")] = ""
        if row[1] == "11000183":
            procedure = (
                "ABDOMEN (SUPINE ONLY)" if row[2] == "51967845" else "TRAUMA #2 (AP CXR & PELVIS PORT)"
            )
            row[header.index("PerformedProcedureStepDescription")] = procedure
            row[header.index("ProcedureCodeSequence_CodeMeaning")] = ""
    with gzip.open(path, "wt", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    summary = index(options(tmp_path))
    assert summary.pairs == 0
    assert (
        "7 images are in no pair: nothing says which view they are (--include unknown-view)" in summary.notes
    )
    assert any("1 images are in no pair" in note and "unknown-region" in note for note in summary.notes)
    assert index(options(tmp_path, include=("unknown-view",), overwrite=True)).pairs == 2


def test_mimic_by_headers_heeds_what_images_say(tmp_path):
    mimic_cxr(tmp_path / "data")
    first = sorted((tmp_path / "data/files").rglob("*.dcm"))[0]
    assert index(options(tmp_path)).images == 9
    write_dicom(first, PatientID="10000032", StudyInstanceUID="2.25.1", BurnedInAnnotation="YES")
    summary = index(options(tmp_path, overwrite=True))
    assert (summary.images, summary.refused.total()) == (8, 1)


def test_nested_pairs_heed_what_dicom_files_say(run, tmp_path):
    nested(tmp_path / "data")
    for case, tags in (("dora", RAW), ("emil", {"BurnedInAnnotation": "YES"}), ("fred", {"PatientID": None})):
        for name in ("prior", "current"):
            write_dicom(tmp_path / f"data/{case}/p1/{name}.dcm", **(tags if name == "prior" else {}))
    summary, images, pairs = run()
    assert (len(images), len(pairs)) == (13, 5)
    assert summary.refused == {"text is burned in; --include burned-in takes them": 1}
    assert "1 images are in no pair: raw detector data, FOR PROCESSING (--include raw)" in summary.notes
    assert len(run(include=("raw", "burned-in"))[2]) == 7


def test_a_radiograph_of_two_cases_is_taken_once(run, tmp_path):
    nested(tmp_path / "data")
    shared = tmp_path / "data/carl/p1/prior.nii.gz"
    shared.unlink()
    shared.symlink_to("../../anna/p1/current.nii.gz")
    nested(tmp_path / "more")
    (tmp_path / "more/bert").rename(tmp_path / "data/dora")
    summary, _, pairs = run()
    assert summary.refused == {"pair with a radiograph of another case": 1}
    assert len(pairs) == 4
    assert summary.splits == {"train": 1, "val": 1, "test": 1}


@pytest.mark.parametrize("seed", range(4))
def test_cases_spelled_alike_stay_in_one_split_unless_told_apart(seed, run, tmp_path):
    nested(tmp_path / "more")
    for number in range(12):
        for case in (f"{number + 7}", f"00-{number + 7}"):
            (tmp_path / "data" / case / "p").mkdir(parents=True)
            for name in ("prior", "current"):
                content = (tmp_path / "more/anna/p1/prior.nii.gz").read_bytes()
                (tmp_path / "data" / case / "p" / f"{name}.nii.gz").write_bytes(content)
    fractions = {"split_seed": seed, "val_fraction": 0.3, "test_fraction": 0.3}
    summary, images, _ = run(**fractions)

    def divided(images):
        split_of = {(tmp_path / "out" / row["image"]).resolve().parts[-3]: row["split"] for row in images}
        return sum(split_of[f"{number + 7}"] != split_of[f"00-{number + 7}"] for number in range(12))

    assert (summary.patients, divided(images)) == (24, 0)
    assert any(note.startswith("12 patient numbers occur in several spellings") for note in summary.notes)
    summary, images, _ = run(exact_patients=True, **fractions)
    assert divided(images) > 0
    assert not any("spellings" in note for note in summary.notes)
