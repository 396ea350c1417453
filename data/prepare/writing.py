"""Decode and resize every file of a data set once, on all cores, into Arrow shards.

Every shard is written by one process and appears complete or not at all, so that a run that was cut off goes
on where it stopped.
"""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from data.base.atomic import remove_parts, whole, write_rows, write_text
from data.base.errors import DataError
from data.base.processes import ProcessDiedError, in_processes
from data.config import SPLITS, Change, Framing, Intensity, OnError
from data.files.images import Radiograph
from data.geometry import Geometry, content_of
from data.manifests.loading import load_record
from data.manifests.records import ImageRecord, PairRecord, RecordTable
from data.prepared.store import (
    INFO,
    PICTURES,
    Bits,
    Kind,
    StoreInfo,
    encode,
    features,
    fingerprint,
    shard_name,
)

_BEGUN = "preparing.json"
_SHARD_BYTES = 256 << 20
_SHARD_ROWS = 256
_FEWEST_SHARDS = 8
"""Of a split, where it has so many samples: enough to share them among processes and streams."""
_BATCH_BYTES = 32 << 20
_TRIED, _USUAL_PIXELS = 8, 3000**2
_NOTE_SUFFIX = ".note"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How files become rows."""

    size: int | None
    bits: Bits
    change: Change
    intensity: Intensity
    framing: Framing
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
    workers: int,
    overwrite: bool = False,
    progress: bool = True,
) -> Prepared:
    """Write a prepared data set, or what an earlier run with the same settings left to be written.

    Args:
        records: pairs or images, each with its split.
        out: a new or empty folder, or one of an earlier run.
        recipe: how files become rows.
        workers: processes.
        overwrite: delete an earlier prepared data set in `out` first.
        progress: show a bar.

    Raises:
        DataError: a file cannot be read, or `out` holds something else.
    """
    kind: Kind = "pairs" if records.kind is PairRecord else "images"
    by_split = {split: records.select("split", split) for split in SPLITS}
    shards = {
        split: _even_parts(len(rows), _shard_count(rows, kind, recipe))
        for split, rows in by_split.items()
        if len(rows)
    }
    info = StoreInfo(
        kind=kind,
        size=recipe.size,
        bits=recipe.bits,
        change=recipe.change,
        intensity=recipe.intensity,
        framing=recipe.framing,
        records=_fingerprint(records),
        shards=shards,
        columns=records.further,
    )
    finished = _begin(out, info, overwrite)
    if finished is not None:
        return Prepared(info=finished, skipped=_count_skipped(out), written=0)
    tasks = [
        _Shard(path=out / split / shard_name(number, len(counts)), rows=by_split[split][start:stop])
        for split, counts in shards.items()
        for number, (start, stop) in enumerate(_bounds(counts))
    ]
    tasks = [task for task in tasks if not task.path.exists()]
    written = _write_all(tasks, kind, recipe, total=len(records), workers=workers, progress=progress)
    return _finish(out, info, written)


@dataclass(frozen=True)
class _Shard:
    path: Path
    rows: RecordTable[Any]


def _even_parts(rows: int, parts: int) -> list[int]:
    return [len(part) for part in np.array_split(np.arange(rows), parts)]


def _bounds(counts: Sequence[int]) -> list[tuple[int, int]]:
    ends = np.cumsum(counts).tolist()
    return [(end - count, end) for end, count in zip(ends, counts, strict=True)]


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


def _begin(out: Path, info: StoreInfo, overwrite: bool) -> StoreInfo | None:
    """Make the folder, or find out what an earlier run left in it: the whole, a part, or something else."""
    settings = json.loads(info.to_json())
    if out.exists() and not out.is_dir():
        raise DataError(f"{out} is a file; name a folder to prepare the data in")
    if out.is_dir() and any(out.iterdir()):
        if not (out / _BEGUN).is_file():
            raise DataError(f"{out} holds other files; name a new or empty folder")
        if overwrite:
            shutil.rmtree(out)
        elif differing := _differences(json.loads((out / _BEGUN).read_text()), settings):
            raise DataError(
                f"{out} was prepared with another {' and '.join(differing)}; name another folder, or use "
                "--overwrite"
            )
        elif (out / INFO).is_file():
            return StoreInfo.from_json((out / INFO).read_text(), str(out / INFO))
    try:
        for split in info.shards:
            (out / split).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{out}: {error.strerror}; name a folder you may write to") from None
    write_text(out / _BEGUN, json.dumps(settings, indent=1))
    for split in info.shards:
        remove_parts(out / split)
    return None


def _differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    names = {"records": "manifest", "shards": "manifest", "columns": "manifest"}
    return sorted({names.get(key, key) for key in now if before.get(key) != now[key]})


def _write_all(
    tasks: Sequence[_Shard], kind: Kind, recipe: Recipe, *, total: int, workers: int, progress: bool
) -> int:
    from tqdm import tqdm

    written = 0
    there = total - sum(len(task.rows) for task in tasks)
    with tqdm(
        total=total, initial=there, desc="preparing", unit=kind.removesuffix("s"), disable=not progress
    ) as bar:
        try:
            for number, rows in in_processes(
                _write_shard, tasks, workers=workers, start=_start_worker, arguments=(kind, recipe)
            ):
                written += rows
                bar.update(len(tasks[number].rows))
        except ProcessDiedError as error:
            raise DataError(
                f"{error}; python -m data.check MANIFEST names a file that crashes its decoder"
            ) from error
    return written


_worker: tuple[Kind, Recipe] | None = None


def _start_worker(kind: Kind, recipe: Recipe) -> None:
    global _worker
    torch.set_num_threads(1)
    _worker = (kind, recipe)


def _write_shard(shard: _Shard) -> int:
    """Write one shard; returns its rows."""
    assert _worker is not None
    kind, recipe = _worker
    schema = features(kind, shard.rows.further).arrow_schema
    rows, skipped, waiting, batch = 0, [], 0, []
    with whole(shard.path) as part:
        with pa.OSFile(str(part), "wb") as sink, pa.ipc.new_stream(sink, schema) as writer:
            for record in shard.rows:
                try:
                    row = _row(record, kind, recipe)
                except DataError as error:
                    if recipe.on_error == "raise":
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
        # Before the shard is there: a shard without its note would count as whole.
        write_text(_note_of(shard.path), json.dumps([rows, skipped, digest]))
    return rows


def _row(record: PairRecord | ImageRecord, kind: Kind, recipe: Recipe) -> dict[str, Any]:
    pictures = load_record(record, intensity=recipe.intensity, change=recipe.change)
    return {
        "id": record.id,
        "patient_id": record.patient_id,
        **({"findings": "+".join(record.findings) or None} if isinstance(record, PairRecord) else {}),
        **record.columns,
        **{
            role: _picture(pictures[role], getattr(record, role), recipe, signed=_is_signed(role, recipe))
            if role in pictures
            else None
            for role in PICTURES[kind]
        },
    }


def _is_signed(role: str, recipe: Recipe) -> bool:
    return recipe.change == "signed" and role.startswith("target")


def _picture(picture: Radiograph, path: Path, recipe: Recipe, *, signed: bool) -> dict[str, Any]:
    pixels = picture.pixels
    source_height, source_width = pixels.shape
    if recipe.size is not None:
        geometry = Geometry(height=source_height, width=source_width, framing=recipe.framing)
        pixels = content_of(torch.from_numpy(pixels)[None], recipe.size, geometry)[0].numpy()
    height, width = pixels.shape
    return {
        "pixels": encode(pixels, recipe.bits, signed=signed),
        "height": height,
        "width": width,
        "source_height": source_height,
        "source_width": source_width,
        "spacing_mm": None if picture.spacing_mm is None else list(picture.spacing_mm),
        "source": fingerprint(path),
    }


def _note_of(shard: Path) -> Path:
    """What is known of a shard until all are there: rows, what was skipped, and its fingerprint."""
    return shard.with_name(shard.name + _NOTE_SUFFIX)


def _finish(out: Path, info: StoreInfo, written: int) -> Prepared:
    """Collect what was skipped, and say in prepared.json that everything is there."""
    shards: dict[str, list[int]] = {}
    skipped: list[list[str]] = []
    digest = hashlib.sha256()
    for split, counts in info.shards.items():
        paths = [out / split / shard_name(number, len(counts)) for number in range(len(counts))]
        notes = [json.loads(_note_of(path).read_text()) for path in paths]
        shards[split] = [rows for rows, _, _ in notes]
        skipped += [entry for _, left_out, _ in notes for entry in left_out]
        digest.update("".join(of_shard for _, _, of_shard in notes).encode())
    info = replace(info, shards=shards, digest=digest.hexdigest()[:32])
    if not any(info.count(split) for split in shards):
        for shard in out.glob("*/data-*"):  # so that the same command tries again
            shard.unlink()
        raise DataError(f"none of the files could be read; the first: {skipped[0][1]}")
    if skipped:
        write_rows(out / "skipped.csv", [["id", "reason"], *skipped])
    write_text(out / INFO, info.to_json())
    for note in out.glob(f"*/*{_NOTE_SUFFIX}"):
        note.unlink()
    return Prepared(info=info, skipped=len(skipped), written=written)


def _count_skipped(out: Path) -> int:
    if not (out / "skipped.csv").is_file():
        return 0
    with (out / "skipped.csv").open(newline="") as file:
        return sum(1 for _ in csv.reader(file)) - 1
