"""Every published layout, from its official files to hand-written expectations."""

import csv
import gzip
import os
import shutil

import pyarrow.parquet as pq
import pytest

from data.base.errors import DataError
from data.index.indexer import index
from data.index.labels import MOST_LABELS
from data.index.layouts import LAYOUTS, PUBLISHED
from data.manifests.manifest import images_in_manifest
from tests.data.index.miniatures import (
    CHEXPERT_LABELS,
    MIMIC,
    MINIATURES,
    PADCHEST_COLUMNS,
    VINDR_LABELS,
    mimic_path,
    mimic_tables,
    options,
    rows_of,
    write_csv,
)


@pytest.fixture
def run(tmp_path):
    def run(name, **changes):
        MINIATURES[name](tmp_path / "data")
        summary = index(options(tmp_path, **changes))
        images = rows_of(tmp_path / "out/images.csv")
        pairs = tmp_path / "out/pairs.csv"
        return summary, images, rows_of(pairs) if pairs.exists() else []

    return run


def pairs_by_id(pairs):
    return {row["id"]: (row["split"], row["view"], row["days"]) for row in pairs}


@pytest.mark.parametrize("name", MINIATURES)
def test_every_layout_is_told_and_its_manifests_are_whole(name, run, tmp_path):
    summary, images, pairs = run(name, key=tmp_path / "key" if LAYOUTS[name].private else None)
    assert summary.layout == name
    assert list(images[0])[:5] == ["id", "patient_id", "image", "split", "view"]
    assert {cell for row in images for cell in list(row.values())[5:]} <= {"1", "0", "-1", ""}
    names = [record.columns.get("no_finding") for record in images_in_manifest(tmp_path / "out/images.csv")]
    assert names == [row.get("no_finding") or None for row in images]
    assert len({row["id"] for row in images}) == len(images) == summary.images > 0
    assert len({row["id"] for row in pairs}) == len(pairs) == summary.pairs
    assert all((tmp_path / "out" / row["image"]).is_file() for row in images)
    split_of = {row["patient_id"]: row["split"] for row in images}
    for row in pairs:
        targets = ["target", "target_baseline"] if name == "nested" else []
        columns = ["id", "patient_id", "baseline", "followup", *targets, "split", "view", "days"]
        assert list(row) == columns
        assert all((tmp_path / "out" / row[role]).is_file() for role in ("baseline", "followup"))
        assert row["split"] == split_of[row["patient_id"]]
    assert summary.splits == {
        split: len({row["patient_id"] for row in images if row["split"] == split})
        for split in ("train", "val", "test")
    }


@pytest.mark.parametrize("with_tables", [True, False])
@pytest.mark.parametrize("name", ["mimic-cxr-jpg", "mimic-cxr"])
def test_mimic(name, with_tables, tmp_path):
    MINIATURES[name](tmp_path / "data")
    if with_tables:
        mimic_tables(tmp_path / "data")
    elif name == "mimic-cxr-jpg":
        (tmp_path / "data/mimic-cxr-2.0.0-split.csv.gz").unlink()
    summary = index(options(tmp_path))
    images, pairs = rows_of(tmp_path / "out/images.csv"), rows_of(tmp_path / "out/pairs.csv")
    assert [row["view"] for row in images] == [
        *("PA", "LATERAL", "PA", "LATERAL", "PA", "PA", "AP", "AP", "unknown")
    ]
    assert images[0]["id"] == "p10000032/s50414267/02aa804e"
    suffix = ".jpg" if name == "mimic-cxr-jpg" else ".dcm"
    assert images[0]["image"] == "../data/" + mimic_path(MIMIC[0], suffix)
    days = {row["id"]: row["days"] for row in pairs}
    assert days == {
        "p10000032/s50414267-s53189527-PA": "51",
        "p10000032/s53189527-s53911762-PA": "27",
        "p10000032/s50414267-s53189527-LATERAL": "51",
        "p11000183/s59999999-s51967845-AP": "0",
    }
    third = next(row for row in pairs if row["id"].endswith("s53911762-PA"))
    assert "68b5c4b1" in third["followup"]  # the first of two images of that view
    official = {"p10000032": "train", "p11000183": "val", "p12000898": "test"}
    if with_tables:
        assert {row["patient_id"]: row["split"] for row in images} == official
    else:
        assert any("splits are drawn" in note for note in summary.notes)
        assert summary.splits == {"train": 1, "val": 1, "test": 1}


