"""What a run writes down: metrics.jsonl, the same in its trackers, and lines for the person watching."""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from accelerate import Accelerator
from accelerate.utils import gather_object
from tqdm import tqdm

from data import ImageBatch, PairBatch
from data.base.atomic import write_text
from gan.run.directory import RunDir
from gan.run.tracking import show_picture

BatchT = TypeVar("BatchT", PairBatch, ImageBatch)


class RunLog:
    """Writes on the main process only.

    Args:
        accelerator: whose trackers take the numbers and the pictures.
        directory: where metrics.jsonl lives.
    """

    def __init__(self, accelerator: Accelerator, directory: RunDir) -> None:
        self._accelerator = accelerator
        self._path = directory.metrics
        self._skipped_path = directory.skipped
        self._skipped: dict[str, None] = {}
        self._reported: set[str] = set()

    def resume(self, step: int) -> None:
        """Drop the lines of later steps, which will be written again, and of the final test."""
        if self._skipped_path.is_file():
            with self._skipped_path.open(newline="") as file:
                self._reported.update(row[0] for row in list(csv.reader(file))[1:])
        if self._accelerator.is_main_process and self._path.is_file():
            lines = [line for line in read_metrics(self._path) if line["step"] <= step]
            kept = [json.dumps(line) + "\n" for line in lines if line["split"] != "test"]
            write_text(self._path, "".join(kept))

    def say(self, text: str) -> None:
        """A line for the person watching, above any progress bar."""
        if self._accelerator.is_main_process:
            tqdm.write(text)

    def write(self, values: Mapping[str, Any], *, step: int, epoch: int, split: str) -> None:
        """One line of metrics.jsonl; its numbers also go to the trackers as `split/name`."""
        if not self._accelerator.is_main_process:
            return
        with self._path.open("a") as file:
            file.write(
                json.dumps({"split": split, "step": step, "epoch": epoch, **values}, allow_nan=False) + "\n"
            )
        self._accelerator.log(dict(_scalars(values, split)), step=step)

    def note_skipped(self, reasons: Iterable[str]) -> None:
        """Remember what a batch says of samples that could not be read."""
        self._skipped.update(dict.fromkeys(reasons))

    def watch(self, batches: Iterable[BatchT]) -> Iterable[BatchT]:
        """Batches as they come, with what they say of unreadable samples remembered."""
        return _Watched(self, batches)

    def report_skipped(self) -> None:
        """Name what was skipped since the last report on any process: a line of skipped.csv for each."""
        reasons = dict.fromkeys(gather_object(list(self._skipped)))
        self._skipped = {}
        new = [reason for reason in reasons if reason not in self._reported]
        if not new:
            return
        self._reported.update(new)
        if self._accelerator.is_main_process:
            rows = [] if self._skipped_path.exists() else [["reason"]]
            with self._skipped_path.open("a", newline="") as file:
                csv.writer(file).writerows([*rows, *([reason] for reason in new)])
        self.say(f"skipped: {len(new)} unreadable, {len(self._reported)} so far, see {self._skipped_path}")

    def picture(self, name: str, path: Path, *, step: int) -> None:
        """Show a PNG in the trackers."""
        for tracker in self._accelerator.trackers if self._accelerator.is_main_process else ():
            show_picture(tracker, name, path, step=step)


@dataclass(frozen=True)
class _Watched(Generic[BatchT]):
    """Can be iterated as often as the batches."""

    log: RunLog
    batches: Iterable[BatchT]

    def __iter__(self) -> Iterator[BatchT]:
        for batch in self.batches:
            self.log.note_skipped(batch.skipped)
            yield batch


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The lines of a metrics.jsonl; a last line cut off by a kill is left out."""
    lines = []
    for line in path.read_text().splitlines():
        try:
            lines.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return lines


def _scalars(values: Mapping[str, Any], prefix: str) -> list[tuple[str, float]]:
    flat: list[tuple[str, float]] = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat += _scalars(value, f"{prefix}/{name}")
        elif isinstance(value, int | float):
            flat.append((f"{prefix}/{name}", value))
    return flat
