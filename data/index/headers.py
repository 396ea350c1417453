"""DICOM headers -> what an index needs of them, or the reason why a file is no radiograph.

Reasons come from a closed list: neither a value of a header nor a library's message, which may repeat one,
leaves this module.

Source: DICOM PS3.3 C.7.1.1 (Patient), C.7.2.1 (General Study), C.7.3.1 (General Series), C.7.6.1 (General
Image), C.8.6 (Secondary Capture), C.8.11.1 (DX Series) and C.8.11.2 (DX Anatomy Imaged).
"""

import contextlib
import datetime
import logging
import os
import re
import stat
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from tqdm import tqdm

from data.base.errors import DataError
from data.base.processes import in_processes
from data.files.formats import DICOM_SUFFIXES, has_dicom_prefix
from data.index.body_parts import UNKNOWN as UNKNOWN_PART
from data.index.body_parts import agreed, first_named, part_in, part_of_code, side_of, with_side
from data.index.catalogue import MILLISECONDS_PER_DAY, UNDATED
from data.index.options import Doubt
from data.index.views import UNKNOWN, normalise_view, view_in_description

RADIOGRAPHS = ("CR", "DX", "RG", "OT", "SC")
# Only these are repeated in a reason; anything else in the tag might be free text.
_OTHER_MODALITIES = {
    *("CT", "MR", "PT", "NM", "US", "MG", "XA", "RF", "PX", "IO", "ES", "SM", "OP", "OCT", "BI"),
    *("XC", "GM", "ECG", "SR", "KO", "PR", "DOC", "SEG", "REG", "RTIMAGE", "RTDOSE", "RTSTRUCT"),
    *("RTPLAN"),
}
_RAW = {"1.2.840.10008.5.1.4.1.1.1.1.1"}  # Digital X-Ray Image Storage - For Processing
_CAPTURES = "1.2.840.10008.5.1.4.1.1.7"  # Secondary Capture and its multi-frame kinds
_DIGITISED_FILM = "DF"
# Made from films; what a system shows of its own exposure is often called DERIVED as well.
_OTHER_PICTURES = re.compile(
    r"\b(SUBTRACT\w*|SUPPRESS\w*|DUAL.?ENERGY|BONE|SOFT.?TISSUE|CAD|OVERLAY|ANNOTAT\w*|HEAT.?MAP|SALIENCY)\b"
)
_DESCRIPTIONS = (
    *("SeriesDescription", "ProtocolName", "PerformedProcedureStepDescription", "StudyDescription"),
    "RequestedProcedureDescription",
)
_TAGS = [
    *("SpecificCharacterSet", "SOPClassUID", "SOPInstanceUID", "Modality", "PatientID", "IssuerOfPatientID"),
    *("StudyInstanceUID", "StudyDate", "StudyTime", "AcquisitionDate", "AcquisitionTime", "InstanceNumber"),
    *("ViewPosition", "ViewCodeSequence", "BodyPartExamined", "PresentationIntentType"),
    *("Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", "NumberOfFrames"),
    *("AnatomicRegionSequence", "ProcedureCodeSequence", "ImageLaterality", "Laterality", "ImageType"),
    *("ConversionType", "BurnedInAnnotation", "DerivationDescription", "DerivationCodeSequence"),
    *_DESCRIPTIONS,
]
_NOT_DICOM, _DAMAGED = "not DICOM", "damaged header"
HeaderT = TypeVar("HeaderT")
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
    marks: frozenset[Doubt]  # raw, derived, burned-in: what the image says of itself
    order: tuple[int, ...]  # within the study: the film first, by time of acquisition and number


def read_headers(paths: Sequence[str], workers: int) -> Iterator[Header | str]:
    """The header, or the reason for refusing it, of every file in turn, with a progress bar.

    Args:
        paths: the files.
        workers: processes; 0 for one per core.

    Raises:
        ProcessDiedError: a process died.
    """
    yield from _read(_read_chunk, paths, workers)


def read_marks(paths: Sequence[str], workers: int) -> Iterator[frozenset[Doubt]]:
    """What every DICOM file in turn says against itself; nothing where it cannot be read."""
    yield from _read(_marks_of_chunk, paths, workers)


def _read(
    read_chunk: Callable[[Sequence[str]], list[HeaderT]], paths: Sequence[str], workers: int
) -> Iterator[HeaderT]:
    chunks = [paths[start : start + _CHUNK] for start in range(0, len(paths), _CHUNK)]
    # For a few files, starting processes takes longer than reading.
    workers = 1 if len(paths) < _WORTH_A_POOL else workers
    read: dict[int, list[HeaderT]] = {}
    with tqdm(total=len(paths), desc="headers", unit="file", disable=None) as bar:
        for number, headers in in_processes(read_chunk, chunks, workers=workers):
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
    dataset = _open(path)
    if isinstance(dataset, str):
        return dataset
    try:
        return _reason_against(dataset) or _describe(dataset)
    except Exception:  # values are parsed when they are asked for
        return _DAMAGED


