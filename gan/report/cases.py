"""The pairs of the viewer: radiographs, maps and what the maps are worth, and nothing of who they are of."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch
from accelerate import PartialState
from torch import Tensor
from torch.utils.data import Subset

from data import PairBatch
from data.base.errors import DataError, UserError
from data.findings import CHANGED
from data.sources import open_pairs, settled
from gan.measures.evaluation import Evaluation, Tally, plain
from gan.measures.judge import Judge
from gan.measures.models import Model
from gan.measures.table import BY_NAME
from gan.pictures.change import MAGNITUDE, OPAQUE_FROM, SHOWN_MAX, SIGNED
from gan.pictures.grid import planes
from gan.report.encoding import Planes, fitted
from gan.report.options import ReportConfig
from gan.run.handover import ANY

_AREA = "area"
_NUMBERS = {"mae": "MAE", "pair_average_precision": "AP", _AREA: "area marked"}
"""What is told of a case."""


@dataclass(frozen=True)
class Cases:
    """Pairs in the order of the data, numbered from 1."""

    evaluation: Evaluation
    stacks: Sequence[Planes]
    """Of each pair `[N, S, S]`: baseline, followup, a map a run, and the target where it is known."""
    of: int
    """How many the split has."""

    def described(self, runs: Sequence[str], budget: int) -> dict[str, Any]:
        """Ready for JSON, in so many characters.

        Raises:
            UserError: they do not fit.
        """
        images = fitted(self.stacks, budget)
        if images is None:
            raise UserError(
                f"--cases {len(self.stacks)} do not fit into a file of 25 MB; ask for fewer, or fewer runs"
            )
        signed = self.evaluation.signed
        return {
            "of": self.of,
            "signed": signed,
            "shown_max": SHOWN_MAX,
            "opaque_from": OPAQUE_FROM,
            "colours": _colours(signed),
            "numbers": {name: {**asdict(BY_NAME[name]), "label": label} for name, label in _NUMBERS.items()},
            "cases": [
                {**case, "image": image} for case, image in zip(self._described(runs), images, strict=True)
            ],
        }

    def _described(self, runs: Sequence[str]) -> Iterator[dict[str, Any]]:
        numbers = self.evaluation.cases()
        for place, (pair, stack) in enumerate(zip(self.evaluation.pairs, self.stacks, strict=True)):
            yield {
                "number": place + 1,
                "findings": list(pair.findings),
                "planes": len(stack),
                "numbers": [{name: plain(numbers[run][name][place]) for name in _NUMBERS} for run in runs],
            }


def collect_cases(
    config: ReportConfig, folders: Mapping[str, Path], thresholds: Mapping[str, float | None]
) -> Cases:
    """Run the generators over pairs of the split.

    Args:
        config: which, and how many.
        folders: of each run's generator.
        thresholds: from which value a pixel is marked, of each run; `CHANGED` where nobody knows.

    Raises:
        UserError, DataError: a generator or the data is not what it should be.
    """
    data = settled(config.data)
    process = PartialState(cpu=config.cpu or not torch.cuda.is_available())
    trusted = ANY if config.trust_remote_code else ""
    models = {
        run: Model.load(run, folder, process.device, trusted=trusted) for run, folder in folders.items()
    }
    split = open_pairs(data, [config.split], with_targets=False)[config.split]
    places = np.linspace(0, len(split) - 1, min(config.cases, len(split))).round().astype(int).tolist()
    judge = Judge(models, data, process)
    marked_from = {run: thresholds.get(run) or CHANGED for run in models}
    tally = Tally(judge.signed)
    stacks: list[Planes] = []
    for batch in judge.batches(Subset(split, places)):  # type: ignore[arg-type]
        valid = torch.ones_like(batch.followup) if batch.valid is None else batch.valid
        maps = {run: model(batch.baseline, batch.followup) * valid for run, model in models.items()}
        areas = {run: _areas(change, valid, marked_from[run]) for run, change in maps.items()}
        tally.add(maps, batch, {run: {_AREA: of} for run, of in areas.items()})
        stacks += _stacks(batch, list(maps.values()), signed=judge.signed)
    try:
        evaluation = tally.judge()
    except ValueError as error:
        raise DataError(f"--data: {error}") from error
    return Cases(evaluation, [stacks[pair.place] for pair in evaluation.pairs], len(split))


def _areas(maps: Tensor, valid: Tensor, level: float) -> list[float]:
    """The share of each image that is marked."""
    shares: list[float] = ((maps.abs() >= level).sum((1, 2, 3)) / valid.sum((1, 2, 3))).tolist()
    return shares


def _stacks(batch: PairBatch, maps: Sequence[Tensor], *, signed: bool) -> Iterator[Planes]:
    assert batch.target is not None  # NaN where it is not known
    images = [_eight_bits(planes(image)) for image in (batch.baseline, batch.followup)]
    changes = [_change_bits(planes(change), signed=signed) for change in maps]
    targets = planes(batch.target)
    known = ~np.isnan(targets).any((1, 2))
    target_bits = _change_bits(np.nan_to_num(targets), signed=signed)
    for place, has in enumerate(known):
        shown = [*images, *changes, *([target_bits] if has else [])]
        yield np.stack([stack[place] for stack in shown])


def _eight_bits(values: np.ndarray) -> Planes:
    return (values.clip(0, 1) * 255).round().astype(np.uint8)


def _change_bits(values: np.ndarray, *, signed: bool) -> Planes:
    """1 is 255; of signed maps 0 is 128 and -1 is 1."""
    return (128 + values.clip(-1, 1) * 127).round().astype(np.uint8) if signed else _eight_bits(values)


def _colours(signed: bool) -> list[list[int]]:
    """The colour of each of the 256 values of a plane of change, RGB."""
    cmap, norm = SIGNED if signed else MAGNITUDE
    values = np.arange(256)
    found = matplotlib.colormaps[cmap](norm((values - 128) / 127 if signed else values / 255), bytes=True)
    return [[int(part) for part in colour[:3]] for colour in found]