def test_mimic_headers_replace_metadata_and_a_damaged_file_is_named(tmp_path):
    MINIATURES["mimic-cxr"](tmp_path / "data")
    damaged = mimic_path(MIMIC[-1], ".dcm")
    (tmp_path / "data" / damaged).write_bytes(bytes(128) + b"DICM" + b"\xff" * 50)
    (tmp_path / "data" / mimic_path(MIMIC[0], ".dcm")).unlink()
    write_csv(
        tmp_path / "data/mimic-cxr-2.0.0-split.csv",
        ("dicom_id", "study_id", "subject_id", "split"),
        [(name, study, subject, split) for name, subject, study, *_, split in MIMIC],
    )
    summary = index(options(tmp_path))
    assert (summary.images, summary.missing) == (len(MIMIC) - 2, 1)
    refused = rows_of(tmp_path / "out/refused.private.csv")
    assert [row["path"] for row in refused] == [damaged]
    assert summary.refused.total() == 1


def test_chexpert(run):
    _, images, pairs = run("chexpert")
    assert [(row["id"], row["split"], row["view"]) for row in images] == [
        ("patient00001/study1/view1_frontal", "train", "AP"),
        ("patient00002/study2/view1_frontal", "train", "AP"),
        ("patient00002/study10/view1_frontal", "train", "AP"),
        ("patient00002/study10/view2_lateral", "train", "LATERAL"),
        ("patient00002/study1/view1_frontal", "train", "PA"),
        ("patient00002/study1/view2_lateral", "train", "LATERAL"),
        ("patient00003/study1/view1_frontal", "train", "FRONTAL"),
        ("patient64541/study1/view1_frontal", "val", "AP"),
        ("patient64741/study1/view1_frontal", "test", "FRONTAL"),
    ]
    assert images[0]["image"] == "../data/train/patient00001/study1/view1_frontal.jpg"
    assert pairs_by_id(pairs) == {
        "patient00002/study2-study10-AP": ("train", "AP", ""),
        "patient00002/study1-study10-LATERAL": ("train", "LATERAL", ""),
    }


def test_chexpert_without_test_table_draws_test_patients_from_the_training_ones(tmp_path):
    MINIATURES["chexpert"](tmp_path / "data")
    (tmp_path / "data/test.csv").unlink()
    summary = index(options(tmp_path))
    assert summary.splits == {"train": 2, "val": 1, "test": 1}


def test_nih(run):
    summary, images, pairs = run("nih")
    assert [(row["id"], row["image"]) for row in images][:3] == [
        ("1/0/00000001_000", "../data/images_001/images/00000001_000.png"),
        ("1/1/00000001_001", "../data/images_001/images/00000001_001.png"),
        ("1/2/00000001_002", "../data/images_001/images/00000001_002.png"),
    ]
    assert {row["id"]: (row["view"], row["days"]) for row in pairs} == {
        "1/0-1-PA": ("PA", ""),
        "3/0-1-PA": ("PA", ""),
    }
    assert summary.splits == {"train": 2, "val": 1, "test": 2}
    assert {row["patient_id"] for row in images if row["split"] == "test"} == {"3", "4"}


def test_nih_in_one_folder(tmp_path):
    MINIATURES["nih"](tmp_path / "data")
    (tmp_path / "data/images").mkdir()
    for file in list((tmp_path / "data").glob("images_*/images/*")):
        file.rename(tmp_path / "data/images" / file.name)
    assert index(options(tmp_path)).images == 8


def test_nih_with_one_of_two_lists_is_refused(tmp_path):
    MINIATURES["nih"](tmp_path / "data")
    (tmp_path / "data/test_list.txt").unlink()
    with pytest.raises(DataError, match=r"test_list\.txt is missing while the other official list is there"):
        index(options(tmp_path))


def test_a_patient_in_two_official_splits_is_named(tmp_path):
    MINIATURES["nih"](tmp_path / "data")
    (tmp_path / "data/train_val_list.txt").write_text("00000001_000.png 00000002_000.png 00000003_000.png")
    (tmp_path / "data/test_list.txt").write_text("00000001_001.png 00000003_001.png 00000001_002.png")
    with pytest.raises(DataError, match="patient 1 is in the official splits test and train"):
        index(options(tmp_path))
    assert not (tmp_path / "out").exists()


