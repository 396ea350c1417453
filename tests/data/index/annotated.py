"""Annotations in miniature, of real pairs and of single images, rebuilt from official names and columns."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from skimage.io import imsave

from tests.data.index.miniatures import MIMIC, mimic_cxr_jpg, mimic_path, write_csv, write_dicom

IMAGENOME_COLUMNS = (
    *(
        "patient_id",
        "relationship_id",
        "subject_id",
        "object_id",
        "bbox",
        "comparison",
        "attribute",
        "sentence",
    ),
    *("bbox_coord_224_subject", "bbox_coord_224_object", "bbox_coord_original_subject"),
    *("bbox_coord_original_object", "label_name", "current_image_id", "previous_image_id"),
)
MS_CXR_T_FINDINGS = ("consolidation", "edema", "pleural_effusion", "pneumonia", "pneumothorax")
MS_CXR_T_COLUMNS = (
    *("dicom_id", "previous_dicom_id", "study_id", "previous_study_id", "subject_id"),
    *(f"{finding}_{what}" for finding in MS_CXR_T_FINDINGS for what in ("progression", "label_quality")),
)
MASTER_COLUMNS = (
    *("StudyID", "ImageID", "label", "boxes_count", "extra_boxes_count", "locations", "prior_study"),
    *("progression_status", "prior_imageID", "sentence_en", "sentence_es", "study_is_benchmark"),
    *("study_is_validation", "split", "PatientID", "patient_is_benchmark", "PatientBirth"),
    *("PatientSex_DICOM", "StudyDate_DICOM", "StudyDate", "PatientAge", "label_group", "Year"),
)
CHEXMASK_COLUMNS = ("Dice RCA (Mean)", "Dice RCA (Max)", "Landmarks", "Left Lung", "Right Lung", "Heart")
RANZCR_LABELS = (
    *("ETT - Abnormal", "ETT - Borderline", "ETT - Normal", "NGT - Abnormal", "NGT - Borderline"),
    *("NGT - Incompletely Imaged", "NGT - Normal", "CVC - Abnormal", "CVC - Borderline", "CVC - Normal"),
    "Swan Ganz Catheter Present",
)
FIRST, SECOND, THIRD = (MIMIC[row][0] for row in (0, 2, 4))  # PA images of one patient, in order


def write_grey(path: Path, height: int, width: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    imsave(path, np.zeros((height, width), np.uint8), check_contrast=False)


def chextemporal(root: Path) -> None:
    """Two pairs of CheXpert, one with two findings, and one of ReXGradient, whose images are missing."""
    first = "chexpert/train/patient00001/study1/view1_frontal.jpg"
    second = "chexpert/train/patient00001/study2/view1_frontal.jpg"
    third = "chexpert/train/patient00002/study1/view1_frontal.jpg"
    fourth = "chexpert/train/patient00002/study3/view1_frontal.jpg"
    names = ("patient_id", "study_id_prev", "study_id_curr", "img_path_prev", "img_path_curr")
    keys = (*names, "disease_name", "progression", "dataset")
    pairs = [
        ("patient00001", "study1", "study2", first, second, "Edema", "Worse", "chexpert"),
        ("patient00001", "study1", "study2", first, second, "Pleural Effusion", "Resolved", "chexpert"),
        ("patient00002", "study1", "study3", third, fourth, "Lung Opacity", "Stable", "chexpert"),
        (
            "p1",
            "s1",
            "s2",
            "rexgradient/deid_png/a.png",
            "rexgradient/deid_png/b.png",
            "Edema",
            "New",
            "rexgradient",
        ),
    ]
    struct = pa.struct([(name, pa.float64()) for name in ("x1", "y1", "x2", "y2")] + [("label", pa.string())])
    prior = [[], [{"x1": 0, "y1": 256, "x2": 512, "y2": 512, "label": "a"}], None]
    current = [[{"x1": 512.0, "y1": 0.0, "x2": 1024.0, "y2": 256.0, "label": "Edema"}], [], None]
    root.mkdir(parents=True, exist_ok=True)
    columns = {name: [row[place] for row in pairs] for place, name in enumerate(keys)}
    pq.write_table(pa.table(columns), root / "gold_progression_pairs.parquet")
    boxed = {name: cells[:3] for name, cells in columns.items()}
    boxed["prior_bboxes"] = pa.array(prior, pa.list_(struct))
    boxed["current_bboxes"] = pa.array(current, pa.list_(struct))
    pq.write_table(pa.table(boxed), root / "gold_bboxes.parquet")
    for path in (first, second, third, fourth):
        write_grey(root / path, 1024, 2048)  # of which the annotated copy has 512 x 1024


def imagenome_row(
    baseline: str, followup: str, comparison: str, label: str, boxes: tuple[str, str]
) -> list[str]:
    previous, current = boxes
    row = dict.fromkeys(IMAGENOME_COLUMNS, "x") | {"sentence": 'There is "more" edema\n, unchanged.'}
    row |= {"previous_image_id": baseline, "current_image_id": followup, "comparison": comparison}
    row |= {
        "bbox_coord_original_object": previous,
        "bbox_coord_original_subject": current,
        "label_name": label,
    }
    return list(row.values())


def chest_imagenome(root: Path) -> None:
    """Beside MIMIC-CXR-JPG, of 8 x 8 pixels."""
    mimic_cxr_jpg(root.parent / "mimic")
    rows = [
        imagenome_row(FIRST, SECOND, "worsened", "edema", ("[0, 0, 4, 8]", "[0, 0, 4, 4]")),
        imagenome_row(FIRST, SECOND, "worsened", "edema", ("[4, 0, 8, 8]", "[4, 0, 8, 4]")),
        imagenome_row(FIRST, SECOND, "improved", "edema", ("[]", "[0, 4, 8, 8]")),
        imagenome_row(SECOND, f"{THIRD}.dcm", "no change", "pneumothorax", ("[0, 0, 8, 8]", "[0, 0, 8, 8]")),
        imagenome_row("unknown", THIRD, "no change", "edema", ("[0, 0, 8, 8]", "[0, 0, 8, 8]")),
    ]
    path = root / "gold_dataset/gold_object_comparison_with_coordinates.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    quoted = [['"' + cell.replace('"', '""') + '"' for cell in row] for row in rows]
    path.write_text("\n".join("\t".join(row) for row in [IMAGENOME_COLUMNS, *quoted]) + "\n")


def ms_cxr_t(root: Path) -> None:
    """Beside MIMIC-CXR-JPG."""
    mimic_cxr_jpg(root.parent / "mimic")
    whole = {row[0]: mimic_path(row, "").removeprefix("files/") for row in MIMIC}
    rows = []
    for baseline, followup, words in (
        (FIRST, SECOND, {"edema": "worsening", "pneumothorax": "stable"}),
        (SECOND, THIRD, {"pleural_effusion": "improving"}),
    ):
        row = dict.fromkeys(MS_CXR_T_COLUMNS, "")
        row |= {f"{finding}_progression": word for finding, word in words.items()}
        rows.append(
            list((row | {"dicom_id": whole[followup], "previous_dicom_id": whole[baseline]}).values())
        )
    write_csv(root / "MS_CXR_T_temporal_image_classification_v1.0.0.csv", MS_CXR_T_COLUMNS, rows)


def padchest_gr(root: Path) -> None:
    def report(study: str, image: str, prior: str | None, *findings: dict[str, object]) -> dict[str, object]:
        previous = {"PreviousStudyID": f"{study}-before" if prior else None, "PreviousImageID": prior}
        return {"StudyID": study, "ImageID": image, **previous, "findings": list(findings)}

    def sentence(progression: str | None, label: str, *boxes: list[float]) -> dict[str, object]:
        known = {"sentence_en": "x", "sentence_es": "y", "abnormal": True, "extra_boxes": [], "locations": []}
        return {**known, "boxes": list(boxes), "labels": [label], "progression": progression}

    reports = [
        report("1", "a.png", "a0.png", sentence("worsened", "pleural effusion", [0.5, 0.5, 1.0, 1.0])),
        report(
            "2", "b.png", "b0.png", sentence("stable", "nodule", [0, 0, 0.1, 0.1]), sentence(None, "scar")
        ),
        report("3", "c.png", None, {"sentence_en": "Normal.", "sentence_es": "Normal.", "abnormal": False}),
    ]
    root.mkdir(parents=True, exist_ok=True)
    (root / "grounded_reports_20240819.json").write_text(json.dumps(reports))
    lines = []
    for study, split in (("1", "train"), ("2", "validation"), ("3", "test")):
        row = dict.fromkeys(MASTER_COLUMNS, "x") | {"sentence_en": "of\ntwo lines"}
        lines.append(list((row | {"StudyID": study, "PatientID": f"p{study}", "split": split}).values()))
    write_csv(root / "master_table.csv", MASTER_COLUMNS, lines)
    for name in ("a.png", "b.png", "c.png"):
        write_grey(root / "Padchest_GR_files/PadChest_GR" / name, 8, 8)
    for name in ("a0.png", "b0.png"):
        write_grey(root / "PadChest_GR_progression_prior_studies" / name, 8, 8)


def siim_acr(root: Path) -> None:
    """Three images; the first has two codes: two rows of the first two columns, and the last pixel."""
    rows = [("1.2.3", "0 2 1022 2"), ("1.2.3", "1048575 1"), ("1.2.4", "-1"), ("1.2.5", "-1")]
    write_csv(root / "train-rle.csv", ("ImageId", " EncodedPixels"), rows)
    for name in ("1.2.3", "1.2.4", "1.2.5"):
        write_dicom(root / f"dicom-images-train/{name}.1/{name}.2/{name}.dcm")


def candid_ptx(root: Path) -> None:
    rows = [("u1", "s1", "0 2", "report of\ntwo lines"), ("u2", "s2", "-1", "x"), ("u3", "s3", "", "x")]
    write_csv(
        root / "Pneumothorax_reports.csv",
        ("SOPInstanceUID", "StudyInstanceUID", "EncodedPixels", "Report"),
        rows,
    )
    write_csv(root / "chest_tube.csv", ("anon_SOPUID", "annotation", "mask_rle"), [("u2", "1", "1024 1")])
    for name in ("u1", "u2", "u3"):
        write_dicom(root / "dataset" / name)


def chestx_det(root: Path) -> None:
    square = [[2, 2], [2, 6], [6, 6], [6, 2]]
    train = [
        {"file_name": f"{name}.png", "syms": findings, "boxes": boxes, "polygons": polygons}
        for name, findings, boxes, polygons in (
            (
                "1",
                ["Effusion", "Effusion"],
                [[2, 2, 6, 6], [8, 0, 16, 4]],
                [square, [[8, 0], [8, 4], [16, 4]]],
            ),
            ("2", [], [], []),
            ("3", ["Pleural Thickening"], [[2, 2, 6, 6]], [square]),
        )
    ]
    root.mkdir(parents=True, exist_ok=True)
    (root / "ChestX_Det_train.json").write_text(json.dumps(train))
    (root / "ChestX_Det_test.json").write_text(json.dumps([{**train[1], "file_name": "4.png"}]))
    for name in "123":
        write_grey(root / f"train_data/{name}.png", 8, 16)
    write_grey(root / "test_data/4.png", 8, 16)


def ranzcr(root: Path) -> None:
    rows = [(name, *[0] * 9, 1, 0, patient) for name, patient in (("a", "p1"), ("b", "p2"), ("c", "p3"))]
    write_csv(root / "train.csv", ("StudyInstanceUID", *RANZCR_LABELS, "PatientID"), rows)
    lines = [("a", "CVC - Normal", "[[0, 2], [8, 4]]"), ("a", "CVC - Normal", "[[16, 8], [8, 8]]")]
    write_csv(root / "train_annotations.csv", ("StudyInstanceUID", "label", "data"), lines)
    for name in "abc":
        write_grey(root / f"train/{name}.jpg", 8, 16)


def chexmask(path: Path, column: str, rows: list[tuple[str, float]], *, side: int = 8) -> None:
    """The left lung is the first row, the right one the last pixel, the heart the second pixel."""
    cells = [
        (name, dice, dice, "1,2,3", f"1 {side}", f"{side * side} 1", "2 1", side, side) for name, dice in rows
    ]
    write_csv(path, (column, *CHEXMASK_COLUMNS, "Height", "Width"), cells)


ANNOTATED: dict[str, Callable[[Path], None]] = {
    "chextemporal": chextemporal,
    "chest-imagenome": chest_imagenome,
    "padchest-gr": padchest_gr,
    "ms-cxr-t": ms_cxr_t,
    "siim-acr": siim_acr,
    "candid-ptx": candid_ptx,
    "chestx-det": chestx_det,
    "ranzcr": ranzcr,
}
