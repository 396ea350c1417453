"""Whether predicted maps look like true ones: a critic that never met the generator, and spectra."""

from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Subset

from data import PairBatch
from data.base.errors import UserError
from data.findings import CHANGED
from gan.measures.critic import critic_accuracy
from gan.measures.judge import Judge
from gan.measures.spectrum import checkerboard, spectral_distance

TRUTH = "truth"
_PAIRS = 512
"""At most so many pairs are looked at, evenly spread over the data."""


def judge_realism(judge: Judge, pairs: Any) -> dict[str, dict[str, Any]]:
    """Of every model, and the spectrum of the true maps as `TRUTH`, numbers by name as in `summarise`.

    They are of pairs that are known to have changed: the map of any other should be empty, not look real.

    Raises:
        UserError: such pairs are of too few patients.
    """
    places = torch.linspace(0, len(pairs) - 1, min(_PAIRS, len(pairs))).long().tolist()
    parts = judge.gathered([_part(judge, batch) for batch in judge.batches(Subset(pairs, places))])
    whole = {
        name: torch.cat([maps[name] for maps, _ in parts]).to(judge.device) for name in (TRUTH, *judge.models)
    }
    patients = [patient for _, of in parts for patient in of]
    try:
        numbers = {name: _numbers(whole[name], whole[TRUTH], patients) for name in judge.models}
    except ValueError as error:
        raise UserError(f"--critic: {error}; name data with more of them, or drop the option") from error
    return {**numbers, TRUTH: {"checkerboard": {"value": checkerboard(whole[TRUTH])}}}


def _part(judge: Judge, batch: PairBatch) -> tuple[dict[str, Tensor], list[str]]:
    """The true and the predicted maps of those pairs of a batch that changed, and their patients."""
    assert batch.target is not None
    changed = _changed(batch).nonzero()[:, 0]
    maps = {TRUTH: batch.target}
    maps |= {name: model(batch.baseline, batch.followup) for name, model in judge.models.items()}
    seen = {
        name: _as_seen(found if batch.valid is None else found * batch.valid)[changed].cpu()
        for name, found in maps.items()
    }
    return seen, [(batch.patient_id or batch.id)[place] for place in changed.tolist()]


def _numbers(maps: Tensor, truths: Tensor, patients: list[str]) -> dict[str, Any]:
    found = {
        "critic": critic_accuracy(maps, truths, patients),
        "spectral_distance": spectral_distance(maps, truths),
        "checkerboard": checkerboard(maps),
    }
    return {name: {"value": value} for name, value in found.items()}


def _changed(batch: PairBatch) -> Tensor:
    """Which pairs are known to have changed, `[B]`; unknown targets are NaN."""
    assert batch.target is not None
    target = batch.target if batch.valid is None else batch.target * batch.valid
    return (target.abs() > CHANGED).flatten(1).any(1)


def _as_seen(maps: Tensor) -> Tensor:
    """As in an image of 8 bits: no true map has traces of a sigmoid that nobody sees."""
    return (maps * 255).round() / 255