def test_images_on_no_official_list_are_left_out_and_counted(tmp_path):
    MINIATURES["nih"](tmp_path / "data")
    (tmp_path / "data/test_list.txt").write_text("00000003_000.png 00000003_001.png")
    summary = index(options(tmp_path))
    assert (summary.images, summary.refused) == (7, {"in no official split": 1})


def test_a_list_of_another_data_set_is_an_error(tmp_path):
    MINIATURES["nih"](tmp_path / "data")
    for name in ("train_val_list.txt", "test_list.txt"):
        (tmp_path / "data" / name).write_text("other.png")
    with pytest.raises(
        DataError, match="holds no image of an official split; download its split files again"
    ):
        index(options(tmp_path))


def test_padchest(run):
    summary, images, pairs = run("padchest")
    assert [(row["id"], row["view"]) for row in images] == [
        ("p1/s10/2168_a", "PA"),
        ("p1/s10/2168_b", "LATERAL"),
        ("p1/s11/2168_c", "PA"),
        ("p1/s12/2168_d", "PA"),
        ("p2/s13/2168_e", "AP_HORIZONTAL"),
        ("p2/s14/2168_f", "AP_HORIZONTAL"),
        ("p3/s16/2168_h", "PA"),
    ]
    assert images[2]["image"] == "../data/12/2168_c.png"
    assert {row["id"]: row["days"] for row in pairs} == {
        "p1/s10-s11-PA": "108",
        "p2/s13-s14-AP_HORIZONTAL": "60",
    }
    # s11 and s12 are of one day, and PadChest publishes no times.
    assert "1 pairs are left out because nothing says which study came first" in summary.notes
    assert summary.refused == {"projection EXCLUDE": 1}
    assert summary.splits == {"train": 1, "val": 1, "test": 1}


def test_vindr(run):
    summary, images, pairs = run("vindr")
    assert not pairs
    assert [row["id"] for row in images] == [row["patient_id"] for row in images]
    assert {row["view"] for row in images} == {"PA"}
    assert summary.splits == {"train": 2, "val": 1, "test": 1}
    assert images[-1]["split"] == "test"
    assert images[-1]["image"] == f"../data/test/{'ab' * 16}.dicom"
    assert any("no pairs" in note for note in summary.notes)


def labels_of(images, *names):
    return [tuple(row[name] for name in names) for row in images]


def test_labels_of_nih_are_what_the_list_names(run):
    _, images, _ = run("nih")
    names = ["cardiomegaly", "effusion", "emphysema", "hernia", "no_finding"]
    assert list(images[0])[5:] == names
    rows = [("1", "0", "0", "0", "0"), ("1", "0", "1", "0", "0"), ("0", "1", "0", "0", "0")]
    assert labels_of(images, *names)[:4] == [*rows, ("0", "0", "0", "0", "1")]


def test_labels_of_chexpert_keep_what_is_uncertain_and_what_is_unknown(run):
    _, images, _ = run("chexpert")
    assert list(images[0])[5:] == [name.lower().replace(" ", "_") for name in CHEXPERT_LABELS]
    found = labels_of(images, "no_finding", "enlarged_cardiomediastinum", "cardiomegaly", "support_devices")
    assert found[:3] == [("1", "", "", ""), ("", "-1", "1", ""), ("", "", "", "")]
    # The table of the test images comes without a column `No Finding`.
    assert found[-2:] == [("0", "1", "0", "1"), ("", "0", "0", "0")]


@pytest.mark.parametrize("name", ["mimic-cxr-jpg", "mimic-cxr"])
def test_labels_of_mimic_are_those_of_the_study_where_their_table_is_there(name, tmp_path):
    MINIATURES[name](tmp_path / "data")
    mimic_tables(tmp_path / "data")
    index(options(tmp_path))
    images = rows_of(tmp_path / "out/images.csv")
    first, second, third, *_, last = labels_of(images, "atelectasis", "cardiomegaly", "pleural_effusion")
    assert first == second == ("-1", "0", "1")  # two images of one study
    assert third == ("", "", "1")
    assert last == ("", "", "")  # not in the table
    (tmp_path / "data/mimic-cxr-2.0.0-chexpert.csv.gz").unlink()
    index(options(tmp_path, overwrite=True))
    assert list(rows_of(tmp_path / "out/images.csv")[0]) == ["id", "patient_id", "image", "split", "view"]


