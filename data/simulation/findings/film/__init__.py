"""Findings by name: functions `(chest, rng) -> added line integral [H, W]`, float32, on the chest's film."""

from collections.abc import Callable, Mapping

import numpy as np

from data.config import Finding
from data.simulation.drawing.chest import Chest, Plane
from data.simulation.findings.film.devices import device
from data.simulation.findings.film.heart import cardiomegaly
from data.simulation.findings.film.lung import consolidation, fluid_overload, nodule
from data.simulation.findings.film.pleura import effusion, pneumothorax

FINDINGS: Mapping[Finding, Callable[[Chest, np.random.Generator], Plane]] = {
    "consolidation": consolidation,
    "nodule": nodule,
    "effusion": effusion,
    "pneumothorax": pneumothorax,
    "cardiomegaly": cardiomegaly,
    "fluid_overload": fluid_overload,
    "device": device,
}
