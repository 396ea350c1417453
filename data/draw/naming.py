"""What the radiographs of a source and their patients are called in what is written."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from data.base.seeds import fold_seed
from data.files.formats import without_suffix
from data.manifests.records import ImageRecord, RecordTable

_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
"""An id that is a file's name on every system as it is."""


@dataclass(frozen=True, kw_only=True)
class Named:
    """A radiograph, and its names in what is written."""

    record: ImageRecord
    key: str
    """What its files are called."""
    patient_id: str


def name_records(records: RecordTable[ImageRecord], *, from_manifest: bool) -> Iterator[Named]:
    """The records in their order with the names they get.

    A manifest's patient ids are kept, and so are its ids of images where each can be a file's name. Whatever
    else there is to name by is a path, in which people write names of patients: a hash takes its place, which
    is the same in every run. It hides a name from who reads it, not from who guesses it and tries.

    Args:
        records: radiographs with the ids that draws are seeded by.
        from_manifest: whether a manifest lists them, not a folder.
    """
    ids = records.columns.column("id").to_pylist()
    # Two files may not differ by upper and lower case only: not every system tells them apart.
    count = Counter(name.casefold() for name in ids)
    cells = records.columns.column("image").to_pylist()
    for record, name, cell in zip(records, ids, cells, strict=True):
        given = from_manifest and name not in (cell, without_suffix(cell))
        kept = given and _FILE_NAME.fullmatch(name) is not None and count[name.casefold()] == 1
        yield Named(
            record=record,
            key=name if kept else _hashed("drawn", name),
            patient_id=record.patient_id if from_manifest else _hashed("drawn patient", record.patient_id),
        )


def _hashed(kind: str, name: str) -> str:
    return f"{fold_seed(kind, name):016x}"