def test_labels_of_padchest_are_what_the_list_names_and_unknown_where_it_is_empty(run):
    _, images, _ = run("padchest")
    names = ["cardiomegaly", "copd_signs", "normal", "pacemaker", "pleural_effusion"]
    assert list(images[0])[5:] == names
    assert labels_of(images, *names) == [
        ("0", "0", "1", "0", "0"),
        ("1", "0", "0", "0", "1"),
        ("1", "0", "0", "0", "0"),
        ("", "", "", "", ""),
        ("", "", "", "", ""),
        ("0", "1", "0", "0", "0"),
        ("0", "0", "1", "1", "0"),
    ]


def test_of_many_labels_the_most_frequent_are_columns(tmp_path):
    MINIATURES["padchest"](tmp_path / "data")
    table = next((tmp_path / "data").glob("PADCHEST*"))
    place = {name: number for number, name in enumerate(PADCHEST_COLUMNS)}
    with gzip.open(table, "rt", newline="") as file:
        header, *rows = csv.reader(file)
    for number, row in enumerate(rows):
        names = ["frequent", *(f"rare {number} {more}" for more in range(30))]
        row[place["Labels"]] = str(names)
    write_csv(table, header, rows)
    summary = index(options(tmp_path))
    columns = list(rows_of(tmp_path / "out/images.csv")[0])[5:]
    assert len(columns) == MOST_LABELS
    assert "frequent" in columns
    assert f"of the labels, the {MOST_LABELS} most frequent are columns" in summary.notes


def test_labels_of_vindr_are_what_most_readers_say(run):
    _, images, _ = run("vindr")
    columns = list(images[0])[5:]
    assert sorted(columns) == sorted(
        name.lower().replace(" ", "_").replace("/", "_") for name in VINDR_LABELS
    )
    found = labels_of(images, "aortic_enlargement", "other_diseases", "no_finding")
    # To none, one and two of three readers; the readers of test images have agreed.
    assert found == [("0", "0", "1"), ("0", "0", "1"), ("1", "0", "1"), ("0", "1", "0")]


def test_chexpert_split_without_test_of_two_patients_is_refused(tmp_path):
    MINIATURES["chexpert"](tmp_path / "data")
    (tmp_path / "data/test.csv").unlink()
    shutil.rmtree(tmp_path / "data/train/patient00001")
    with pytest.raises(DataError, match=r"2 official training patient\(s\) cannot give some to test;"):
        index(options(tmp_path))


def unpack_in_batches(data, parent):
    """The full size as it is downloaded: three batches of training images, and one of all the rest."""
    first = parent / "CheXpert-v1.0 batch 1 (validate & csv)"
    parent.mkdir(parents=True, exist_ok=True)
    data.rename(first)
    for number, patient in enumerate(sorted((first / "train").iterdir())):
        batch = parent / f"CheXpert-v1.0 batch {number + 2} (train {number + 1})"
        batch.mkdir()
        patient.rename(batch / patient.name)
    (first / "train").rmdir()
    for table in first.glob("*.csv"):
        table.write_text(table.read_text().replace("CheXpert-v1.0-small/", "CheXpert-v1.0/"))
    return first


@pytest.mark.parametrize("root", ["parent", "first batch", "tables above"])
@pytest.mark.parametrize("with_key", [False, True])
def test_chexpert_in_batches_gives_what_it_gives_in_one_folder(root, with_key, tmp_path):
    MINIATURES["chexpert"](tmp_path / "data")
    key = tmp_path / "key" if with_key else None
    whole = index(options(tmp_path, key=key))
    expected = {name: rows_of(tmp_path / f"out/{name}.csv") for name in ("images", "pairs")}
    first = unpack_in_batches(tmp_path / "data", tmp_path / "parent")
    # The test images come apart from the batches.
    (first / "test").rename((first if root == "first batch" else first.parent) / "test")
    if root == "tables above":
        for table in first.glob("*.csv"):
            table.rename(first.parent / table.name)
    place = first if root == "first batch" else first.parent
    summary = index(options(tmp_path, root=place, key=key, overwrite=True))
    assert (summary.layout, summary.missing, summary.splits) == ("chexpert", 0, whole.splits)
    places = {"image", "baseline", "followup"}
    for name, rows in expected.items():
        found = rows_of(tmp_path / f"out/{name}.csv")
        assert [{k: v for k, v in row.items() if k not in places} for row in found] == [
            {k: v for k, v in row.items() if k not in places} for row in rows
        ]
        assert all((tmp_path / "out" / row[k]).is_file() for row in found for k in places & row.keys())


