from pathlib import Path

import pytest

from data import DataError
from data.manifests.folders import images_in_folder, pairs_in_folder


def _touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_parallel_folders(tmp_path):
    _touch(tmp_path, "baseline/ann_1.png", "followup/ann_1.tif", "target/ann_1.npy")
    _touch(tmp_path, "baseline/bob.png", "followup/bob.png", "baseline/.hidden.png", "baseline/notes.txt")
    ann, bob = pairs_in_folder(tmp_path)
    assert (ann.id, ann.patient_id, ann.split) == ("ann_1", "ann", None)
    assert ann.followup == tmp_path / "followup/ann_1.tif"
    assert ann.target == tmp_path / "target/ann_1.npy"
    assert (bob.id, bob.patient_id, bob.target) == ("bob", "bob", None)


def test_parallel_folders_with_targets_of_the_baseline(tmp_path):
    _touch(tmp_path, *(f"{name}/a.png" for name in ("baseline", "followup", "target", "target_baseline")))
    (pair,) = pairs_in_folder(tmp_path)
    assert pair.target_baseline == tmp_path / "target_baseline/a.png"


@pytest.mark.parametrize("orphan", ["baseline/b.png", "followup/b.png", "target/b.png"])
def test_a_file_without_its_counterpart_is_named(tmp_path, orphan):
    _touch(tmp_path, "baseline/a.png", "followup/a.png", orphan)
    with pytest.raises(DataError, match=rf"{orphan} has no (baseline|followup) of the same name"):
        pairs_in_folder(tmp_path)


def test_two_files_of_one_name_are_named(tmp_path):
    _touch(tmp_path, "baseline/a.png", "baseline/a.npy", "followup/a.png")
    with pytest.raises(DataError, match=r"a\.npy and .*a\.png have the same name"):
        pairs_in_folder(tmp_path)


def test_nested_folders(tmp_path):
    for pair in ("ct1/pair_0", "ct1/pair_1", "ct2/pair_0"):
        _touch(tmp_path, *(f"{pair}/{name}.nii.gz" for name in ("prior", "current", "diff_map")))
    _touch(tmp_path, "ct1/pair_0/preview.png", "generation_log.json", "ct3/empty/params.json")
    records = pairs_in_folder(tmp_path)
    assert [record.id for record in records] == ["ct1/pair_0", "ct1/pair_1", "ct2/pair_0"]
    assert [record.patient_id for record in records] == ["ct1", "ct1", "ct2"]
    assert records[0].baseline == tmp_path / "ct1/pair_0/prior.nii.gz"
    assert records[0].followup == tmp_path / "ct1/pair_0/current.nii.gz"
    assert records[0].target == tmp_path / "ct1/pair_0/diff_map.nii.gz"
    assert records[0].target_baseline is None
    _touch(tmp_path, "ct1/pair_0/diff_map_prior.nii.gz")
    assert pairs_in_folder(tmp_path)[0].target_baseline == tmp_path / "ct1/pair_0/diff_map_prior.nii.gz"


def test_nested_pair_without_its_followup(tmp_path):
    _touch(tmp_path, "ct1/pair_0/prior.nii.gz")
    with pytest.raises(DataError, match=r"ct1/pair_0 holds a pair without current\.nii\.gz"):
        pairs_in_folder(tmp_path)


@pytest.mark.parametrize("names", [(), ("a.png", "b/c.png")])
def test_no_pairs(tmp_path, names):
    _touch(tmp_path, *names)
    with pytest.raises(DataError, match=r"holds no pairs; arrange them as baseline/ followup/ target/"):
        pairs_in_folder(tmp_path)


def test_images_at_any_depth(tmp_path):
    _touch(tmp_path, "ann_1.png", "ann_2.npy", "bob/first.png", "bob/study/first.png", "bob/notes.txt")
    records = images_in_folder(tmp_path)
    assert [record.id for record in records] == ["ann_1", "ann_2", "bob/first", "bob/study/first"]
    assert [record.patient_id for record in records] == ["ann", "ann", "bob", "bob"]
    assert {record.split for record in records} == {None}


def test_images_in_folders_of_splits(tmp_path):
    _touch(tmp_path, "train/ann_1.png", "train/bob/1.png", "test/cem_1.png")
    records = images_in_folder(tmp_path)
    assert [(record.patient_id, record.split) for record in records] == [
        ("cem", "test"), ("ann", "train"), ("bob", "train")
    ]  # fmt: skip


def test_folders_of_pairs_serve_as_images(tmp_path):
    _touch(tmp_path, "baseline/ann_1.png", "followup/ann_1.png", "target/ann_1.png")
    records = images_in_folder(tmp_path)
    assert [record.image.parent.name for record in records] == ["baseline", "followup"]
    assert [record.patient_id for record in records] == ["ann", "ann"]


def test_no_images(tmp_path):
    with pytest.raises(DataError, match="holds no images; give a folder of images"):
        images_in_folder(tmp_path)


def test_folder_of_a_format_that_is_not_read(tmp_path):
    _touch(tmp_path, "a.bmp")
    with pytest.raises(DataError, match=r"a\.bmp is a \.bmp file, which is not read"):
        images_in_folder(tmp_path)


def test_dicom_files_are_found_by_content_where_no_suffix_says_what_they_are(tmp_path):
    for name, content in (("IM0001", b"DICM"), ("1.2.840.7", b"DICM"), ("README", b"text"), ("b.dcm", b"")):
        (tmp_path / name).write_bytes(bytes(128) + content)
    assert [record.image.name for record in images_in_folder(tmp_path)] == ["1.2.840.7", "IM0001", "b.dcm"]


def test_a_folder_one_level_off_is_refused_not_taken_apart(tmp_path):
    _touch(tmp_path, *(f"all/ct1/pair_0/{name}.nii.gz" for name in ("prior", "current", "diff_map")))
    for root in (tmp_path, tmp_path / "all" / "ct1"):
        with pytest.raises(
            DataError, match=r"diff_map\.nii\.gz is a change map, no radiograph; give the folder"
        ):
            images_in_folder(root)


def test_folders_among_the_files_are_passed_over(tmp_path):
    _touch(tmp_path, "baseline/a_0.png", "followup/a_0.png")
    (tmp_path / "baseline" / "@eaDir").mkdir()
    assert [record.id for record in pairs_in_folder(tmp_path)] == ["a_0"]


def test_a_name_that_is_not_utf8_is_refused_by_name(tmp_path):
    (tmp_path / "m\udcfcller.png").touch()
    with pytest.raises(DataError, match=r"ller\.png' has a name that is not UTF-8; rename it"):
        images_in_folder(tmp_path)


@pytest.mark.parametrize("find", [pairs_in_folder, images_in_folder])
def test_a_folder_with_a_manifest_is_not_guessed_at(tmp_path, find):
    _touch(tmp_path, "baseline/h0-000.png", "followup/h0-000.png", "manifest.csv")
    with pytest.raises(DataError, match=r"manifest\.csv: give that manifest, not the folder"):
        find(tmp_path)
    _touch(tmp_path, "prepared.json")
    with pytest.raises(DataError, match=r"is prepared data; train on it with --data\.prepared"):
        find(tmp_path)
