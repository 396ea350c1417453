"""The pairs of `python -m data.synthesize` on disk: a virtual patient is a piece of the output folder."""

import csv
import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass

from data.base.atomic import write_rows
from data.base.outputs import OutputFolder
from data.manifests.records import PAIR_FILES
from data.manifests.writing import Row, are_rows, flat_files, nested_files, write_pair
from data.simulation.pairs import Pairs
from data.simulation.volumes.files import Source
from data.synthesize.options import SynthesizeConfig

MANIFEST = "manifest.csv"
PRIVATE = "volumes.private.csv"
_VERSION = 3
"""Raise it whenever the same settings give other pixels."""
_PSEUDONYM = re.compile("ct[0-9]{4,}")
_PRIVATE_HEAD = ("volume", "path", "reason")


@dataclass(frozen=True, kw_only=True)
class Record:
    """A finished virtual patient."""

    volume: str
    patient: int
    digest: str
    """Fingerprint of the volume's files."""
    rows: list[Row]
    """Its pairs in the manifest, without their splits."""


def output_of(config: SynthesizeConfig) -> OutputFolder:
    """The folder of a run."""
    files = (PRIVATE, *flat_files("ct*").values(), *nested_files("ct*", "*").values())
    return OutputFolder(path=config.out, state=".synthesis", last=MANIFEST, files=files)


def claimed(config: SynthesizeConfig) -> AbstractContextManager[None]:
    """Have the folder of a run for its settings; the errors are those of `OutputFolder.claimed`."""
    settings = {"version": _VERSION, **config.settings()}
    return output_of(config).claimed(settings, overwrite=config.overwrite)


def finished(config: SynthesizeConfig) -> list[Record]:
    """The finished patients, sorted by name; one whose record is damaged is not finished."""
    found = []
    for content in output_of(config).records():
        match content:
            case {"volume": str(), "patient": int(), "digest": str(), "rows": rows} if are_rows(rows):
                found.append(Record(**content))
    return found


def pseudonyms(config: SynthesizeConfig) -> dict[str, str]:
    """Names given to volumes by earlier runs, by path and by digest.

    The digests are those of the records: where volumes.private.csv was taken away, as it is before the
    pairs are handed on, finished volumes still keep their names.
    """
    by_digest = {record.digest: record.volume for record in finished(config)}
    try:
        with (config.out / PRIVATE).open(newline="", encoding="utf-8", errors="surrogateescape") as file:
            lines = [line for line in csv.reader(file) if len(line) == len(_PRIVATE_HEAD)]
    except (OSError, csv.Error):
        return by_digest
    return by_digest | {path: name for name, path, _ in lines if _PSEUDONYM.fullmatch(name)}


def write_private(config: SynthesizeConfig, sources: Sequence[Source], reasons: Mapping[str, str]) -> None:
    """Which file a pseudonym stands for, and why it was skipped; for its owner's eyes only.

    Raises:
        DataError: if it cannot be written.
    """
    lines = [(source.name, source.path(config.ct), reasons.get(source.name, "")) for source in sources]
    write_rows(config.out / PRIVATE, [_PRIVATE_HEAD, *lines], private=True)


def write_patient(config: SynthesizeConfig, volume: str, patient: int, digest: str, pairs: Pairs) -> None:
    """Store all pairs of a virtual patient.

    Raises:
        DataError: if they cannot be written.
    """
    name = f"{volume}-p{patient:03d}"  # without an underscore, which would end it in the names of its files
    rows: list[Row] = []
    with output_of(config).piece(name) as (folder, record):
        for number, findings in enumerate(pairs.findings):
            pair = f"{name}_{number:03d}"
            files = flat_files(pair) if config.format == "png" else nested_files(name, f"{number:03d}")
            planes = {role: getattr(pairs, role)[number] for role in PAIR_FILES}
            write_pair(folder, files, planes, config.change)
            known = {"findings": "+".join(findings), **pairs.columns[number]}
            group = f"{name}_{known['group']}"
            rows.append({"id": pair, "patient_id": name, **files, **known, "group": group})
        record |= asdict(Record(volume=volume, patient=patient, digest=digest, rows=rows))
