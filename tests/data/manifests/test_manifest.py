from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from data import DataError, ImageRecord, RecordTable
from data.manifests.manifest import images_in_manifest, pairs_in_manifest


@pytest.fixture
def manifest(tmp_path):
    """Writes a manifest after its files; what begins with # names none."""

    def write(text: str, files: str = "a0.png a1.png a2.png t.npy b/0.nii.gz b/1.nii.gz") -> Path:
        for name in files.split():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).touch()
        path = tmp_path / "manifest.csv"
        path.write_text(text)
        return path

    return write


def _refused(read, path: Path, *parts: str) -> None:
    with pytest.raises(DataError) as caught:
        read(path)
    message = str(caught.value)
    assert "\n" not in message
    for part in (str(path), *parts):
        assert part in message


def test_pairs(manifest, tmp_path):
    first, second = pairs_in_manifest(
        manifest(
            "followup,patient_id,baseline,target,target_baseline,split\n"
            " a1.png , ann , a0.png , t.npy , t.npy , train\n"
            "\n"
            "b/1.nii.gz,bob,b/0.nii.gz,,,test\n"
        )
    )
    assert (first.id, first.patient_id, first.split) == ("a1", "ann", "train")
    assert (first.baseline, first.followup) == (tmp_path / "a0.png", tmp_path / "a1.png")
    assert first.target == first.target_baseline == tmp_path / "t.npy"
    assert (second.id, second.patient_id, second.split) == ("b/1", "bob", "test")
    assert second.target is second.target_baseline is None


def test_further_columns_are_kept_as_text(manifest, tmp_path):
    path = manifest(
        ",patient_id,Site name,baseline,followup,findings,days,columns,image_id,\n"
        "0,ann,north ,a0.png,a1.png,nodule,30,mine,007,\n"
        "1,bob,,b/0.nii.gz,b/1.nii.gz,,,,,\n"
    )
    first, second = pairs_in_manifest(path)
    assert first.columns == {"Site name": "north", "days": "30", "columns": "mine", "image_id": "007"}
    assert (first.findings, second.columns) == (("nodule",), {})
    pa.parquet.write_table(
        pa.table(
            {"patient_id": ["ann"], "image": ["a0.png"], "nodule": [1.0], "size": [None], "findings": [3]}
        ),
        tmp_path / "images.parquet",
    )
    records = images_in_manifest(tmp_path / "images.parquet")
    assert records[0].columns == {"nodule": "1", "findings": "3"}
    assert records.further == ["nodule", "size", "findings"]  # one that is empty everywhere is there, too


def test_records_and_their_columns_make_a_table_again(manifest):
    path = manifest("patient_id,image,site,age\nann,a0.png,north,\nbob,a1.png,,40\n")
    records = images_in_manifest(path)
    again = RecordTable.of(ImageRecord, records)
    assert list(again) == list(records)
    assert again[1].columns == {"age": "40"}


def test_images_of_pairs_have_what_is_said_of_the_pair_but_for_the_days_between(manifest):
    path = manifest(
        "patient_id,baseline,followup,site,days,findings,view\n"
        "ann,a0.png,a1.png,north,30,nodule,PA\nann,a1.png,a2.png,south,40,,AP\n"
    )
    images = images_in_manifest(path)
    assert [(image.image.name, image.columns) for image in images] == [
        ("a0.png", {"site": "north", "view": "PA"}),
        ("a1.png", {"site": "north", "view": "PA"}),  # in two pairs: of the first of them
        ("a2.png", {"site": "south", "view": "AP"}),
    ]


def test_byte_order_mark_of_spreadsheets(manifest):
    assert (
        pairs_in_manifest(manifest("\ufeffpatient_id,baseline,followup\nann,a0.png,a1.png\n"))[0].split
        is None
    )


def test_a_followup_of_two_baselines_has_two_ids(manifest):
    records = pairs_in_manifest(
        manifest("patient_id,baseline,followup\nann,a0.png,a2.png\nann,a1.png,a2.png\nann,a0.png,a1.png\n")
    )
    assert [record.id for record in records] == ["a2.png since a0.png", "a2.png since a1.png", "a1"]


