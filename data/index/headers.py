"""DICOM headers -> what an index needs of them, or the reason why a file is no radiograph.

Reasons come from a closed list: neither a value of a header nor a library's message, which may repeat one,
leaves this module.

Source: DICOM PS3.3 C.7.1.1 (Patient), C.7.2.1 (General Study), C.7.3.1 (General Series) and C.8.11.1 (DX
Series).
"""

import contextlib
import datetime
import logging
import os
import re
import stat
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from data.base.errors import DataError
from data.base.processes import in_processes
from data.files.formats import DICOM_SUFFIXES, has_dicom_prefix
from data.index.catalogue import MILLISECONDS_PER_DAY, UNDATED
from data.index.views import UNKNOWN, normalise_view, view_in_description

RADIOGRAPHS = ("CR", "DX", "RG", "OT", "SC")
# Only these are repeated in a reason; anything else in the tag might be free text.
_OTHER_MODALITIES = {
    *("CT", "MR", "PT", "NM", "US", "MG", "XA", "RF", "PX", "IO", "ES", "SM", "OP", "OCT", "BI"),
    *("XC", "GM", "ECG", "SR", "KO", "PR", "DOC", "SEG", "REG", "RTIMAGE", "RTDOSE", "RTSTRUCT"),
    *("RTPLAN"),
}
_REGIONS = {
    *("ABDOMEN", "ANKLE", "CLAVICLE", "CSPINE", "ELBOW", "FEMUR", "FINGER", "FOOT", "FOREARM"),
    *("HAND", "HEAD", "HIP", "HUMERUS", "JAW", "KNEE", "LSPINE", "NECK", "PELVIS", "RIB"),
    *("SHOULDER", "SKULL", "SPINE", "STERNUM", "THUMB", "TOE", "TSPINE", "WRIST"),
}
_CHEST = {"", "CHEST", "THORAX", "LUNG"}
_TAGS = [
    *("SpecificCharacterSet", "SOPClassUID", "SOPInstanceUID", "Modality", "PatientID", "IssuerOfPatientID"),
    *("StudyInstanceUID", "StudyDate", "StudyTime", "AcquisitionDate", "AcquisitionTime", "InstanceNumber"),
    *("ViewPosition", "ViewCodeSequence", "SeriesDescription", "BodyPartExamined", "PresentationIntentType"),
    *("Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", "NumberOfFrames"),
]
_CHUNK = 64  # files in one task
_WORTH_A_POOL = 512


class Header(NamedTuple):
    """What the header of one radiograph says; the names are the archive's own and must not travel on."""

    patient: str  # the issuer of the number and the number
    number: str  # the patient's, as all spellings of it have it
    study: str
    image: str
    view: str
    region: str
    moment: int  # of the study, milliseconds since 1970, or UNDATED
    order: tuple[bool, int, int]  # within the study: raw detector data last, time of acquisition, number


def read_headers(paths: Sequence[str], workers: int) -> Iterator[Header | str]:
    """The header, or the reason for refusing it, of every file in turn, with a progress bar.

    Args:
        paths: the files.
        workers: processes; 0 for one per core.

    Raises:
        ProcessDiedError: a process died.
    """
    chunks = [paths[start : start + _CHUNK] for start in range(0, len(paths), _CHUNK)]
    # For a few files, starting processes takes longer than reading.
    workers = 1 if len(paths) < _WORTH_A_POOL else workers
    read: dict[int, list[Header | str]] = {}
    with tqdm(total=len(paths), desc="headers", unit="file", disable=None) as bar:
        for number, headers in in_processes(_read_chunk, chunks, workers=workers):
            bar.update(len(headers))
            read[number] = headers
    for number in range(len(chunks)):
        yield from read.pop(number)


def looks_like_dicom(path: str) -> bool:
    """Whether a file carries the mark of a DICOM file behind its preamble."""
    try:
        return Path(path).is_file() and has_dicom_prefix(Path(path))
    except (DataError, OSError):
        return False


def read_header(path: str) -> Header | str:
    """The header of one file, or the reason why it is refused."""
    import pydicom

    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116
            return "not a regular file"
        marked = looks_like_dicom(path)
        suffix = os.path.splitext(path)[1].lower()  # noqa: PTH122
        if not marked and suffix and suffix not in DICOM_SUFFIXES:
            return "not DICOM"
        with open(path, "rb") as file:  # noqa: PTH123
            dataset = pydicom.dcmread(file, force=not marked, stop_before_pixels=True, specific_tags=_TAGS)
    except OSError:
        return "cannot be opened"
    except Exception:  # pydicom raises whatever it meets in a damaged file
        return "damaged header" if marked else "not DICOM"
    if not marked and not dataset.get("SOPClassUID"):
        return "not DICOM"
    try:
        return _reason_against(dataset) or _describe(dataset)
    except Exception:  # values are parsed when they are asked for
        return "damaged header"


