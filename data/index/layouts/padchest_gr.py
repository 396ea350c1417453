"""PadChest-GR: sentences of reports with boxes and, where there is a prior image, how the finding changed.

Source: de Castro et al., "PadChest-GR: A Bilingual Chest X-ray Dataset for Grounded Radiology Report
Generation", NEJM AI 2 (2025); https://bimcv.cipf.es/bimcv-projects/padchest-gr/. Boxes are on the followup.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from data.files.frames import Frame
from data.index.annotations import Row, boxes_in, known, paired, progression_of
from data.index.catalogue import Catalogue, Images, Source
from data.index.files import locate
from data.index.tables import find_table, read_json, read_table, require_columns
from data.manifests.regions import FindingChange

LOOKED_FOR = "grounded_reports_*.json"
_TABLE = "master_table.csv"
_KEYS = ("StudyID", "ImageID", "PreviousStudyID", "PreviousImageID", "findings")
_UNIT = Frame(height=1, width=1)
_SPLITS = {"train": "train", "validation": "val", "test": "test"}


def find(root: Path) -> bool:
    """The grounded reports."""
    return find_table(root, LOOKED_FOR) is not None


def read(source: Source) -> Catalogue:
    """All images of the reports and the prior ones that they name, in whatever folders of ROOT they lie."""
    path, table = find_table(source.root, LOOKED_FOR), source.root / _TABLE
    assert path is not None
    reports: list[dict[str, Any]] = read_json(path)
    for report in reports:
        require_columns(path, report, _KEYS)
    patients, splits = _studies(table)
    names: dict[str, tuple[str, str, str | None]] = {}
    for report in reports:
        study = str(report["StudyID"])
        patient, split = patients.get(study, ""), splits.get(study)
        names[report["ImageID"]] = (patient, study, split)
        if report["PreviousImageID"]:
            names.setdefault(report["PreviousImageID"], (patient, str(report["PreviousStudyID"]), split))
    images = _images(source.root, names)
    catalogue = Catalogue(images=images, namespace="padchest-gr", checked=True)
    catalogue.official_splits = frozenset(images.split.drop_null().unique().to_pylist())
    catalogue.pairs = paired(known(_rows(reports, path, catalogue), images), images.image)
    return catalogue


def _studies(table: Path) -> tuple[dict[str, str], dict[str, str | None]]:
    """Patient and split of every study."""
    columns = read_table(table, ("StudyID", "PatientID", "split"), multiline=True)
    studies = columns["StudyID"].to_pylist()
    splits = [_SPLITS.get(word) for word in columns["split"].to_pylist()]
    return dict(zip(studies, columns["PatientID"].to_pylist(), strict=True)), dict(
        zip(studies, splits, strict=True)
    )


def _images(root: Path, names: dict[str, tuple[str, str, str | None]]) -> Images:
    patient, study, split = (
        pa.array([told[place] for told in names.values()], pa.string()) for place in range(3)
    )
    files = pa.array(list(names), pa.string())
    folders = sorted(
        str(folder.relative_to(root))
        for pattern in ("*", "*/*")
        for folder in root.glob(pattern)
        if folder.is_dir()
    )
    return Images(
        patient=patient, study=study, image=files, path=locate(root, ["", *folders], files), split=split
    )


def _rows(reports: list[dict[str, Any]], path: Path, catalogue: Catalogue) -> Iterator[Row]:
    for report in reports:
        for sentence in report["findings"] if report["PreviousImageID"] else ():
            if not (word := sentence.get("progression")):
                continue
            progression = progression_of(word)
            if progression is None:
                catalogue.refused["progression that is none"] += 1
                continue
            boxes = boxes_in(sentence.get("boxes") or (), _UNIT, f"{path}: image {report['ImageID']}")
            for label in sentence.get("labels") or ():
                change = FindingChange(finding=label, progression=progression, followup=boxes)
                yield Row(report["PreviousImageID"], report["ImageID"], change)
