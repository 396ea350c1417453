"""Maps of many pairs in a folder: what is finished is not made again."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from tqdm import tqdm

from data import PairRecord, RecordTable
from data.alignment import LEAST_CONFIDENCE
from data.base.atomic import write_rows
from data.base.errors import DataError
from data.base.outputs import OutputFolder, stamp_of
from data.base.seeds import fold_seed
from data.base.signals import raise_if_asked
from data.config import OnError
from data.manifests import holds_pairs
from data.manifests.folders import pairs_in_folder
from data.manifests.manifest import pairs_in_manifest
from gan.predict.ensemble import Ensemble
from gan.predict.options import PredictConfig
from gan.predict.places import Places, places_in
from gan.predict.reading import Batch, Reading, readers
from gan.predict.regions import COLUMNS, rows_of
from gan.predict.writing import Predicted, Writer, predicted_of

VERSION = 1
"""Raise it whenever the same settings give other files."""
FINDINGS, PAIRS, SKIPPED = "findings.csv", "pairs.csv", "skipped.private.csv"
_FILES = ("map", "uncertainty", "segmentation", "overlay")
_SETTINGS = ("format", "align", "tiles", "passes", "seed", "overlay")
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
"""An id that is a file's name on every system as it is."""
_IN_FLIGHT = 4
"""Maps that wait to be written, for each thread that writes."""


