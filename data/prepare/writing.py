"""Decode and resize every file of a data set once, on all cores or machines, into Arrow shards.

Every shard is written by one process and appears complete or not at all, so that a run that was cut off goes
on where it stopped.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from tqdm import tqdm

from data.alignment import SIZES, register, to_texts
from data.base.atomic import write_rows, write_text
from data.base.engines import Engine
from data.base.errors import DataError
from data.base.outputs import OutputFolder
from data.base.processes import one_thread
from data.config import SPLITS, Change, Framing, Intensity, OnError
from data.files.images import Radiograph
from data.geometry import content_of, fit_to_square
from data.manifests.loading import load_record
from data.manifests.records import ImageRecord, PairRecord, RecordTable
from data.prepared.store import (
    ALIGNMENT,
    INFO,
    PICTURES,
    Bits,
    Kind,
    StoreInfo,
    checksum,
    encode,
    features,
    fingerprint,
    shard_name,
)

VERSION = 3
"""Raise it whenever the same files give other rows."""
SKIPPED = "skipped.csv"
_SHARD_BYTES = 256 << 20
_SHARD_ROWS = 256
_FEWEST_SHARDS = 8
"""Of a split, where it has so many samples: enough to share them among processes and streams."""
_BATCH_BYTES = 32 << 20
_TRIED, _USUAL_PIXELS = 8, 3000**2


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How files become rows."""

    size: int | None
    bits: Bits
    change: Change
    intensity: Intensity
    framing: Framing
    align: bool = False
    on_error: OnError


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What was done."""

    info: StoreInfo
    skipped: int
    written: int
    """Samples written in this run; the others were there already."""


def prepare_records(
    records: RecordTable[Any],
    out: Path,
    recipe: Recipe,
    *,
    engine: Engine,
    overwrite: bool = False,
    progress: bool = True,
) -> Prepared:
    """Write a prepared data set, or what an earlier run with the same settings left to be written.

    Args:
        records: pairs or images, each with its split.
        out: a new or empty folder, or one of an earlier run.
        recipe: how files become rows.
        engine: where it is done.
        overwrite: delete an earlier prepared data set in `out` first.
        progress: show a bar.

    Raises:
        DataError: a file cannot be read, or `out` holds something else.
    """
    kind = _kind_of(records)
    if recipe.align:
        _require_alignable(records, kind)
    by_split = {split: rows for split in SPLITS if len(rows := records.select("split", split))}
    parts = {
        split: np.array_split(np.arange(len(rows)), _shard_count(rows, kind, recipe))
        for split, rows in by_split.items()
    }
    stored = asdict(recipe)
    del stored["on_error"]
    info = StoreInfo(
        kind=kind,
        records=_fingerprint(records),
        shards={split: [len(part) for part in of_split] for split, of_split in parts.items()},
        columns=records.further,
        **stored,
    )
    folder = OutputFolder(path=out, state=".preparing", last=INFO, files=("*/data-*.arrow", SKIPPED))
    settings = asdict(info) | {"version": VERSION}
    del settings["sums"]  # of what is written, like the digest, and not of what was asked for
    settings["manifest"] = [settings.pop(name) for name in ("records", "shards", "columns")]
    shards = [
        _Shard(folder, split, shard_name(number, len(of_split)), by_split[split].take(part), recipe)
        for split, of_split in parts.items()
        for number, part in enumerate(of_split)
    ]
    with folder.claimed(settings, overwrite=overwrite):
        if overwrite:
            folder.clear()
        missing = [shard for shard in shards if not shard.is_finished]
        written = _write_all(missing, len(records), engine, progress)
        return _finish(shards, info, written)


@dataclass(frozen=True)
class _Shard:
    folder: OutputFolder
    split: str
    file: str
    rows: RecordTable[Any]
    recipe: Recipe

    @property
    def piece(self) -> str:
        return f"{self.split}-{self.file}"

    @property
    def is_finished(self) -> bool:
        match self.folder.record_of(self.piece):
            case {"rows": int(), "skipped": list(), "digest": str()}:
                return (self.folder.path / self.split / self.file).is_file()
        return False


def _kind_of(records: RecordTable[Any]) -> Kind:
    return "pairs" if records.kind is PairRecord else "images"


def _require_alignable(records: RecordTable[Any], kind: Kind) -> None:
    if kind != "pairs":
        raise DataError("single images have nothing to be aligned with; name pairs")
    if ALIGNMENT in records.further:
        raise DataError(f"the manifest has a column {ALIGNMENT}, which --align writes; rename it")


def _shard_count(rows: RecordTable[Any], kind: Kind, recipe: Recipe) -> int:
    pictures = sum(rows.has(name) for name in PICTURES[kind])
    pixels = recipe.size**2 if recipe.size is not None else _pixels_of_the_first(rows, recipe)
    row_bytes = pictures * pixels * recipe.bits // 8
    largest = max(1, min(_SHARD_ROWS, _SHARD_BYTES // row_bytes))
    return max(-(-len(rows) // largest), min(_FEWEST_SHARDS, len(rows)))


def _pixels_of_the_first(rows: RecordTable[Any], recipe: Recipe) -> int:
    """Pixels of the first file that can be read: about as many as any other has."""
    for record in rows[:_TRIED]:
        try:
            pictures = load_record(record, intensity=recipe.intensity, change=recipe.change)
        except DataError:
            continue
        return max(picture.pixels.size for picture in pictures.values())
    return _USUAL_PIXELS


def _fingerprint(records: RecordTable[Any]) -> str:
    """Of the rows, whatever file they were read from."""
    digest = hashlib.sha256()
    for name in records.columns.column_names:
        digest.update(name.encode())
        for cell in records.columns.column(name).to_pylist():
            digest.update(b"\0" if cell is None else b"\1" + cell.encode() + b"\0")
    return digest.hexdigest()[:32]


def _write_all(shards: Sequence[_Shard], total: int, engine: Engine, progress: bool) -> int:
    """Write the shards that are not there yet; returns how many samples went into them."""
    written = 0
    there = total - sum(len(shard.rows) for shard in shards)
    with tqdm(total=total, initial=there, desc="preparing", unit="sample", disable=not progress) as bar:
        for number, rows in engine.run(_write_shard, shards):
            written += rows
            bar.update(len(shards[number].rows))
    return written


@one_thread()
def _write_shard(shard: _Shard) -> int:
    """Write one shard; returns its rows."""
    kind = _kind_of(shard.rows)
    further = (*shard.rows.further, *([ALIGNMENT] if shard.recipe.align else []))
    schema = features(kind, further).arrow_schema
    rows, skipped, waiting, batch = 0, [], 0, []
    with shard.folder.piece(shard.piece) as (folder, note):
        part = folder / shard.split / shard.file
        part.parent.mkdir()
        with pa.OSFile(str(part), "wb") as sink, pa.ipc.new_stream(sink, schema) as writer:
            for record in shard.rows:
                try:
                    row = _row(record, kind, shard.recipe)
                except DataError as error:
                    if shard.recipe.on_error == "raise":
                        raise
                    skipped.append([record.id, str(error)])
                    continue
                batch.append(row)
                rows += 1
                waiting += sum(len(row[name]["pixels"]) for name in PICTURES[kind] if row[name] is not None)
                if waiting >= _BATCH_BYTES:
                    writer.write_batch(pa.RecordBatch.from_pylist(batch, schema))
                    waiting, batch = 0, []
            if batch:
                writer.write_batch(pa.RecordBatch.from_pylist(batch, schema))
        with part.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        note |= {"rows": rows, "skipped": skipped, "digest": digest}
    return rows


def _row(record: PairRecord | ImageRecord, kind: Kind, recipe: Recipe) -> dict[str, Any]:
    pictures = load_record(record, intensity=recipe.intensity, change=recipe.change)
    return {
        "id": record.id,
        "patient_id": record.patient_id,
        **({"findings": "+".join(record.findings) or None} if isinstance(record, PairRecord) else {}),
        **record.columns,
        **({ALIGNMENT: _alignment(pictures, recipe.framing)} if recipe.align else {}),
        **{
            role: _picture(pictures[role], getattr(record, role), recipe, role) if role in pictures else None
            for role in PICTURES[kind]
        },
    }


def _alignment(pictures: Mapping[str, Radiograph], framing: Framing) -> str:
    """How the baseline is laid on the followup; no more pixels than are looked at."""
    squares = [
        fit_to_square(torch.from_numpy(picture.pixels)[None], SIZES[-1], picture.geometry(framing))
        for picture in (pictures["baseline"], pictures["followup"])
    ]
    (baseline, old), (followup, new) = squares
    (text,) = to_texts(register(baseline[None], followup[None], masks=(old[None], new[None])))
    return text


def _picture(picture: Radiograph, path: Path, recipe: Recipe, role: str) -> dict[str, Any]:
    pixels = picture.pixels
    source_height, source_width = pixels.shape
    if recipe.size is not None:
        geometry = picture.geometry(recipe.framing)
        pixels = content_of(torch.from_numpy(pixels)[None], recipe.size, geometry)[0].numpy()
    height, width = pixels.shape
    signed = recipe.change == "signed" and role.startswith("target")
    stored = encode(pixels, recipe.bits, signed=signed)
    return {
        "pixels": stored,
        "height": height,
        "width": width,
        "source_height": source_height,
        "source_width": source_width,
        "spacing_mm": None if picture.spacing_mm is None else list(picture.spacing_mm),
        "pixel_aspect": picture.grid.pixel_aspect,
        "source": fingerprint(path),
        "checksum": checksum(stored, height, width),
    }


def _finish(shards: Sequence[_Shard], info: StoreInfo, written: int) -> Prepared:
    """Collect what was skipped, and say in prepared.json that everything is there."""
    folder = shards[0].folder
    notes = [(shard.split, folder.record_of(shard.piece) or {}) for shard in shards]
    rows = {split: [note["rows"] for of, note in notes if of == split] for split in info.shards}
    skipped = [entry for _, note in notes for entry in note["skipped"]]
    digest = hashlib.sha256("".join(note["digest"] for _, note in notes).encode()).hexdigest()[:32]
    sums = {split: [note["digest"] for of, note in notes if of == split] for split in info.shards}
    info = replace(info, shards=rows, digest=digest, sums=sums)
    if not any(info.count(split) for split in rows):
        folder.clear()  # so that the same command tries again
        raise DataError(f"none of the files could be read; the first: {skipped[0][1]}")
    if skipped:
        write_rows(folder.path / SKIPPED, [["id", "reason"], *skipped])
    write_text(folder.path / INFO, info.to_json())
    return Prepared(info=info, skipped=len(skipped), written=written)
