"""What a run writes down: metrics.jsonl, the same in TensorBoard, and lines for the person watching."""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from accelerate import Accelerator
from accelerate.utils import gather_object
from tqdm import tqdm

from data import ImageBatch, PairBatch
from gan.rundir import RunDir

BatchT = TypeVar("BatchT", PairBatch, ImageBatch)


class RunLog:
    """Writes on the main process only.

    Args:
        accelerator: whose TensorBoard tracker takes the numbers and the pictures.
        run: where metrics.jsonl lives.
        resumed_at: the optimiser step this run continues from; lines of later steps, which will be
            written again, and of the final test are dropped. None for a new run.
    """

    def __init__(self, accelerator: Accelerator, run: RunDir, *, resumed_at: int | None = None) -> None:
        self._accelerator = accelerator
        self._path = run.metrics
        self._skipped_path = run.skipped
        self._skipped: dict[str, None] = {}
        self._reported: set[str] = set()
        if resumed_at is not None and run.skipped.is_file():
            with run.skipped.open(newline="") as file:
                self._reported.update(row[0] for row in list(csv.reader(file))[1:])
        if accelerator.is_main_process and resumed_at is not None:
            _truncate(self._path, resumed_at)

    def say(self, text: str) -> None:
        """A line for the person watching, above any progress bar."""
        if self._accelerator.is_main_process:
            tqdm.write(text)

    def write(self, values: Mapping[str, Any], *, step: int, epoch: int, split: str) -> None:
        """One line of metrics.jsonl; its numbers also go to TensorBoard as `split/name`."""
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

    def watch(self, batches: Iterable[BatchT]) -> Iterator[BatchT]:
        """Batches as they come, with what they say of unreadable samples remembered."""
        for batch in batches:
            self.note_skipped(batch.skipped)
            yield batch

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
        """Show a PNG in TensorBoard."""
        if self._accelerator.is_main_process:
            from skimage.io import imread

            writer = self._accelerator.get_tracker("tensorboard", unwrap=True)
            writer.add_image(name, imread(path)[..., :3], global_step=step, dataformats="HWC")


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


def _truncate(path: Path, step: int) -> None:
    """Keep what an uninterrupted run would have written by `step`."""
    if not path.is_file():
        return
    kept = [line for line in read_metrics(path) if line["step"] <= step and line["split"] != "test"]
    staging = path.with_suffix(".tmp")
    staging.write_text("".join(json.dumps(line) + "\n" for line in kept))
    staging.replace(path)
