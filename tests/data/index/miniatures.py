"""Published data sets in miniature, rebuilt from their official files' names and columns; 8 px images."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable, Sequence
from pathlib import Path

import nibabel
import numpy as np
import pydicom
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from skimage.io import imsave

from data.index.options import IndexConfig

MIMIC_METADATA = (
    *("dicom_id", "subject_id", "study_id", "PerformedProcedureStepDescription", "ViewPosition", "Rows"),
    *("Columns", "StudyDate", "StudyTime", "ProcedureCodeSequence_CodeMeaning"),
    *("ViewCodeSequence_CodeMeaning", "PatientOrientationCodeSequence_CodeMeaning"),
)
NIH_COLUMNS = (
    *("Image Index", "Finding Labels", "Follow-up #", "Patient ID", "Patient Age", "Patient Gender"),
    *("View Position", "OriginalImage[Width", "Height]", "OriginalImagePixelSpacing[x", "y]", ""),
)
CHEXPERT_LABELS = (
    *("No Finding", "Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Opacity", "Lung Lesion", "Edema"),
    *("Consolidation", "Pneumonia", "Atelectasis", "Pneumothorax", "Pleural Effusion", "Pleural Other"),
    *("Fracture", "Support Devices"),
)
CHEXPERT_COLUMNS = ("Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *CHEXPERT_LABELS)
VINDR_LABELS = (
    *("Aortic enlargement", "Atelectasis", "Calcification", "Cardiomegaly", "Clavicle fracture"),
    *("Consolidation", "Edema", "Emphysema", "Enlarged PA", "ILD", "Infiltration", "Lung Opacity"),
    *("Lung cavity", "Lung cyst", "Mediastinal shift", "Nodule/Mass", "Pleural effusion"),
    *("Pleural thickening", "Pneumothorax", "Pulmonary fibrosis", "Rib fracture", "Other lesion", "COPD"),
    *("Lung tumor", "Pneumonia", "Tuberculosis", "Other diseases", "No finding"),
)
PADCHEST_COLUMNS = (
    *(
        "",
        "ImageID",
        "ImageDir",
        "StudyDate_DICOM",
        "StudyID",
        "PatientID",
        "PatientBirth",
        "PatientSex_DICOM",
    ),
    *("ViewPosition_DICOM", "Projection", "MethodProjection", "Pediatric", "Report", "MethodLabel", "Labels"),
)

PADCHEST_LABELS = [
    *("['normal']", "['pleural effusion', 'cardiomegaly']", "[' cardiomegaly', 'cardiomegaly']", "[]"),
    *("", "['COPD signs']", "['exclude']", "['normal', 'pacemaker']"),
]

# dicom_id, subject, study, view, date, time (a number in the table: leading zeros are lost), split
MIMIC = [
    ("02aa804e-bde0afdd-112c0b34-7bc16630-4e384014", 10000032, 50414267, "PA", 21800506, 213014.531, "train"),
    (
        "174413ec-4ec4c1f7-34ea26b7-c5f994f8-79ef1962",
        10000032,
        50414267,
        "LATERAL",
        21800506,
        213014.531,
        "train",
    ),
    ("2a2277a9-b0ded155-c0de8eb9-c124d10e-82c5caab", 10000032, 53189527, "PA", 21800626, 165500.312, "train"),
    ("e084de3b-be89b11e-20fe3f9f-9c8d8dfe-4cfd202c", 10000032, 53189527, "LL", 21800626, 165500.312, "train"),
    ("68b5c4b1-227d0485-9cc38c3f-7b84ab51-4b472714", 10000032, 53911762, "PA", 21800723, 80556.875, "train"),
    ("fffabebf-74fd3a1f-673b6b41-96ec0ac9-2ab69818", 10000032, 53911762, "PA", 21800723, 80556.875, "train"),
    # The later study has the lower number: time decides, and 9:15 comes before 10:00.
    (
        "ea030e7a-2e3b1346-bc518786-7a8fd698-f673b44c",
        11000183,
        51967845,
        "AP",
        21500101,
        100000.0,
        "validate",
    ),
    ("ffffffff-74fd3a1f-673b6b41-96ec0ac9-2ab69818", 11000183, 59999999, "AP", 21500101, 91500.0, "validate"),
    ("096052b7-d256dc40-453a102b-fa7d01c6-1b22c6b4", 12000898, 50771383, "", 21880119, 171500.25, "test"),
]


def write_csv(path: Path, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "wt", newline="") as file:
        csv.writer(file).writerows([columns, *rows])


def write_image(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    imsave(path, np.zeros((8, 8), np.uint8), check_contrast=False)


def mimic_tables(root: Path) -> None:
    write_csv(
        root / "mimic-cxr-2.0.0-metadata.csv.gz",
        MIMIC_METADATA,
        [
            (
                name,
                subject,
                study,
                "CHEST (PA AND LAT)",
                view,
                8,
                8,
                date,
                time,
                "CHEST",
                "postero-anterior",
                "",
            )
            for name, subject, study, view, date, time, _ in MIMIC
        ],
    )
    write_csv(
        root / "mimic-cxr-2.0.0-split.csv.gz",
        ("dicom_id", "study_id", "subject_id", "split"),
        [(name, study, subject, split) for name, subject, study, *_, split in MIMIC],
    )
    studies = dict.fromkeys((subject, study) for _, subject, study, *_ in MIMIC[:-1])
    write_csv(
        root / "mimic-cxr-2.0.0-chexpert.csv.gz",
        ("subject_id", "study_id", *sorted(CHEXPERT_LABELS)),
        [
            # The first study has an uncertain atelectasis and no cardiomegaly, the others unknown ones.
            (subject, study, *(("-1.0", "0.0") if number == 0 else ("", "")), *["1.0"] * 12)
            for number, (subject, study) in enumerate(studies)
        ],
    )


def mimic_path(row: Sequence[object], suffix: str) -> str:
    name, subject, study = row[:3]
    return f"files/p{str(subject)[:2]}/p{subject}/s{study}/{name}{suffix}"


def mimic_cxr_jpg(root: Path) -> None:
    mimic_tables(root)
    for row in MIMIC:
        write_image(root / mimic_path(row, ".jpg"))


def mimic_cxr(root: Path) -> None:
    write_csv(
        root / "cxr-record-list.csv.gz",
        ("subject_id", "study_id", "dicom_id", "path"),
        [
            (subject, study, name, mimic_path((name, subject, study), ".dcm"))
            for name, subject, study, *_ in MIMIC
        ],
    )
    for row in MIMIC:
        _, subject, study, view, date, time, _ = row
        write_dicom(
            root / mimic_path(row, ".dcm"),
            PatientID=str(subject),
            StudyInstanceUID=f"2.25.{study}",
            ViewPosition=view,
            StudyDate=str(date),
            StudyTime=f"{time:010.3f}",
        )


def chexpert(root: Path) -> None:
    folder = "CheXpert-v1.0-small"
    unknown = [""] * 11
    rows = {
        "train": [
            ("patient00001/study1/view1_frontal.jpg", "Female", 68, "Frontal", "AP", 1.0, "", "", *unknown),
            ("patient00002/study2/view1_frontal.jpg", "Female", 87, "Frontal", "AP", "", -1.0, 1.0, *unknown),
            ("patient00002/study10/view1_frontal.jpg", "Female", 87, "Frontal", "AP", "", "", "", *unknown),
            ("patient00002/study10/view2_lateral.jpg", "Female", 87, "Lateral", "", "", "", "", *unknown),
            ("patient00002/study1/view1_frontal.jpg", "Female", 87, "Frontal", "PA", "", "", "", *unknown),
            ("patient00002/study1/view2_lateral.jpg", "Female", 87, "Lateral", "", "", "", "", *unknown),
            ("patient00003/study1/view1_frontal.jpg", "Male", 41, "Frontal", "LL", "", "", "", *unknown),
        ],
        "valid": [
            ("patient64541/study1/view1_frontal.jpg", "Male", 73, "Frontal", "AP", 0.0, 1.0, 0.0, *[1.0] * 11)
        ],
    }
    for split, entries in rows.items():
        write_csv(
            root / f"{split}.csv",
            CHEXPERT_COLUMNS,
            [(f"{folder}/{split}/{row[0]}", *row[1:]) for row in entries],
        )
        for row in entries:
            write_image(root / split / row[0])
    write_csv(
        root / "test.csv",
        ("Path", *CHEXPERT_LABELS[1:]),
        [("test/patient64741/study1/view1_frontal.jpg", *[0.0] * 13)],
    )
    write_image(root / "test/patient64741/study1/view1_frontal.jpg")


def nih(root: Path) -> None:
    rows = [
        ("00000001_000.png", "Cardiomegaly", 0, 1, "058Y", "M", "PA", 2682, 2749, 0.143, 0.143, ""),
        ("00000001_001.png", "Cardiomegaly|Emphysema", 1, 1, "058Y", "M", "PA", 2894, 2729, 0.143, 0.143, ""),
        ("00000001_002.png", "Effusion", 2, 1, "058Y", "M", "AP", 2500, 2048, 0.168, 0.168, ""),
        ("00000002_000.png", "No Finding", 0, 2, "081Y", "M", "PA", 2500, 2048, 0.171, 0.171, ""),
        ("00000003_000.png", "Hernia", 0, 3, "081Y", "F", "PA", 2582, 2991, 0.143, 0.143, ""),
        ("00000003_001.png", "Hernia", 1, 3, "074Y", "F", "PA", 2500, 2048, 0.168, 0.168, ""),
        ("00000004_000.png", "Hernia", 0, 4, "074Y", "F", "PA", 2500, 2048, 0.168, 0.168, ""),
        ("00000005_000.png", "Hernia", 0, 5, "074Y", "F", "PA", 2500, 2048, 0.168, 0.168, ""),
    ]
    write_csv(root / "Data_Entry_2017_v2020.csv", NIH_COLUMNS, rows)
    names = [row[0] for row in rows]
    in_test = [name for name in names if "00000003" <= name < "00000005"]
    (root / "train_val_list.txt").write_text("\n".join(sorted({*names} - {*in_test})))
    (root / "test_list.txt").write_text("\n".join(in_test) + "\n")
    for name in names:
        folder = "images_001/images" if name < "00000002" else "images_002/images"
        write_image(root / folder / name)


def padchest(root: Path) -> None:
    rows = [
        ("2168_a.png", 0, 20140915, "s10", "p1", 1930, "M", "POSTEROANTERIOR", "PA"),
        ("2168_b.png", 0, 20140915, "s10", "p1", 1930, "M", "LATERAL", "L"),
        ("2168_c.png", 12, 20150101, "s11", "p1", 1930, "M", "POSTEROANTERIOR", "PA"),
        ("2168_d.png", 12, 20150101, "s12", "p1", 1930, "M", "POSTEROANTERIOR", "PA"),
        ("2168_e.png", 12, 20160101, "s13", "p2", 1950, "F", "AP", "AP_horizontal"),
        ("2168_f.png", 12, 20160301, "s14", "p2", 1950, "F", "AP", "AP_horizontal"),
        ("2168_g.png", 12, 20160301, "s15", "p3", 1950, "F", "", "EXCLUDE"),
        ("2168_h.png", 12, 20160301, "s16", "p3", 1950, "F", "PA", "PA"),
    ]
    write_csv(
        root / "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv.gz",
        PADCHEST_COLUMNS,
        [
            (
                number,
                *row,
                "Manual review of DICOM fields",
                "No",
                "report of\ntwo lines",
                "Physician",
                PADCHEST_LABELS[number],
            )
            for number, row in enumerate(rows)
        ],
    )
    for name, folder, *_ in rows:
        write_image(root / str(folder) / name)


def vindr(root: Path) -> None:
    images = {
        "train": ["50a418190bc3fb1ef1633bf9678929b3", "21a10246a5ec7af151081d0cd6d65dc9", "cd" * 16],
        "test": ["ab" * 16],
    }
    # Image n of training is enlarged to n readers, and has another disease to the first one.
    train = [
        (name, f"R{8 + reader}", int(reader < number), *[0] * 25, int(reader == 0), 1)
        for number, name in enumerate(images["train"])
        for reader in range(3)
    ]
    write_csv(root / "annotations/image_labels_train.csv", ("image_id", "rad_id", *VINDR_LABELS), train)
    columns = ("image_id", *(name.replace("diseases", "disease") for name in VINDR_LABELS))
    test = [(images["test"][0], *[0] * 26, 1, 0)]
    write_csv(root / "annotations/image_labels_test.csv", columns, test)
    for split, names in images.items():
        for name in names:
            write_dicom(root / split / f"{name}.dicom")


def nested(root: Path) -> None:
    for case, pair in (("anna", "p1"), ("anna", "p2"), ("bert", "p1"), ("carl", "p1")):
        (root / case / pair).mkdir(parents=True)
        for name in (
            ("prior", "current")
            if (case, pair) == ("anna", "p2")
            else ("prior", "current", "diff_map", "diff_map_prior")
        ):
            image = nibabel.Nifti1Image(np.zeros((8, 8), np.float32), np.eye(4))
            nibabel.save(image, root / case / pair / f"{name}.nii.gz")


def dicom(root: Path) -> None:
    """Three patients; the first has three studies, of two PA views and a lateral one."""
    for number, (patient, study, view, date) in enumerate(
        (
            ("A", "1", "PA", "20200101"),
            ("A", "1", "LL", "20200101"),
            ("A", "2", "LL", "20200111"),
            ("A", "3", "PA", "20200131"),
            ("B", "4", "PA", "20200101"),
            ("C", "5", "AP", "20200101"),
        )
    ):
        write_dicom(
            root / f"{number}.dcm",
            PatientID=patient,
            StudyInstanceUID=f"2.25.{study}",
            ViewPosition=view,
            StudyDate=date,
            StudyTime="120000",
        )


def write_dicom(path: Path, *, pixels: bool = True, **tags: object) -> None:
    """A radiograph as a digital system writes it; `tags` override or, as None, remove a tag."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    dataset = Dataset()
    values: dict[str, object] = {
        "SOPClassUID": meta.MediaStorageSOPClassUID,
        "SOPInstanceUID": generate_uid(),
        "StudyInstanceUID": generate_uid(),
        "SeriesInstanceUID": generate_uid(),
        "Modality": "DX",
        "PatientID": "1",
        "BodyPartExamined": "CHEST",
        "ViewPosition": "PA",
        "Rows": 8,
        "Columns": 8,
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": 16,
        "BitsStored": 12,
        "HighBit": 11,
        "PixelRepresentation": 0,
    }
    with disable_value_validation():  # some tests write what no standard allows
        for name, value in (values | tags).items():
            if value is not None:
                setattr(dataset, name, value)
    if pixels:
        dataset.PixelData = bytes(128)
    meta.MediaStorageSOPInstanceUID = values["SOPInstanceUID"]
    dataset.file_meta = meta
    path.parent.mkdir(parents=True, exist_ok=True)
    pydicom.dcmwrite(path, dataset, enforce_file_format=True)


MINIATURES: dict[str, Callable[[Path], None]] = {
    "mimic-cxr-jpg": mimic_cxr_jpg,
    "mimic-cxr": mimic_cxr,
    "chexpert": chexpert,
    "nih": nih,
    "padchest": padchest,
    "vindr": vindr,
    "nested": nested,
    "dicom": dicom,
}


def options(folder: Path, **changes: object) -> IndexConfig:
    """`folder/data` into `folder/out`, in this process."""
    return IndexConfig(**{"root": folder / "data", "out": folder / "out", "workers": 1, **changes})  # type: ignore[arg-type]


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))