def test_an_official_split_that_lost_all_its_images_is_refused(tmp_path):
    MINIATURES["chexpert"](tmp_path / "data")
    shutil.rmtree(tmp_path / "data/train")
    with pytest.raises(DataError, match=r"^every image of the split train is missing; unpack them"):
        index(options(tmp_path))
    assert not (tmp_path / "out").exists()
    (tmp_path / "data/train.csv").unlink()
    assert index(options(tmp_path)).splits == {"train": 0, "val": 1, "test": 1}


def test_a_small_part_of_a_data_set_gets_drawn_splits_where_the_official_ones_are_empty(tmp_path):
    """MIMIC-CXR's official validation split is under a hundredth of it: a part often has none of it."""
    MINIATURES["chexpert"](tmp_path / "data")
    for number in range(5):
        extra = tmp_path / f"data/train/patient9{number}/study1"
        extra.mkdir(parents=True)
        (extra / "view1_frontal.jpg").touch()
        with (tmp_path / "data/train.csv").open("a") as table:
            columns = (tmp_path / "data/train.csv").read_text().splitlines()[0].count(",")
            table.write(
                f"CheXpert-v1.0/train/patient9{number}/study1/view1_frontal.jpg" + "," * columns + "\n"
            )
    shutil.rmtree(tmp_path / "data/valid")
    summary = index(options(tmp_path))
    assert summary.splits["val"] > 0
    assert (
        "no image of the official split val is there: patients for it are drawn from train" in summary.notes
    )


def test_paths_of_another_tables_are_counted_and_not_repeated(tmp_path):
    write_csv(tmp_path / "data/train.csv", ("Path",), [("DOE_JANE/a.jpg",), ("train/p/study1/a.jpg",)])
    with pytest.raises(DataError) as caught:
        index(options(tmp_path))
    assert str(caught.value) == (
        f"{tmp_path}/data: 1 paths of the tables do not end in train/PATIENT/STUDY/VIEW.jpg, nor in that "
        "with valid or test instead of train; download the official tables again"
    )


def test_an_nih_list_that_is_no_text_is_one_line(tmp_path):
    MINIATURES["nih"](tmp_path / "data")
    (tmp_path / "data/test_list.txt").write_bytes(b"00000003_000.png\n\xff\xfe")
    with pytest.raises(
        DataError, match=r"/test_list\.txt cannot be read \(UnicodeDecodeError\); download it again"
    ):
        index(options(tmp_path))


def test_a_damaged_row_is_not_repeated(tmp_path):
    MINIATURES["nih"](tmp_path / "data")
    table = tmp_path / "data/Data_Entry_2017_v2020.csv"
    table.write_text(table.read_text() + "DOE^JANE,too,short\n")
    with pytest.raises(DataError) as caught:
        index(options(tmp_path))
    assert str(caught.value) == f"{table} cannot be read (ArrowInvalid); download it again"


@pytest.mark.parametrize("name", ["mimic-cxr-jpg", "nih"])
def test_a_folder_of_a_published_data_set_that_cannot_be_listed_is_not_named(name, tmp_path, monkeypatch):
    MINIATURES[name](tmp_path / "data")
    listdir = os.listdir

    def refuse(folder="."):
        if str(folder) != str(tmp_path / "data") and str(folder).startswith(str(tmp_path / "data")):
            raise PermissionError(13, "Permission denied", folder)
        return listdir(folder)

    monkeypatch.setattr(os, "listdir", refuse)
    with pytest.raises(DataError) as caught:
        index(options(tmp_path))
    assert str(caught.value) == (
        f"a folder below {tmp_path}/data cannot be listed (Permission denied); make it readable"
    )


@pytest.mark.parametrize("name", [name for name in PUBLISHED if name != "vindr"])
def test_a_partial_download_is_counted_and_pairs_bridge_the_gap(name, tmp_path):
    MINIATURES[name](tmp_path / "data")
    whole = index(options(tmp_path))
    gone = (tmp_path / "out" / rows_of(tmp_path / "out/images.csv")[0]["image"]).resolve()
    gone.unlink()
    partial = index(options(tmp_path, overwrite=True))
    assert (partial.missing, partial.images) == (1, whole.images - 1)
    assert "missing: 1 files named by the tables are not on the disk" in partial.lines()
    assert all((tmp_path / "out" / row["image"]).exists() for row in rows_of(tmp_path / "out/images.csv"))