def test_absolute_paths(manifest, tmp_path):
    (record,) = images_in_manifest(manifest(f"patient_id,image\nann,{tmp_path}/a0.png\n"))
    assert record.image == tmp_path / "a0.png"


def test_images(manifest, tmp_path):
    (tmp_path / "a0.npy").touch()
    records = images_in_manifest(manifest("patient_id,image\nann,a0.png\nann,a0.npy\nbob,b/1.nii.gz\n"))
    assert [record.id for record in records] == ["a0.png", "a0.npy", "b/1"]
    assert [record.patient_id for record in records] == ["ann", "ann", "bob"]


def test_pairs_serve_as_images_each_used_once(manifest):
    records = images_in_manifest(
        manifest("patient_id,baseline,followup,split\nann,a0.png,a1.png,val\nann,a1.png,a2.png,val\n")
    )
    assert [record.image.name for record in records] == ["a0.png", "a1.png", "a2.png"]
    assert {(record.patient_id, record.split) for record in records} == {("ann", "val")}
    assert len({record.id for record in records}) == 3


HEADER = "patient_id,baseline,followup,target,split\n"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ["lacks the column 'patient_id'", "has patient_id, baseline, followup and may have id, target"]),
        ("patient_id,baseline\n", ["lacks the column 'followup'"]),
        ("patient_id,baseline,followup,baseline\n", ["the column 'baseline' twice"]),
        ("patient_id,baseline,followup,age,age\n", ["the column 'age' twice"]),
        ("patient_id,baseline,followup,Split\n", ["the column 'Split'; call it 'split', or something else"]),
        ("patient_id,baseline,followup,target-baseline\n", ["call it 'target_baseline'"]),
        (HEADER, ["no rows below its header"]),
        (HEADER + "ann,a0.png,a1.png\n", ["line 2 has 3 cells; the header has 5"]),
        (HEADER + "ann,a0.png,,,\n", ["line 2 leaves 'followup' empty"]),
        (HEADER + ",a0.png,a1.png,,\n", ["line 2 leaves 'patient_id' empty"]),
        (
            HEADER + "ann,a0.png,a1.png,,dev\n",
            ["line 2 has the split 'dev'; it must be one of train, val, test"],
        ),
        (
            HEADER + "ann,a0.png,a1.png,,train\nann,a1.png,a2.png,,\n",
            ["line 3 names no split but other lines do"],
        ),
        (HEADER + "\nann,a0.png,gone.png,,\n", ["line 3: the followup", "gone.png does not exist"]),
        (
            HEADER + "ann,a0.png,a1.png,nowhere/t.npy,\n",
            ["line 2: the target", "nowhere/t.npy does not exist"],
        ),
        (HEADER + "ann,a0.png,a1.png,,\nann,a0.png,a1.png,t.npy,\n", ["line 3 repeats line 2"]),
        (HEADER + "ann,a0.png,x.txt,,\n", ["line 2: x.txt"]),
        (
            "id," + HEADER + "x,ann,a0.png,a1.png,,\nx,ann,a1.png,a2.png,,\n",
            ["line 3 repeats the id of line 2"],
        ),
        ("patient_id,image\nann,a0.png\n", ["lists single images", "patient_id, baseline, followup"]),
    ],
)
def test_bad_pairs_are_refused_by_line(manifest, text, parts):
    _refused(pairs_in_manifest, manifest(text, "a0.png a1.png a2.png t.npy x.txt"), *parts)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("patient_id,image,SPLIT\n", ["the column 'SPLIT'; call it 'split'"]),
        (
            "patient_id,image,baseline,followup\n",
            ["lists images and pairs in one table; a manifest of images has patient_id, image"],
        ),
        ("patient_id,image\nann,a0.png\nbob,a0.png\n", ["line 3 repeats line 2"]),
        ("patient_id,image\nann,gone.png\n", ["line 2: the image", "gone.png does not exist"]),
    ],
)
def test_bad_images_are_refused_by_line(manifest, text, parts):
    _refused(images_in_manifest, manifest(text), *parts)


