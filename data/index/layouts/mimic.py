"""MIMIC-CXR-JPG and MIMIC-CXR: one set of studies as JPEG and as DICOM.

Source: Johnson et al., "MIMIC-CXR, a de-identified publicly available database of chest radiographs with
free-text reports", Scientific Data 6 (2019); https://physionet.org/content/mimic-cxr-jpg/2.1.0/ and
https://physionet.org/content/mimic-cxr/2.1.0/. Dates are shifted, by the same amount within a patient.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data.base.errors import DataError
from data.index.body_parts import CHEST, UNKNOWN, part_in
from data.index.catalogue import Catalogue, Images, Source
from data.index.doubts import marks_of
from data.index.files import exist
from data.index.headers import Header, read_headers
from data.index.labels import read_labels
from data.index.options import Doubt
from data.index.tables import find_table, header_of, join, mapped, moments, read_table, views_of

JPG_LOOKED_FOR = "mimic-cxr-2.*-metadata.csv(.gz)"
DICOM_LOOKED_FOR = "cxr-record-list.csv(.gz)"
_METADATA = "mimic-cxr-2.*-metadata.csv"
_RECORDS = "cxr-record-list.csv"
_LABELS = "mimic-cxr-2.*-chexpert.csv"
_SPLIT = "mimic-cxr-2.*-split.csv"
_PROCEDURES = ("PerformedProcedureStepDescription", "ProcedureCodeSequence_CodeMeaning")
_OFFICIAL_NAMES = {"train": "train", "validate": "val", "test": "test"}


def find_jpg(root: Path) -> bool:
    """MIMIC-CXR-JPG's metadata, which a folder of MIMIC-CXR may hold beside its own list."""
    return find_table(root, _METADATA) is not None and not find_dicom(root)


def find_dicom(root: Path) -> bool:
    """MIMIC-CXR's list of records."""
    return find_table(root, _RECORDS) is not None


def read_jpg(source: Source) -> Catalogue:
    """All images of the metadata table."""
    path = find_table(source.root, _METADATA)
    assert path is not None
    columns = ("dicom_id", "subject_id", "study_id", "ViewPosition", "StudyDate", "StudyTime")
    table = read_table(path, columns)
    patient, study = _names(table)
    folder = join("files", pc.utf8_slice_codeunits(patient, 0, 3), patient, study, separator="/")
    images = Images(
        patient=patient,
        study=study,
        image=table["dicom_id"],
        path=join(folder, join(table["dicom_id"], ".jpg"), separator="/"),
        view=views_of(table["ViewPosition"]),
        moment=moments(table["StudyDate"], table["StudyTime"]),
    )
    _describe_regions(images, path)
    return _completed(source.root, Catalogue(images=images, namespace="mimic-cxr", dated=True))


def read_dicom(source: Source) -> Catalogue:
    """All records; views and dates from MIMIC-CXR-JPG's metadata where it is there, else from the headers."""
    path = find_table(source.root, _RECORDS)
    assert path is not None
    table = read_table(path, ("subject_id", "study_id", "dicom_id", "path"))
    patient, study = _names(table)
    images = Images(
        patient=patient,
        study=study,
        image=table["dicom_id"],
        path=table["path"],
    )
    catalogue = Catalogue(images=images, namespace="mimic-cxr", dated=True)
    metadata = find_table(source.root, _METADATA)
    if metadata is None:
        catalogue.notes.append("no metadata of MIMIC-CXR-JPG there: views and dates come from DICOM headers")
        _describe_by_headers(catalogue, source)
    else:
        _describe_by_metadata(images, metadata)
    return _completed(source.root, catalogue)


