"""The models to be judged, and the data to judge them on, by one process or several."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import torch
from accelerate import PartialState
from accelerate.utils import gather_object
from torch.utils.data import DataLoader
from tqdm import tqdm

from data import PairBatch, collate_pairs
from data.base.errors import UserError
from data.batch import PairSample
from data.config import DataConfig
from gan.measures.baselines import baseline_maps
from gan.measures.evaluation import Evaluation, Tally
from gan.measures.localisation import Localisation
from gan.measures.models import Model

AnyT = TypeVar("AnyT")


@dataclass(frozen=True)
class Judge:
    """The models to be judged, and the data to judge them on.

    Several processes share out whole batches, so that each map is made beside the same others as by one.
    """

    models: Mapping[str, Model]
    data: DataConfig
    process: PartialState

    @property
    def device(self) -> torch.device:
        """That of this process."""
        device: torch.device = self.process.device
        return device

    @property
    def signed(self) -> bool:
        """What maps mean."""
        return self.data.change == "signed"

    def batches(self, split: Any) -> Iterator[PairBatch]:
        """The batches of a split that this process judges, on its device; a missing target is NaN."""
        size, process = self.data.batch_size, self.process
        starts = range(process.process_index * size, len(split), process.num_processes * size)
        loader = DataLoader(
            split,
            batch_sampler=[list(range(len(split))[start : start + size]) for start in starts],
            collate_fn=_collate,
            num_workers=self.data.workers,
        )
        quiet = None if process.is_main_process else True
        for batch in tqdm(loader, unit="batch", leave=False, disable=quiet):
            yield batch.to(self.device)

    def gathered(self, parts: Sequence[AnyT]) -> list[AnyT]:
        """What all processes made of their batches, one part each, in the order of the split."""
        process = self.process
        numbers = range(process.process_index, process.num_processes * len(parts) + 1, process.num_processes)
        everything = gather_object(list(zip(numbers, parts, strict=False)))
        return [part for _, part in sorted(everything, key=lambda entry: entry[0])]

    def say(self, text: str) -> None:
        """Print, once."""
        if self.process.is_main_process:
            print(text)

    def maps(self, batch: PairBatch) -> dict[str, torch.Tensor]:
        """The change maps of all models, and of what is no model."""
        maps = {name: model(batch.baseline, batch.followup) for name, model in self.models.items()}
        return maps | baseline_maps(batch.baseline, batch.followup, signed=self.signed)

    def judge(
        self,
        split: Any,
        thresholds: Mapping[str, int] | None = None,
        places: Mapping[str, Localisation] | None = None,
    ) -> tuple[Evaluation, list[str]]:
        """What all make of the pairs of a split, in one pass over it, and what of it could not be read.

        Args:
            split: the pairs.
            thresholds: the bin from which a pixel is marked, of each method.
            places: take in what each method makes of boxes and labels.
        """
        parts = [self._part(batch, thresholds, list(places or {})) for batch in self.batches(split)]
        tally, skipped = Tally(self.signed, thresholds), list[str]()
        for pairs, found, unread in self.gathered(parts):
            tally.extend(pairs)
            skipped += unread
            for name, scores in found.items():
                (places or {})[name].extend(scores)
        try:
            return tally.judge(), skipped
        except ValueError as error:
            raise UserError(f"--data: {error}") from error

    def _part(
        self, batch: PairBatch, thresholds: Mapping[str, int] | None, places: Sequence[str]
    ) -> tuple[Tally, dict[str, Localisation], list[str]]:
        """What all make of a batch; only numbers are kept."""
        maps, further = self.maps(batch), {}
        if thresholds is not None:
            for name, model in self.models.items():
                further[name] = model.consistency(batch, maps[name], thresholds[name])
        tally = Tally(self.signed, thresholds)
        tally.add(maps, batch, further)
        found = {name: Localisation(signed=self.signed) for name in places}
        for name, scores in found.items():
            scores.add(maps[name], batch)
        return tally, found, list(batch.skipped)

    def thresholds(self, split: Any | None) -> dict[str, int] | None:
        """Of each method the threshold with the best Dice on a split; None where none changed."""
        if split is None:
            return None
        validated, _ = self.judge(split)
        return validated.best_thresholds() if validated.changed else None


def _collate(samples: Sequence[PairSample]) -> PairBatch:
    return collate_pairs([_with_target(sample) for sample in samples])


def _with_target(sample: PairSample) -> PairSample:
    if sample.target is not None:
        return sample
    return replace(sample, target=torch.full_like(sample.followup, torch.nan))