def _read_chunk(paths: Sequence[str]) -> list[Header | str]:
    with _silence():
        return [read_header(path) for path in paths]


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Pydicom's warnings and log repeat values of tags."""
    from pydicom.config import disable_value_validation

    logger = logging.getLogger("pydicom")
    before, logger.disabled = logger.disabled, True
    try:
        with warnings.catch_warnings(), disable_value_validation():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.disabled = before


def _reason_against(dataset: Any) -> str | None:
    modality = _text(dataset, "Modality").upper()
    if modality not in RADIOGRAPHS:
        if not modality:
            return "no modality"
        return f"modality {modality}" if modality in _OTHER_MODALITIES else "another modality"
    colours = _text(dataset, "PhotometricInterpretation")
    if not dataset.get("Rows") or not dataset.get("Columns") or not colours:
        return "not an image"
    if int(dataset.get("NumberOfFrames") or 1) > 1:
        return "several frames"
    if int(dataset.get("SamplesPerPixel") or 1) > 1 or not colours.startswith("MONOCHROME"):
        return "in colour"
    if not _number_in_any_spelling(_text(dataset, "PatientID")):
        return "no patient ID"
    if not _text(dataset, "StudyInstanceUID") or not _text(dataset, "SOPInstanceUID"):
        return "no study or image UID"
    return None


def _describe(dataset: Any) -> Header:
    issuer = _text(dataset, "IssuerOfPatientID")
    day = _day_of(_text(dataset, "StudyDate"))
    time = _text(dataset, "StudyTime")
    if day is None:
        day, time = _day_of(_text(dataset, "AcquisitionDate")), _text(dataset, "AcquisitionTime")
    return Header(
        patient=f"{len(issuer)}:{issuer}{_text(dataset, 'PatientID')}",
        number=_number_in_any_spelling(_text(dataset, "PatientID")),
        study=_text(dataset, "StudyInstanceUID"),
        image=_text(dataset, "SOPInstanceUID"),
        view=_view_of(dataset),
        region=_region_of(_text(dataset, "BodyPartExamined")),
        moment=UNDATED if day is None else day * MILLISECONDS_PER_DAY + _milliseconds_of(time),
        order=(
            _text(dataset, "PresentationIntentType").upper() == "FOR PROCESSING",
            _milliseconds_of(_text(dataset, "AcquisitionTime")),
            _number_of(_text(dataset, "InstanceNumber")),
        ),
    )


def _number_in_any_spelling(number: str) -> str:
    """A patient's number without what exporters change: white space, and the case of letters."""
    return "".join(number.split()).casefold()


def _view_of(dataset: Any) -> str:
    """The view position, else the view's code, else what the series description names without doubt."""
    view = normalise_view(_text(dataset, "ViewPosition"))
    for item in dataset.get("ViewCodeSequence") or ():
        for keyword in ("CodeValue", "CodeMeaning"):
            if view == UNKNOWN:
                view = normalise_view(_text(item, keyword))
    return view if view != UNKNOWN else view_in_description(_text(dataset, "SeriesDescription"))


def _region_of(body_part: str) -> str:
    """Nothing for the chest or where nothing is said; else a part of the body, or OTHER for free text."""
    part = body_part.upper()
    if part in _CHEST:
        return ""
    return part if part in _REGIONS else "OTHER"


def _text(dataset: Any, keyword: str) -> str:
    """A value as text; the first one where there are several."""
    value = dataset.get(keyword)
    if isinstance(value, (list, tuple)) or type(value).__name__ == "MultiValue":
        value = value[0] if value else None
    return "" if value is None else str(value).strip(" \0")


def _day_of(text: str) -> int | None:
    """Days since 1970 of `YYYYMMDD`, or of `YYYY.MM.DD` as before DICOM 3."""
    try:
        date = datetime.datetime.strptime(text.replace(".", ""), "%Y%m%d").date()
    except ValueError:
        return None
    return (date - datetime.date(1970, 1, 1)).days


def _milliseconds_of(text: str) -> int:
    """Milliseconds of the day of `HHMMSS.FFFFFF` or `HH:MM:SS`, of which all but HH may lack; 0 otherwise."""
    match = re.fullmatch(r"([01]\d|2[0-3]):?(?:([0-5]\d):?(?:([0-5]\d|60)(\.\d{1,6})?)?)?", text)
    if match is None:
        return 0
    hours, minutes, seconds = (int(part or 0) for part in match.groups()[:3])
    milliseconds = ((hours * 60 + minutes) * 60 + seconds) * 1000 + int(float(match[4] or 0) * 1000)
    return min(milliseconds, MILLISECONDS_PER_DAY - 1)


def _number_of(text: str) -> int:
    return int(text) if re.fullmatch(r"-?\d{1,12}", text) else 0
