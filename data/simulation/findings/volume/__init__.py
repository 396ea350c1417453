"""Findings in volumes by name: each draws a random instance of itself into a thorax, a change in attenuation.

They move attenuation towards that of the new tissue (fluid, air, metal) and never beyond, so a thorax with
any of them inside stays physical.
"""

from collections.abc import Callable, Mapping

import numpy as np

from data.findings import TABLE, Finding
from data.simulation.findings.volume.atelectasis import atelectasis
from data.simulation.findings.volume.devices import device
from data.simulation.findings.volume.heart import cardiomegaly
from data.simulation.findings.volume.lung import consolidation, fluid_overload, nodule
from data.simulation.findings.volume.pleura import effusion, pneumothorax
from data.simulation.volumes.anatomy import Anatomy, Change

INSERT: Mapping[Finding, Callable[[Anatomy, np.random.Generator], Change]] = {
    "consolidation": consolidation,
    "nodule": nodule,
    "effusion": effusion,
    "pneumothorax": pneumothorax,
    "cardiomegaly": cardiomegaly,
    "fluid_overload": fluid_overload,
    "atelectasis": atelectasis,
    "device": device,
}


def possible_findings(anatomy: Anatomy) -> tuple[Finding, ...]:
    """The findings whose structures are there, in the order of the table."""
    return tuple(name for name, entry in TABLE.items() if anatomy.has(*entry.needs))
