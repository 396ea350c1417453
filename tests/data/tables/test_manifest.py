from pathlib import Path

import pytest
from data.tables.manifest import images_in_manifest, pairs_in_manifest

from data import DataError


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
        ("", ["lacks the column 'patient_id'", "has patient_id, baseline, followup and may have target"]),
        ("patient_id,baseline\n", ["lacks the column 'followup'"]),
        (
            "patient_id,baseline,followup,age\n",
            ["unknown column 'age'", "may have target, target_baseline, split"],
        ),
        ("patient_id,baseline,followup,baseline\n", ["the column 'baseline' twice"]),
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
        (HEADER + "ann,a0.png,x.dcm,,\n", ["line 2: x.dcm is DICOM"]),
        ("patient_id,image\nann,a0.png\n", ["lists single images", "patient_id, baseline, followup"]),
    ],
)
def test_bad_pairs_are_refused_by_line(manifest, text, parts):
    _refused(pairs_in_manifest, manifest(text, "a0.png a1.png a2.png t.npy x.dcm"), *parts)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (
            "patient_id,image,target\n",
            ["unknown column 'target'", "a manifest of images has patient_id, image"],
        ),
        ("patient_id,image\nann,a0.png\nbob,a0.png\n", ["line 3 repeats line 2"]),
        ("patient_id,image\nann,gone.png\n", ["line 2: the image", "gone.png does not exist"]),
    ],
)
def test_bad_images_are_refused_by_line(manifest, text, parts):
    _refused(images_in_manifest, manifest(text), *parts)


def test_what_is_no_manifest(tmp_path):
    _refused(pairs_in_manifest, tmp_path / "gone.csv", "does not exist")
    _refused(pairs_in_manifest, tmp_path / "data.parquet", "is Parquet, which is not read yet")
    (tmp_path / "image.png").touch()
    _refused(pairs_in_manifest, tmp_path / "image.png", "neither a folder nor a CSV manifest")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00\x81")
    _refused(pairs_in_manifest, tmp_path / "binary.csv", "cannot be read", "UTF-8 CSV")