def test_a_missing_study_is_bridged(tmp_path):
    MINIATURES["mimic-cxr-jpg"](tmp_path / "data")
    shutil.rmtree(tmp_path / "data/files/p10/p10000032/s53189527")
    assert index(options(tmp_path)).missing == 2
    days = {row["id"]: row["days"] for row in rows_of(tmp_path / "out/pairs.csv")}
    assert days["p10000032/s50414267-s53911762-PA"] == "78"


@pytest.mark.parametrize("name", PUBLISHED)
def test_tables_without_any_file_are_an_error(name, tmp_path):
    MINIATURES[name](tmp_path / "data")
    for file in [*(tmp_path / "data").rglob("*.jpg"), *(tmp_path / "data").rglob("*.[pd]*")]:
        if file.is_file():
            file.unlink()
    with pytest.raises(
        DataError, match=r"holds none of the \d+ files that its tables name; unpack the images"
    ):
        index(options(tmp_path))


def test_only_the_views_that_are_asked_for(run):
    summary, images, pairs = run("mimic-cxr-jpg", views=("ap", "LL"))
    assert [row["view"] for row in images] == ["LATERAL", "LATERAL", "AP", "AP"]
    assert {row["view"] for row in pairs} == {"LATERAL", "AP"}
    assert summary.refused == {"view not asked for": 5}


def test_views_that_are_not_there_are_an_error_that_names_the_found_ones(tmp_path):
    MINIATURES["padchest"](tmp_path / "data")
    with pytest.raises(
        ValueError, match="--views SWIMMERS leaves nothing; the data set has AP_HORIZONTAL, LATERAL, PA"
    ):
        index(options(tmp_path, views=("SWIMMERS",)))


def test_rows_without_a_patient_and_repeated_rows_are_counted(tmp_path):
    MINIATURES["nih"](tmp_path / "data")
    table = tmp_path / "data/Data_Entry_2017_v2020.csv"
    lines = table.read_text().splitlines()
    lines[7] = lines[7].replace(",0,4,", ",0,,")
    table.write_text("\n".join([*lines, lines[1], lines[1]]))
    summary = index(options(tmp_path))
    assert summary.refused == {"row repeated": 2, "row without a patient or an image": 1}
    assert summary.images == 7


def test_parquet_holds_the_same_with_types(tmp_path):
    MINIATURES["padchest"](tmp_path / "data")
    index(options(tmp_path, format="parquet"))
    pairs = pq.read_table(tmp_path / "out/pairs.parquet").to_pylist()
    assert [row["days"] for row in pairs] == [108, 60]
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["images.parquet", "pairs.parquet"]


def test_drawn_splits_follow_the_seed(tmp_path):
    MINIATURES["padchest"](tmp_path / "data")
    drawn = set()
    for seed in range(8):
        index(options(tmp_path, split_seed=seed, overwrite=True))
        splits = {row["patient_id"]: row["split"] for row in rows_of(tmp_path / "out/images.csv")}
        assert sorted(splits.values()) == ["test", "train", "val"]
        drawn.add(tuple(splits.values()))
    assert len(drawn) > 1


def test_a_table_without_its_columns_is_named(tmp_path):
    write_csv(tmp_path / "data/Data_Entry_2017.csv", ("Image Index", "Patient ID"), [("a.png", 1)])
    with pytest.raises(DataError, match=r"Data_Entry_2017\.csv lacks the column Follow-up #; download"):
        index(options(tmp_path))


def test_a_damaged_table_is_named(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/cxr-record-list.csv.gz").write_bytes(b"no gzip")
    with pytest.raises(DataError, match=r"cxr-record-list\.csv\.gz cannot be read \(.*\); download it again"):
        index(options(tmp_path))


def test_a_foreign_split_name_is_an_error(tmp_path):
    MINIATURES["mimic-cxr-jpg"](tmp_path / "data")
    write_csv(
        tmp_path / "data/mimic-cxr-2.1.0-split.csv.gz", ("dicom_id", "split"), [(MIMIC[0][0], "holdout")]
    )
    with pytest.raises(
        DataError, match="names the split 'holdout'; the official ones are train, validate, test"
    ):
        index(options(tmp_path))