def _open(path: str) -> Any:
    """What is needed of one file, or the reason why it is refused."""
    import pydicom

    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116
            return "not a regular file"
        marked = looks_like_dicom(path)
        suffix = os.path.splitext(path)[1].lower()  # noqa: PTH122
        if not marked and suffix and suffix not in DICOM_SUFFIXES:
            return _NOT_DICOM
        with open(path, "rb") as file:  # noqa: PTH123
            dataset = pydicom.dcmread(file, force=not marked, stop_before_pixels=True, specific_tags=_TAGS)
    except OSError:
        return "cannot be opened"
    except Exception:  # pydicom raises whatever it meets in a damaged file
        return _DAMAGED if marked else _NOT_DICOM
    try:
        return dataset if marked or dataset.get("SOPClassUID") else _NOT_DICOM
    except Exception:  # values are parsed when they are asked for
        return _DAMAGED


def _read_chunk(paths: Sequence[str]) -> list[Header | str]:
    with _silence():
        return [read_header(path) for path in paths]


def _marks_of_chunk(paths: Sequence[str]) -> list[frozenset[Doubt]]:
    with _silence():
        return [_marks_in(path) for path in paths]


def _marks_in(path: str) -> frozenset[Doubt]:
    dataset = _open(path)
    try:
        return frozenset() if isinstance(dataset, str) else _marks_of(dataset)
    except Exception:  # as above; reading the image will say what is wrong
        return frozenset()


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
        region=_region_of(dataset),
        moment=UNDATED if day is None else day * MILLISECONDS_PER_DAY + _milliseconds_of(time),
        marks=_marks_of(dataset),
        order=_order_of(dataset),
    )


def _marks_of(dataset: Any) -> frozenset[Doubt]:
    """What speaks against an image in a pair."""
    kind = _text(dataset, "SOPClassUID")
    raw = _text(dataset, "PresentationIntentType").upper() == "FOR PROCESSING" or kind in _RAW
    # "NO" and nothing at all are what most archives write.
    burned_in = _text(dataset, "BurnedInAnnotation").upper() not in ("", "NO")
    marks: dict[Doubt, bool] = {"raw": raw, "derived": _is_derived(dataset, kind), "burned-in": burned_in}
    return frozenset(name for name, holds in marks.items() if holds)


def _is_derived(dataset: Any, kind: str) -> bool:
    """Whether an image was made from films instead of a patient.

    DERIVED alone does not say so: many systems write it for the film that they process for presentation.
    """
    if _text(dataset, "ConversionType").upper() == _DIGITISED_FILM:
        return False
    types = _texts(dataset, "ImageType")
    if types[1:2] == ["SECONDARY"] or (kind.startswith(_CAPTURES) and types[:2] != ["ORIGINAL", "PRIMARY"]):
        return True
    meanings = [_text(item, "CodeMeaning") for item in dataset.get("DerivationCodeSequence") or ()]
    texts = [*types[2:], _text(dataset, "DerivationDescription"), *meanings]
    return any(_OTHER_PICTURES.search(text.upper()) for text in texts)


def _order_of(dataset: Any) -> tuple[int, ...]:
    """Before others of its study comes what has fewer marks, is ORIGINAL, and says when it was made."""
    time, number = _text(dataset, "AcquisitionTime"), _text(dataset, "InstanceNumber")
    return (
        len(_marks_of(dataset)),
        _texts(dataset, "ImageType")[:1] == ["DERIVED"],
        not time,
        _milliseconds_of(time),
        not number,
        _number_of(number),
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


def _region_of(dataset: Any) -> str:
    """The part of the body by code and tag, which must not contradict each other, or else by descriptions.

    Source: DICOM PS3.3 C.8.11.2.1: AnatomicRegionSequence extends BodyPartExamined.
    """
    items = list(dataset.get("AnatomicRegionSequence") or ())
    codes = [part_of_code(_text(item, "CodeValue"), _text(item, "CodeMeaning")) for item in items]
    tagged = agreed([*codes, part_in(_text(dataset, "BodyPartExamined"))])
    procedures = [_text(item, "CodeMeaning") for item in dataset.get("ProcedureCodeSequence") or ()]
    texts = [*(_text(dataset, keyword) for keyword in _DESCRIPTIONS), *procedures]
    modifiers = [code for item in items for code in item.get("AnatomicRegionModifierSequence") or ()]
    sides = [_text(dataset, "ImageLaterality"), _text(dataset, "Laterality")]
    sides += [_text(code, keyword) for code in modifiers for keyword in ("CodeValue", "CodeMeaning")]
    part = tagged if tagged != UNKNOWN_PART else first_named(texts)
    return with_side(part, side_of(sides, [_text(dataset, "BodyPartExamined"), *texts]))


def _text(dataset: Any, keyword: str) -> str:
    """A value as text; the first one where there are several."""
    return next(iter(_texts(dataset, keyword)), "")


def _texts(dataset: Any, keyword: str) -> list[str]:
    """All values as text."""
    value = dataset.get(keyword)
    several = isinstance(value, (list, tuple)) or type(value).__name__ == "MultiValue"
    values = value if several else [] if value is None else [value]
    return ["" if one is None else str(one).strip(" \0") for one in values]


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
