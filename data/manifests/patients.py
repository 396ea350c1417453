"""Whose: patients who may be one person because their ids are spellings of one number."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence

_DECIMALS = re.compile(r"\.0+$")  # as spreadsheets write a number
_LEADING_ZEROS = re.compile(r"(?<!\d)0+(?=\d)")
_SEPARATORS = re.compile(r"[\W_]+")


def spelling_of(patient: str) -> str:
    """What all spellings of a patient's id have in common: `7`, `007`, `00-7`, `7.0` are alike.

    Case, width, separators and leading zeros do not count. That two ids are alike need not mean that they
    are one person, only that nobody can tell: leading zeros can be meaningful.
    """
    text = _DECIMALS.sub("", unicodedata.normalize("NFKC", patient).casefold().strip())
    return _LEADING_ZEROS.sub("", _SEPARATORS.sub("", text)) or text


def persons(patients: Iterable[str], *, exact: bool) -> dict[str, str]:
    """The name of the person whom each patient's id may mean.

    Args:
        patients: ids; repeated ones count once.
        exact: whether ids that are not equal are different people, however alike.

    Returns:
        By id, the first of those alike in order of the alphabet: an id that is like no other is itself.
    """
    unique = dict.fromkeys(patients)
    if exact:
        return {patient: patient for patient in unique}
    return {patient: min(ids) for ids in _alike(unique) for patient in ids}


def spelled_differently(patients: Iterable[str]) -> list[Sequence[str]]:
    """The ids of every patient who has several, sorted."""
    return [sorted(ids) for ids in _alike(dict.fromkeys(patients)) if len(ids) > 1]


def _alike(patients: Iterable[str]) -> Iterable[list[str]]:
    spelled: dict[str, list[str]] = defaultdict(list)
    for patient in patients:
        spelled[spelling_of(patient)].append(patient)
    return spelled.values()