def read_either(source: Source) -> Catalogue:
    """Whichever of the two lies where the images of annotations are.

    Raises:
        DataError: neither does.
    """
    for find, read in ((find_dicom, read_dicom), (find_jpg, read_jpg)):
        if find(source.images):
            return read(source._replace(root=source.images))
    raise DataError(
        f"{source.images} holds neither MIMIC-CXR-JPG nor MIMIC-CXR, of which these are annotations "
        f"(looked for {JPG_LOOKED_FOR} and {DICOM_LOOKED_FOR}); name its folder with --images"
    )


def _names(table: Mapping[str, pa.Array]) -> tuple[pa.Array, pa.Array]:
    """Patients and studies as the folders are called."""
    return join("p", table["subject_id"]), join("s", table["study_id"])


def _describe_by_metadata(images: Images, path: Path) -> None:
    table = read_table(path, ("dicom_id", "ViewPosition", "StudyDate", "StudyTime"))
    rows = pc.index_in(images.image, value_set=table["dicom_id"])
    described = (table[name].take(rows).fill_null("") for name in ("ViewPosition", "StudyDate", "StudyTime"))
    view, date, time = described
    images.view, images.moment = views_of(view), moments(date, time)
    _describe_regions(images, path)


def _describe_regions(images: Images, path: Path) -> None:
    """Parts of the body that the metadata name: some studies of the chest hold images of others."""
    columns = [name for name in _PROCEDURES if name in header_of(path)]
    table = read_table(path, ("dicom_id", *columns))
    rows = pc.index_in(images.image, value_set=table["dicom_id"])
    texts = [table[name].take(rows).fill_null("") for name in columns]
    if texts:
        images.region = mapped(join(*texts, separator=" / "), lambda text: _chest_if_unknown(part_in(text)))


def _chest_if_unknown(part: str) -> str:
    return CHEST if part == UNKNOWN else part


def _describe_by_headers(catalogue: Catalogue, source: Source) -> None:
    """Views and moments from the files that are there; what is not readable leaves the catalogue."""
    images = catalogue.images
    present = np.flatnonzero(exist(source.root, images.path))
    paths = images.path.take(pa.array(present)).to_pylist()
    views, keep = images.view.to_pylist(), np.ones(len(images), bool)
    regions, marks = [CHEST] * len(images), [frozenset[Doubt]()] * len(images)
    for row, path, header in zip(
        present, paths, read_headers([str(source.root / path) for path in paths], source.workers), strict=True
    ):
        if isinstance(header, Header):
            views[row], images.moment[row] = header.view, header.moment
            regions[row], marks[row] = _chest_if_unknown(header.region), header.marks
        else:
            keep[row] = False
            catalogue.refuse(path, header)
    images.view, images.region = pa.array(views, pa.string()), pa.array(regions, pa.string())
    images.marks = marks_of(marks)
    catalogue.select(np.flatnonzero(keep))


def _completed(root: Path, catalogue: Catalogue) -> Catalogue:
    """With the labels and the official splits, where their files are there."""
    path = find_table(root, _LABELS)
    if path is not None:
        studies = join("s", read_table(path, ("study_id",))["study_id"])
        rows = pc.index_in(catalogue.images.study, value_set=studies)
        labels = read_labels(path, ("subject_id", "study_id"))
        catalogue.images.labels = {name: column.take(rows) for name, column in labels.items()}
    path = find_table(root, _SPLIT)
    if path is None:
        catalogue.notes.append(f"{_SPLIT} is not there: splits are drawn, they are not the official ones")
        return catalogue
    table = read_table(path, ("dicom_id", "split"))
    if unknown := set(table["split"].unique().to_pylist()) - _OFFICIAL_NAMES.keys():
        raise DataError(
            f"{path} names the split {min(unknown)!r}; the official ones are {', '.join(_OFFICIAL_NAMES)}"
        )
    official = mapped(table["split"], _OFFICIAL_NAMES.get)
    rows = pc.index_in(catalogue.images.image, value_set=table["dicom_id"])
    catalogue.images.split = official.take(rows)
    catalogue.official_splits = frozenset(official.unique().to_pylist())
    return catalogue
