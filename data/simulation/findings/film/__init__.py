"""Findings in radiographs by name: each draws a random instance of itself, added line integrals `[H, W]`."""

from collections.abc import Callable, Mapping

import numpy as np

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
