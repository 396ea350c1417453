"""Findings in radiographs by name: each draws a random instance of itself, added line integrals `[H, W]`."""

from collections.abc import Callable, Mapping

import numpy as np

from data.base.errors import DataError
from data.findings import Finding
from data.simulation.drawing.chest import Chest
from data.simulation.films import Plane
from data.simulation.findings.film.atelectasis import atelectasis
from data.simulation.findings.film.devices import device
from data.simulation.findings.film.heart import cardiomegaly
from data.simulation.findings.film.lung import consolidation, fluid_overload, nodule
from data.simulation.findings.film.pleura import effusion, pneumothorax

DRAW: Mapping[Finding, Callable[[Chest, np.random.Generator], Plane]] = {
    "consolidation": consolidation,
    "nodule": nodule,
    "effusion": effusion,
    "pneumothorax": pneumothorax,
    "cardiomegaly": cardiomegaly,
    "fluid_overload": fluid_overload,
    "atelectasis": atelectasis,
    "device": device,
}

SMALLEST_CHANGE = 0.05
"""A finding that nowhere adds or takes this line integral cannot be seen; another one is drawn."""
_ATTEMPTS = 8


def draw_visible(name: Finding, chest: Chest, rng: np.random.Generator) -> Plane:
    """An instance of a finding that can be seen, as sharp as the film: added line integrals `[H, W]`.

    Raises:
        DataError: there is no room for one.
    """
    for _ in range(_ATTEMPTS):
        added = chest.grain.soften(DRAW[name](chest, rng))
        if np.abs(added).max() >= SMALLEST_CHANGE:
            return added
    raise DataError(f"no room for {name} (lung fields small or opaque); leave the image or the finding out")
