"""Maps without a model, which every model must beat."""

import torch
from torch import Tensor

from data.alignment import lay, register

BASELINES = {
    "empty": "empty map",
    "absdiff": "|followup - baseline|",
    "registered": "the same, registered",
}
"""What each is called in a table."""


def baseline_maps(baseline: Tensor, followup: Tensor, *, signed: bool) -> dict[str, Tensor]:
    """The maps of all `BASELINES` for images `[B, 1, S, S]` in `[0, 1]`; signed ones keep their signs.

    The registered difference is 0 where the moved baseline has no pixels, and that of the images as they are
    where no good fit is found.
    """
    everywhere = torch.ones_like(baseline)
    transform = register(baseline, followup).kept()
    moved, known = lay(baseline, followup, (everywhere, everywhere), transform)
    maps = {
        "empty": torch.zeros_like(followup),
        "absdiff": followup - baseline,
        "registered": (followup - moved) * known,
    }
    return maps if signed else {name: values.abs() for name, values in maps.items()}
