"""Findings: each draws a random instance of itself into a thorax, as a change in attenuation.

A finding is `f(anatomy, rng) -> Change`. It moves attenuation towards that of the new tissue (fluid, air,
metal) and never beyond, so a thorax with any of them inside stays physical.
"""

from collections.abc import Callable, Mapping

import numpy as np

from data.config import Finding
from data.simulation.findings.volume.devices import device
from data.simulation.findings.volume.heart import cardiomegaly
from data.simulation.findings.volume.lung import consolidation, fluid_overload, nodule
from data.simulation.findings.volume.pleura import effusion, pneumothorax
from data.simulation.volumes.anatomy import LUNGS, Anatomy, Change

FINDINGS: Mapping[Finding, Callable[[Anatomy, np.random.Generator], Change]] = {
    "consolidation": consolidation,
    "nodule": nodule,
    "effusion": effusion,
    "pneumothorax": pneumothorax,
    "cardiomegaly": cardiomegaly,
    "fluid_overload": fluid_overload,
    "device": device,
}

NEEDS: Mapping[Finding, tuple[str, ...]] = {
    "consolidation": (*LUNGS, "pulmonary_vein"),
    "nodule": LUNGS,
    "effusion": LUNGS,
    "pneumothorax": LUNGS,
    "cardiomegaly": (*LUNGS, "heart"),
    "fluid_overload": (*LUNGS, "pulmonary_vein"),
    "device": LUNGS,  # a drain needs no more; the other devices join where their vessels are known
}
"""Structures without which a finding cannot be put where it belongs."""


def possible_findings(anatomy: Anatomy) -> tuple[Finding, ...]:
    """The findings whose structures are there, in the order of the registry."""
    return tuple(name for name in FINDINGS if anatomy.has(*NEEDS[name]))


__all__ = ["FINDINGS", "NEEDS", "possible_findings"]
