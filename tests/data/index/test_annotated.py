"""Annotations of real pairs and of single images, from their official files to hand-written expectations."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data import DataConfig
from data.base.errors import DataError, UserError
from data.index.indexer import index
from data.index.layouts import LAYOUTS
from data.manifests.manifest import images_in_manifest, pairs_in_manifest
from data.manifests.regions import boxes_of, changes_of, mask_of
from tests.calling import call
from tests.data.index.annotated import ANNOTATED, FIRST, SECOND, THIRD, chexmask, imagenome_row
from tests.data.index.miniatures import MINIATURES, options, rows_of, write_csv, write_dicom
from tests.micro import ROOT

OF_MIMIC = ("chest-imagenome", "ms-cxr-t")


@pytest.fixture
def run(tmp_path):
    def run(name, **changes):
        if not (tmp_path / "data").exists():
            ANNOTATED[name](tmp_path / "data")
        if name in OF_MIMIC:
            changes = {"images": tmp_path / "mimic"} | changes
        summary = index(options(tmp_path, **changes))
        pairs = tmp_path / "out/pairs.csv"
        return summary, rows_of(tmp_path / "out/images.csv"), rows_of(pairs) if pairs.exists() else []

    return run


def changes_by_pair(pairs):
    return {row["id"]: changes_of(row["changes"], "x") for row in pairs}


@pytest.mark.parametrize("name", ANNOTATED)
def test_every_layout_is_told_and_its_manifests_can_be_read(name, run, tmp_path):
    summary, images, pairs = run(name)
    assert summary.layout == name
    assert all((tmp_path / "out" / row["image"]).is_file() for row in images)
    assert len(images_in_manifest(tmp_path / "out/images.csv")) == len(images) == summary.images > 0
    assert len(pairs) == summary.pairs
    if name in ("chextemporal", "padchest-gr", *OF_MIMIC):
        records = pairs_in_manifest(tmp_path / "out/pairs.csv")
        assert [record.columns["changes"] for record in records] == [row["changes"] for row in pairs]
        columns = ["id", "patient_id", "baseline", "followup", "split", "view", "days"]
        assert list(pairs[0]) == [*columns, "findings", "progression", "changes"]


def test_chextemporal(run):
    summary, images, pairs = run("chextemporal")
    assert (summary.images, summary.pairs, summary.missing) == (4, 2, 2)
    assert {row["split"] for row in pairs + images} == {"test"}
    assert [(row["findings"], row["progression"]) for row in pairs] == [
        ("edema+pleural effusion", "resolved+worse"),
        ("lung opacity", "stable"),
    ]
    assert pairs[0]["patient_id"] == "chexpert-patient00001"
    edema, effusion = changes_of(pairs[0]["changes"], "x")
    # Pixels of the copy of 512 x 1024 of an image of 1024 x 2048.
    assert (edema.progression, edema.baseline, edema.followup) == ("worse", (), ((0.5, 0, 1, 0.5),))
    assert (effusion.progression, effusion.baseline, effusion.followup) == (
        "resolved",
        ((0, 0.5, 0.5, 1),),
        (),
    )


@pytest.mark.parametrize("version", ["json", "lists"])
def test_versions_of_chextemporal_s_boxes(version, run, tmp_path):
    ANNOTATED["chextemporal"](tmp_path / "data")
    path = tmp_path / "data/gold_bboxes.parquet"
    table = pq.read_table(path).to_pydict()
    for name in ("prior_bboxes", "current_bboxes"):
        lists = [
            [[box[edge] for edge in ("x1", "y1", "x2", "y2")] for box in boxes or []] for boxes in table[name]
        ]
        table[name] = [json.dumps(boxes) for boxes in table[name]] if version == "json" else lists
    pq.write_table(pa.table(table), path)
    _, _, pairs = run("chextemporal")
    edema, effusion = changes_of(pairs[0]["changes"], "x")
    assert (edema.followup, effusion.baseline) == (((0.5, 0, 1, 0.5),), ((0, 0.5, 0.5, 1),))


def test_chextemporal_without_boxes(run, tmp_path):
    ANNOTATED["chextemporal"](tmp_path / "data")
    (tmp_path / "data/gold_bboxes.parquet").unlink()
    summary, _, pairs = run("chextemporal")
    assert any("the changes have no boxes" in note for note in summary.notes)
    assert [change.followup for change in changes_of(pairs[0]["changes"], "x")] == [(), ()]


def test_chest_imagenome(run):
    summary, images, pairs = run("chest-imagenome")
    assert summary.refused == {"image that its data set does not list": 1}
    assert {row["split"] for row in images} == {"test"}
    assert [(row["days"], row["view"]) for row in pairs] == [("51", "PA"), ("27", "PA")]
    assert [(row["findings"], row["progression"]) for row in pairs] == [
        ("edema", "improved+worse"),
        ("pneumothorax", "stable"),
    ]
    worse, improved = changes_of(pairs[0]["changes"], "x")
    # The boxes of two structures; the subject is the followup.
    assert worse.baseline == ((0, 0, 0.5, 1), (0.5, 0, 1, 1))
    assert worse.followup == ((0, 0, 0.5, 0.5), (0.5, 0, 1, 0.5))
    assert (improved.progression, improved.baseline, improved.followup) == ("improved", (), ((0, 0.5, 1, 1),))
    assert FIRST[:8] in pairs[0]["baseline"]
    assert SECOND[:8] in pairs[0]["followup"]
    assert THIRD[:8] in pairs[1]["followup"]


def test_ms_cxr_t(run):
    _, images, pairs = run("ms-cxr-t")
    assert len(images) == 3
    found = changes_by_pair(pairs)
    assert [[(change.finding, change.progression) for change in changes] for changes in found.values()] == [
        [("edema", "worse"), ("pneumothorax", "stable")],
        [("pleural effusion", "improved")],
    ]
    assert list(found) == ["p10000032/s50414267-s53189527-PA", "p10000032/s53189527-s53911762-PA"]


def test_padchest_gr(run):
    summary, _, pairs = run("padchest-gr")
    assert summary.splits == {"train": 1, "val": 1, "test": 1}
    assert [(row["split"], row["findings"], row["progression"]) for row in pairs] == [
        ("train", "pleural effusion", "worse"),
        ("val", "nodule", "stable"),
    ]
    assert pairs[0]["baseline"].endswith("PadChest_GR_progression_prior_studies/a0.png")
    (change,) = changes_of(pairs[0]["changes"], "x")
    assert (change.baseline, change.followup) == ((), ((0.5, 0.5, 1, 1),))


def test_siim_acr(run):
    _, images, _ = run("siim-acr")
    mask = mask_of(images[0]["mask:pneumothorax"], "x")
    assert mask.shape == (1024, 1024)
    assert np.argwhere(mask).tolist() == [[0, 0], [0, 1], [1, 0], [1, 1], [1023, 1023]]
    assert [row["mask:pneumothorax"] for row in images[1:]] == ["", ""]
    assert [row["pneumothorax"] for row in images] == ["1", "0", "0"]


def test_candid_ptx(run):
    _, images, _ = run("candid-ptx")
    assert [row["pneumothorax"] for row in images] == ["1", "0", ""]
    assert np.argwhere(mask_of(images[0]["mask:pneumothorax"], "x")).tolist() == [[0, 0], [1, 0]]
    assert np.argwhere(mask_of(images[1]["mask:chest_drain"], "x")).tolist() == [[0, 1]]
    assert "mask:rib_fracture" not in images[0]


def test_chestx_det(run):
    _, images, _ = run("chestx-det")
    assert [row["split"] for row in images].count("test") == 1
    assert boxes_of(images[0]["boxes:effusion"], "x") == ((0.125, 0.25, 0.375, 0.75), (0.5, 0, 1, 0.5))
    mask = mask_of(images[0]["mask:effusion"], "x")
    assert mask.shape == (8, 16)
    assert mask[2:6, 2:6].all()
    assert mask[3, 10]
    assert not mask[:2, :7].any()
    assert images[2]["mask:pleural_thickening"]
    assert [images[1][name] for name in images[1] if ":" in name] == [""] * 4


def test_ranzcr(run):
    _, images, _ = run("ranzcr")
    assert json.loads(images[0]["lines:cvc_normal"]) == [[[0, 0.25], [0.5, 0.5]], [[1, 1], [0.5, 1]]]
    assert [row["cvc_normal"] for row in images] == ["1", "1", "1"]
    assert {row["patient_id"] for row in images} == {"p1", "p2", "p3"}


def test_vindr_s_boxes_are_columns(tmp_path):
    MINIATURES["vindr"](tmp_path / "data")
    name = "50a418190bc3fb1ef1633bf9678929b3"
    write_csv(
        tmp_path / "data/annotations/annotations_train.csv",
        ("image_id", "rad_id", "class_name", "x_min", "y_min", "x_max", "y_max"),
        [
            (name, "R8", "Pleural effusion", 2, 4, 4, 8),
            (name, "R9", "Pleural effusion", 0, 0, 8, 8),
            ("cd" * 16, "R9", "No finding", "", "", "", ""),
        ],
    )
    index(options(tmp_path))
    images = {row["id"]: row for row in rows_of(tmp_path / "out/images.csv")}
    assert boxes_of(images[name]["boxes:pleural_effusion"], "x") == ((0.25, 0.5, 0.5, 1), (0, 0, 1, 1))
    assert images["cd" * 16]["boxes:pleural_effusion"] == ""


@pytest.mark.parametrize(
    ("name", "column", "ids"),
    [
        ("nih", "Image Index", ["00000001_000.png", "00000001_001.png", "00000002_000.png", "other.png"]),
        (
            "chexpert",
            "Path",
            [
                "CheXpert-v1.0/train/patient00002/study2/view1_frontal.jpg",
                "CheXpert-v1.0/train/patient00002/study10/view1_frontal.jpg",
                "CheXpert-v1.0/valid/patient64541/study1/view1_frontal.jpg",
            ],
        ),
        ("mimic-cxr-jpg", "dicom_id", [FIRST, SECOND, THIRD]),
    ],
)
def test_anatomy_becomes_columns_of_images_and_pairs(name, column, ids, tmp_path):
    MINIATURES[name](tmp_path / "data")
    dice = [0.9, 0.75, 0.69, 0.9][: len(ids)]
    chexmask(tmp_path / "masks.csv", column, list(zip(ids, dice, strict=True)))
    summary = index(options(tmp_path, anatomy=tmp_path / "masks.csv"))
    assert "masks of lungs and heart: 2 images, 1 left out as unreliable" in summary.notes
    images = rows_of(tmp_path / "out/images.csv")
    with_lungs = [row for row in images if row["lungs"]]
    assert len(with_lungs) == 2
    lungs = mask_of(with_lungs[0]["lungs"], "x")
    assert lungs[0].all()
    assert lungs[7, 7]
    assert lungs.sum() == 9
    assert np.argwhere(mask_of(with_lungs[0]["heart"], "x")).tolist() == [[0, 1]]
    pairs = rows_of(tmp_path / "out/pairs.csv")
    of_image = {row["image"]: row["lungs"] for row in images}
    assert all(row["followup_lungs"] == of_image[row["followup"]] for row in pairs)
    assert any(row["baseline_lungs"] for row in pairs)


def test_anatomy_keeps_the_shape_of_large_images_and_follows_pseudonyms(tmp_path):
    MINIATURES["nih"](tmp_path / "data")
    chexmask(tmp_path / "masks.csv", "Image Index", [("00000001_000.png", 0.9)], side=512)
    index(options(tmp_path, anatomy=tmp_path / "masks.csv", key=tmp_path / "key"))
    (row,) = (row for row in rows_of(tmp_path / "out/images.csv") if row["lungs"])
    assert "00000001" not in row["id"]
    assert mask_of(row["lungs"], "x").shape == (256, 256)


def test_anatomy_and_changes_in_one_manifest_reach_a_batch(run, tmp_path):
    ANNOTATED["ms-cxr-t"](tmp_path / "data")
    chexmask(tmp_path / "masks.csv", "dicom_id", [(FIRST, 0.9), (SECOND, 0.9), (THIRD, 0.9)])
    run("ms-cxr-t", anatomy=tmp_path / "masks.csv")
    from data.manifests.dataset import ManifestPairs, load_pairs

    records = load_pairs(tmp_path / "out/pairs.csv", DataConfig())
    sample = ManifestPairs(records=records, image_size=32)[0]
    assert sample.geometry_baseline.height == 8
    assert changes_of(sample.columns["changes"], "x")[0].progression == "worse"
    assert mask_of(sample.columns["followup_lungs"], "x").sum() == 9


def drop(path, column):
    """Write a table without one of its columns."""
    if path.suffix == ".parquet":
        pq.write_table(pq.read_table(path).drop_columns([column]), path)
    elif path.suffix == ".json":
        path.write_text(path.read_text().replace(f'"{column}"', '"other"'))
    else:
        path.write_text(path.read_text().replace(column, "other", 1))


@pytest.mark.parametrize(
    ("name", "file", "column"),
    [
        ("chextemporal", "gold_progression_pairs.parquet", "progression"),
        ("chextemporal", "gold_bboxes.parquet", "prior_bboxes"),
        (
            "chest-imagenome",
            "gold_dataset/gold_object_comparison_with_coordinates.txt",
            "bbox_coord_original_object",
        ),
        ("padchest-gr", "grounded_reports_20240819.json", "PreviousImageID"),
        ("padchest-gr", "master_table.csv", "PatientID"),
        ("ms-cxr-t", "MS_CXR_T_temporal_image_classification_v1.0.0.csv", "pneumonia_progression"),
        ("siim-acr", "train-rle.csv", "EncodedPixels"),
        ("candid-ptx", "Pneumothorax_reports.csv", "StudyInstanceUID"),
        ("candid-ptx", "chest_tube.csv", "mask_rle"),
        ("chestx-det", "ChestX_Det_train.json", "polygons"),
        ("ranzcr", "train_annotations.csv", "label"),
    ],
)
def test_a_column_that_is_missing_is_named(name, file, column, run, tmp_path):
    ANNOTATED[name](tmp_path / "data")
    drop(tmp_path / "data" / file, column)
    with pytest.raises(DataError) as error:
        run(name)
    assert str(error.value) == (
        f"{tmp_path / 'data' / file} lacks the column {column}; download the official file again"
    )


def test_mistakes_are_one_line_and_exit_code_2(tmp_path):
    for name in ("siim-acr", "chest-imagenome", "padchest-gr"):
        (tmp_path / name).mkdir()
        ANNOTATED[name](tmp_path / name / "data")
    MINIATURES["nih"](tmp_path / "nih/data")
    siim = tmp_path / "siim-acr/data/train-rle.csv"
    siim.write_text(siim.read_text().replace("1048575 1", "1048575 2"))
    table = tmp_path / "chest-imagenome/data/gold_dataset/gold_object_comparison_with_coordinates.txt"
    row = imagenome_row(FIRST, SECOND, "worsened", "edema", ("[0, 0, 4, 8]", "[0, 0, 9, 4]"))
    table.write_text(
        "\t".join(table.read_text().splitlines()[0].split("\t"))
        + "\n"
        + "\t".join('"' + cell.replace('"', '""') + '"' for cell in row)
        + "\n"
    )
    reports = tmp_path / "padchest-gr/data/grounded_reports_20240819.json"
    reports.write_text(reports.read_text().replace("[0.5, 0.5, 1.0, 1.0]", "[0.5, 0.5, 1.0, 1.5]"))
    chexmask(tmp_path / "wrong.csv", "Image Index", [("00000001_000.png", 0.9)])
    wrong = (tmp_path / "wrong.csv").read_text().replace("64 1", "64 2")
    (tmp_path / "wrong.csv").write_text(wrong)
    chexmask(tmp_path / "others.csv", "Image Index", [("x.png", 0.9)])
    mimic = ("--images", tmp_path / "chest-imagenome/mimic")
    for name, arguments, reason in (
        (
            "siim-acr",
            (),
            f"{siim}: image 1.2.3: reaches pixel 1048577, and an image of 1024 x 1024 has 1048576",
        ),
        ("chest-imagenome", mimic, f"{table}: {SECOND}: the box 0, 0, 9, 4 lies outside its image of 8 x 8"),
        ("chest-imagenome", (), "name its folder with --images"),
        ("padchest-gr", (), f"{reports}: image a.png: the box 0.5, 0.5, 1, 1.5 lies outside"),
        ("siim-acr", mimic, "--images is for annotations of other data sets' radiographs (chextemporal, "),
        ("nih", ("--anatomy", tmp_path / "wrong.csv"), "image 00000001_000: reaches pixel 65"),
        ("nih", ("--anatomy", tmp_path / "others.csv"), "has none of the 8 images"),
        ("nih", ("--anatomy", siim), "lacks a column of images"),
    ):
        done = call("data.index", tmp_path / name / "data", tmp_path / name / "out", *arguments, cwd=ROOT)
        assert (done.returncode, done.stdout) == (2, ""), done
        assert len(done.stderr.splitlines()) == 1
        assert reason in done.stderr
        assert not (tmp_path / name / "out").exists()


def test_images_must_be_a_folder(run, tmp_path):
    with pytest.raises(UserError, match=r"--images .*is no folder"):
        run("ms-cxr-t", images=tmp_path / "nowhere")


def test_annotations_lie_apart_where_they_are_of_other_data_sets():
    assert {name for name, layout in LAYOUTS.items() if layout.apart} == {"chextemporal", *OF_MIMIC}


def test_regions_are_turned_with_their_files(tmp_path):
    """A film that lies on its side: rows run to the patient's left, columns upwards."""
    ANNOTATED["siim-acr"](tmp_path / "siim/data")
    MINIATURES["vindr"](tmp_path / "vindr/data")
    name = "50a418190bc3fb1ef1633bf9678929b3"
    siim = tmp_path / "siim/data/dicom-images-train/1.2.3.1/1.2.3.2/1.2.3.dcm"
    for path in (siim, tmp_path / f"vindr/data/train/{name}.dicom"):
        write_dicom(path, PatientOrientation=["H", "L"])
    columns = ("image_id", "class_name", "x_min", "y_min", "x_max", "y_max")
    boxes = tmp_path / "vindr/data/annotations/annotations_train.csv"
    write_csv(boxes, columns, [(name, "Edema", 0, 0, 2, 4)])
    chexmask(tmp_path / "masks.csv", "image_id", [(name, 0.9)])
    index(options(tmp_path / "siim"))
    index(options(tmp_path / "vindr", anatomy=tmp_path / "masks.csv"))
    # The stored upper left corner is seen at the lower left.
    mask = mask_of(rows_of(tmp_path / "siim/out/images.csv")[0]["mask:pneumothorax"], "x")
    assert mask[-2:, :2].all()
    assert mask[0, -1]
    (row,) = (row for row in rows_of(tmp_path / "vindr/out/images.csv") if row["id"] == name)
    assert boxes_of(row["boxes:edema"], "x") == ((0, 0.75, 0.5, 1),)
    lungs = mask_of(row["lungs"], "x")
    assert lungs[:, 0].all()
    assert lungs[0, 7]
