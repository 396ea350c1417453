"""The models to be judged, and the data to judge them on."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
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


@dataclass(frozen=True)
class Judge:
    """The models to be judged, and the data to judge them on."""

    models: Mapping[str, Model]
    data: DataConfig
    device: torch.device

    @property
    def signed(self) -> bool:
        """What maps mean."""
        return self.data.change == "signed"

    def batches(self, split: Any) -> Iterator[PairBatch]:
        """The pairs of a split in its order, on the device; a target that a pair lacks is NaN."""
        loader = DataLoader(
            split,
            batch_size=self.data.batch_size,
            collate_fn=_collate,
            num_workers=self.data.workers,
        )
        for batch in tqdm(loader, unit="batch", leave=False, disable=None):
            yield batch.to(self.device)

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
        tally, skipped = Tally(self.signed, thresholds), list[str]()
        for batch in self.batches(split):
            maps = self.maps(batch)
            further = {}
            if thresholds is not None:
                for name, model in self.models.items():
                    further[name] = model.consistency(batch, maps[name], thresholds[name])
            tally.add(maps, batch, further)
            for name, scores in (places or {}).items():
                scores.add(maps[name], batch)
            skipped += batch.skipped
        try:
            return tally.judge(), skipped
        except ValueError as error:
            raise UserError(f"--data: {error}") from error

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