def test_what_is_no_manifest(tmp_path):
    _refused(pairs_in_manifest, tmp_path / "gone.csv", "does not exist")
    (tmp_path / "image.png").touch()
    _refused(pairs_in_manifest, tmp_path / "image.png", "neither a folder nor a CSV or Parquet manifest")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00\x81")
    _refused(pairs_in_manifest, tmp_path / "binary.csv", "cannot be read", "UTF-8 CSV")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 and then nothing")
    _refused(pairs_in_manifest, tmp_path / "broken.parquet", "cannot be read", "as Parquet")


def test_parquet_says_what_csv_says(manifest, tmp_path):
    path = manifest(
        "patient_id,baseline,followup,days,split\n7,a0.png,a1.png,30,val\n8,b/0.nii.gz,b/1.nii.gz,,val\n"
    )
    table = pa.csv.read_csv(path)  # numbers stay numbers, as other programs write them
    pa.parquet.write_table(table, tmp_path / "manifest.parquet")
    same = pairs_in_manifest(tmp_path / "manifest.parquet")
    assert list(same) == list(pairs_in_manifest(path))
    assert same.columns.column("days").to_pylist() == ["30", None]


def test_named_ids_and_findings(manifest):
    first, second = pairs_in_manifest(
        manifest(
            "id,patient_id,baseline,followup,findings,view\n"
            "p/1,ann,a0.png,a1.png,nodule+device,PA\np/2,ann,a1.png,a2.png,,AP\n"
        )
    )
    assert (first.id, first.findings, second.id, second.findings) == ("p/1", ("nodule", "device"), "p/2", ())


def test_quoted_cells_and_lines_within_them(manifest):
    path = manifest('patient_id,image\n"ann,\nthe first","a0.png"\nbob,gone.png\n')
    _refused(images_in_manifest, path, "line 4: the image")


def test_missing_files_can_be_left_for_later(manifest, tmp_path):
    path = manifest("patient_id,baseline,followup\nann,gone.png,a1.png\n")
    (record,) = pairs_in_manifest(path, check_files=False)
    assert record.baseline == tmp_path / "gone.png"


def test_one_file_has_one_name_and_one_patient(manifest):
    for again in ("./a0.png", "b/../a0.png", ".//a0.png"):
        path = manifest(f"patient_id,image\nann,a0.png\nbob,{again}\n")
        _refused(images_in_manifest, path, "line 3 repeats line 2")
    path = manifest("patient_id,baseline,followup\nann,a0.png,a1.png\nbob,a2.png,./a0.png\n")
    _refused(pairs_in_manifest, path, "line 3: the followup a0.png is of another patient in line 2")


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (
            b"patient_id,image\n" + b"ann,a0.png\n" * 2000 + b"m\xfcller,a1.png\n",
            ["cannot be read", "UTF-8 CSV"],
        ),
        (b'patient_id,image\n"ann,a0.png\n' + b"bob,a1.png\n" * 20000, ["cannot be read", "UTF-8 CSV"]),
        (b"patient_id;image\nann;a0.png\n", ["lacks the column 'patient_id' separated by commas"]),
    ],
)
def test_damaged_text_is_one_line(manifest, content, parts):
    path = manifest("")
    path.write_bytes(content)
    _refused(images_in_manifest, path, *parts)


def test_odd_columns_of_parquet(manifest, tmp_path):
    manifest("")
    path = tmp_path / "m.parquet"
    table = pa.table({"patient_id": ["ann"], "image": ["a0.png"], "__index_level_0__": [7]})
    pa.parquet.write_table(table, path)
    assert images_in_manifest(path)[0].patient_id == "ann"
    pa.parquet.write_table(pa.table({"patient_id": [["ann"]], "image": ["a0.png"]}), path)
    _refused(images_in_manifest, path, "holds list<element: string> in the column 'patient_id'; store text")
    pa.parquet.write_table(pa.table({"patient_id": [b"\xff\xfe"], "image": ["a0.png"]}), path)
    _refused(images_in_manifest, path, "holds binary in the column 'patient_id'; store text or numbers")


def test_findings_are_trimmed(manifest):
    (record,) = pairs_in_manifest(
        manifest("patient_id,baseline,followup,findings\nann,a0.png,a1.png,nodule + effusion+\n")
    )
    assert record.findings == ("nodule", "effusion")
