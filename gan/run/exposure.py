"""The same pairs under other exposures, by which it is seen how much of a map hangs on them."""

from typing import Any

from data import PairBatch, augment_pairs
from data.config import AugmentConfig

_EXPOSURE: dict[str, Any] = {"exposure": 0.2, "contrast": 0.15, "gamma": 0.15, "noise": 0.01}


def exposed_anew(batch: PairBatch, *, seed: int = 0, number: int = 0) -> PairBatch:
    """The same pairs, both images under another exposure, for each pair the same one every time.

    Args:
        batch: the pairs.
        seed: of the exposures.
        number: which of many exposures.
    """
    still: dict[str, Any] = dict.fromkeys(vars(AugmentConfig()), 0.0)
    config = AugmentConfig(**still | _EXPOSURE | {"enabled": True})
    return augment_pairs(batch, config, seed=seed, epoch=number)
