"""An exported file and the network it was made from, side by side on pairs."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from data import PairBatch
from data.base.errors import UserError
from gan.measures.evaluation import Tally

FILE, NETWORK = "file", "network"
_AP = "average_precision"


@dataclass
class Comparison:
    """What was found at each size, and how good both are.

    Args:
        signed: what maps mean.
    """

    signed: bool
    largest: dict[tuple[int, int], float] = field(default_factory=dict)
    """The largest difference of two maps, by height and width."""

    def __post_init__(self) -> None:
        self._tally = Tally(self.signed)

    def run(self, exported: nn.Module, network: nn.Module, batches: Iterable[PairBatch]) -> None:
        """All pairs at the size of the training, the first of them at another one as well.

        Raises:
            UserError: there is no pair, or the file does not run.
        """
        batch = None
        for number, batch in enumerate(batches):
            maps = self._both(exported, network, batch.baseline, batch.followup)
            self._tally.add(maps, batch)
            if number == 0:
                self._both(exported, network, *(elongated(x[:1]) for x in (batch.baseline, batch.followup)))
        if batch is None:
            raise UserError("--split: there is no pair in it to compare on; name another split")

    def average_precision(self) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]] | None:
        """Of the file, of the network, and their difference, with intervals; None without a target."""
        try:
            evaluation = self._tally.judge()
        except ValueError:  # none could be read
            return None
        if not evaluation.changed:
            return None
        estimate = evaluation.estimate()
        of_both = (estimate.described(name, _AP) for name in (FILE, NETWORK))
        return (*of_both, estimate.difference(FILE, NETWORK, _AP))  # type: ignore[return-value]

    @torch.no_grad()
    def _both(
        self, exported: nn.Module, network: nn.Module, baseline: Tensor, followup: Tensor
    ) -> Mapping[str, Tensor]:
        """The maps of both; their difference is remembered."""
        size = (followup.shape[-2], followup.shape[-1])
        maps = {NETWORK: network(baseline, followup).float()}
        try:
            maps[FILE] = exported(baseline, followup).float()
            difference = (maps[FILE] - maps[NETWORK]).abs().max().item()
        except Exception as error:  # onnxruntime and torch raise all kinds, also for maps of another size
            raise UserError(
                f"the exported file does not run on images of {size[0]} x {size[1]} "
                f"({type(error).__name__}); it is not kept"
            ) from error
        if difference != difference:
            difference = float("inf")
        self.largest[size] = max(difference, self.largest.get(size, 0.0))
        return maps


def elongated(images: Tensor) -> Tensor:
    """Images `[B, 1, S, S]` of another size, height and width of which differ."""
    side = images.shape[-1]
    size = (side * 5 // 4 + 1, side * 3 // 2)
    return interpolate(images, size=size, mode="bilinear", align_corners=False)


def pairs_of(batches: Iterable[PairBatch]) -> Iterator[tuple[Tensor, Tensor]]:
    """Baselines and followups, pair by pair."""
    for batch in batches:
        yield from zip(batch.baseline.split(1), batch.followup.split(1), strict=True)