class Collection:
    """Pairs, and the folder that their maps go to."""

    def __init__(
        self,
        records: RecordTable[PairRecord],
        ensemble: Ensemble,
        writer: Writer,
        config: PredictConfig,
        weights: Sequence[str],
    ) -> None:
        self.records, self.ensemble, self.writer, self.config = records, ensemble, writer, config
        self.weights = weights
        patterns = tuple(f"{folder}/*" for folder in ("maps", "overlays", "uncertainty", "segmentations"))
        self.output = OutputFolder(
            path=config.output, state=".predicting", last=PAIRS, files=(*patterns, FINDINGS, SKIPPED)
        )

    @staticmethod
    def records_of(path: Path, on_error: OnError) -> RecordTable[PairRecord]:
        """The pairs of a folder or a manifest.

        Raises:
            DataError: it holds none, or names a file that is not there.
        """
        if not holds_pairs(path):
            raise DataError(f"{path} holds single images; prediction needs pairs of baseline and followup")
        if path.is_dir():
            return pairs_in_folder(path)
        return pairs_in_manifest(path, check_files=on_error == "raise")

    def predict(self) -> None:
        """Predict what is not there yet, then write the tables; says what came of it."""
        settings = {name: getattr(self.config, name) for name in _SETTINGS}
        settings |= {"models": list(self.weights), "threshold": self.writer.threshold, "version": VERSION}
        with self.output.claimed(settings):
            skipped = self._predict_missing()
            self._write_tables(skipped)

    @cached_property
    def names(self) -> list[str]:
        """What the files of each pair are called: its id, or a hash of one that is no file's name."""
        ids = self.records.columns.column("id").to_pylist()
        count = Counter(name.casefold() for name in ids)  # not every system tells the two cases apart
        return [
            name
            if _FILE_NAME.fullmatch(name) and count[name.casefold()] == 1
            else f"{fold_seed('predicted', name):016x}"
            for name in ids
        ]

    def _places(self, place: int, folder: Path) -> Places:
        suffix = f".{self.config.format}"
        is_several = self.ensemble.is_several
        return places_in(
            folder, self.names[place], suffix, overlay=self.config.overlay, uncertainty=is_several
        )

    def _finished(self, place: int) -> Mapping[str, Any] | None:
        """The record of a pair whose files are all there, made from the radiographs as they are now."""
        record = self.output.record_of(self.names[place])
        if record is None or record.get("sources") != self._stamps(place):
            return None
        return record if all(path.is_file() for path in self._places(place, self.output.path).all()) else None

    def _stamps(self, place: int) -> list[Any]:
        record = self.records[place]
        return [record.id, stamp_of(record.baseline), stamp_of(record.followup)]

    def _predict_missing(self) -> list[tuple[int, str]]:
        """Predict what is missing; the places and the reasons of what could not be read."""
        missing = [place for place in range(len(self.records)) if self._finished(place) is None]
        skipped: list[tuple[int, str]] = []
        if not missing:
            return skipped
        workers = readers(self.config.workers, len(missing))
        reading = Reading(
            records=self.records.take(missing),
            preprocessing=self.ensemble.preprocessing,
            tiles=self.config.tiles,
            is_shown=self.config.overlay,
            for_dicom=self.config.format == "dcm",
            on_error=self.config.on_error,
        )
        done = len(self.records) - len(missing)
        bar = tqdm(desc="predicting", total=len(self.records), initial=done, unit="pair", disable=None)
        device = self.ensemble.device
        with (
            bar,
            reading.batches(self.config.batch_size, workers, device) as batches,
            _in_threads(max(1, workers)) as submit,
        ):
            for batch in batches:
                raise_if_asked()
                skipped += [(missing[place], reason) for place, reason in batch.unreadable]
                places = [missing[place] for place in batch.places]
                for place, predicted, confidence in self._predicted(batch, places):
                    submit(self._write, place, predicted, confidence)
                bar.update(len(batch.places) + len(batch.unreadable))
        return skipped

    def _predicted(
        self, batch: Batch, places: Sequence[int]
    ) -> Iterator[tuple[int, Predicted, float | None]]:
        if batch.fed is None:
            return
        pairs = [self.records[place] for place in places]
        maps = self.ensemble(batch.fed.to(self.ensemble.device), [pair.id for pair in pairs])
        files = [(pair.baseline, pair.followup) for pair in pairs]
        confidence = [None] * len(pairs) if batch.fed.confidence is None else batch.fed.confidence.tolist()
        yield from zip(
            places, predicted_of(files, *maps, batch.fed.geometry, batch.films), confidence, strict=True
        )

    def _write(self, place: int, predicted: Predicted, confidence: float | None) -> None:
        with self.output.piece(self.names[place]) as (folder, record):
            regions = self.writer.write(predicted, self._places(place, folder))
            record |= {
                "sources": self._stamps(place),
                "regions": rows_of(regions),
                "confidence": confidence,
            }

    def _write_tables(self, skipped: Sequence[tuple[int, str]]) -> None:
        out, ids = self.output.path, self.records.columns.column("id").to_pylist()
        finished = {place: self._finished(place) for place in range(len(self.records))}
        made = {place: record for place, record in finished.items() if record is not None}
        findings = [[ids[place], *row] for place, record in made.items() for row in record["regions"]]
        write_rows(out / FINDINGS, [["id", *COLUMNS], *findings])
        if skipped:
            write_rows(out / SKIPPED, [["reason"], *([reason] for _, reason in skipped)], private=True)
        else:
            (out / SKIPPED).unlink(missing_ok=True)
        rows = [[ids[place], *self._row(place, record)] for place, record in made.items()]
        write_rows(out / PAIRS, [["id", *_FILES, "regions", "confidence", "aligned"], *rows])
        print(f"{out / PAIRS}: maps of {len(made)} pairs; {out / FINDINGS}: {len(findings)} changed regions")
        if skipped:
            print(
                f"left out {len(skipped)} pairs, all named in {out / SKIPPED}; one of them: {skipped[0][1]}"
            )

    def _row(self, place: int, record: Mapping[str, Any]) -> list[str]:
        out, confidence = self.output.path, record["confidence"]
        files = vars(self._places(place, out))
        named = [files[name].relative_to(out).as_posix() if files[name] else "" for name in _FILES]
        fit = "" if confidence is None else f"{confidence:.2f}"
        aligned = "yes" if confidence is not None and confidence >= LEAST_CONFIDENCE else "no"
        return [*named, str(len(record["regions"])), fit, aligned]


@contextmanager
def _in_threads(count: int) -> Iterator[Any]:
    """A function that has others called in threads, and waits where too many of them are under way.

    Most of writing is encoding and waiting for the disk, which leave Python to the network. The first error
    of a call ends everything; calls under way are finished.
    """
    pool, under_way = ThreadPoolExecutor(count), list[Future[None]]()

    def submit(function: Any, *arguments: Any) -> None:
        while len(under_way) >= _IN_FLIGHT * count:
            under_way.pop(0).result()
        under_way.append(pool.submit(function, *arguments))

    try:
        yield submit
        for future in under_way:
            future.result()
    finally:
        pool.shutdown(cancel_futures=True)
