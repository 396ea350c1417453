"""One map out of several: of models beside each other, of the same pair under other exposures."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from data import PairBatch
from data.base.errors import UserError
from gan.run.change_model import ChangeModel
from gan.run.directory import WEIGHTS
from gan.run.exposure import exposed_anew
from gan.run.feeding import Fed
from gan.run.handover import Preprocessing
from gan.run.trained_on import require_alike

_ALIKE = ("change", "framing", "intensity", "image_size")


@dataclass(frozen=True)
class Ensemble:
    """Models that are fed alike, and how often each of them looks at a pair.

    Attributes:
        models: by how they were named.
        passes: further looks, each under another exposure of both images.
        seed: of the exposures.
    """

    models: Mapping[str, ChangeModel]
    passes: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        fed = {name: vars(model.preprocessing) for name, model in self.models.items()}
        require_alike(fed, _ALIKE, "predict with one by one")

    @property
    def preprocessing(self) -> Preprocessing:
        """How all of them are fed."""
        return next(iter(self.models.values())).preprocessing

    @property
    def signed(self) -> bool:
        """Whether maps tell the direction of a change."""
        return self.preprocessing.change == "signed"

    @property
    def device(self) -> torch.device:
        """Where the models compute."""
        return next(iter(self.models.values())).device

    @property
    def is_several(self) -> bool:
        """Whether more than one map is made of a pair."""
        return len(self.models) * (1 + self.passes) > 1

    @torch.no_grad()
    def __call__(self, fed: Fed, ids: Sequence[str]) -> tuple[Tensor, Tensor]:
        """The mean of all maps, and their standard deviation, both `[B, 1, L, L]` on the device.

        Args:
            fed: the pairs.
            ids: from which, with the seed, their exposures follow.

        Raises:
            UserError: a map is not finite.
        """
        mean, squares = torch.zeros_like(fed.followup), torch.zeros_like(fed.followup)
        for number, change in enumerate(self._maps(fed, ids), start=1):  # Welford's: one map at a time
            apart = change - mean
            mean += apart / number
            squares += apart * (change - mean)
        return mean * fed.known, (squares / number).sqrt() * fed.known

    def _maps(self, fed: Fed, ids: Sequence[str]) -> Iterator[Tensor]:
        batch = PairBatch(
            id=list(ids), baseline=fed.baseline, followup=fed.followup, findings=[()] * len(ids)
        )
        for number in range(1 + self.passes):
            shown = exposed_anew(batch, seed=self.seed, number=number) if number else batch
            for name, model in self.models.items():
                change = model.maps(shown.baseline, shown.followup)
                if not change.isfinite().all():
                    raise UserError(f"{name} makes maps that are not finite; use another checkpoint of it")
                yield change


def weights_of(place: Path) -> Path:
    """The file that holds the weights of a generator, by which it is told from others."""
    return place if place.is_file() else place / WEIGHTS
