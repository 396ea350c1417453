"""The findings: what they are, where they lie, and the physics that both worlds share.

Findings are put into volumes (`data.simulation.findings.volume`) and drawn into radiographs
(`data.simulation.findings.film`). A new one is an entry here and a function in the registry of each.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Finding = Literal[
    "consolidation",
    "nodule",
    "effusion",
    "pneumothorax",
    "cardiomegaly",
    "fluid_overload",
    "atelectasis",
    "device",
]
Side = Literal["left", "right"]

LOBES: Mapping[Side, tuple[str, ...]] = {
    "left": ("lung_upper_lobe_left", "lung_lower_lobe_left"),
    "right": ("lung_upper_lobe_right", "lung_middle_lobe_right", "lung_lower_lobe_right"),
}
"""Structures that make up each lung, as TotalSegmentator names them."""
LUNGS: tuple[str, ...] = (*LOBES["left"], *LOBES["right"])
_VEINS = ("superior_vena_cava", "brachiocephalic_vein_left", "brachiocephalic_vein_right")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What is known of a finding."""

    description: str
    """One line for help texts."""
    needs: tuple[str, ...] = LUNGS
    """Structures without which it cannot be put where it belongs in a volume."""
    weight: float = 1.0
    """How often it is the one that changes, relative to the others."""


TABLE: Mapping[Finding, Entry] = {
    "consolidation": Entry(
        description="Air spaces of part of a lobe filled with fluid.", needs=(*LUNGS, "pulmonary_vein")
    ),
    "nodule": Entry(description="A mass of 8 to 30 mm."),
    "effusion": Entry(description="Free pleural fluid on one side."),
    "pneumothorax": Entry(description="Air between lung and chest wall."),
    "cardiomegaly": Entry(description="A wider heart.", needs=(*LUNGS, "heart")),
    "fluid_overload": Entry(description="Pulmonary oedema.", needs=(*LUNGS, "pulmonary_vein")),
    "atelectasis": Entry(description="Thin plates of collapsed lung above a diaphragm (linear atelectasis)."),
    # A drain needs no more than lungs; the other devices join where their structures are known.
    "device": Entry(description="Pacemaker, central line, endotracheal tube or chest drain."),
}
FINDINGS: tuple[Finding, ...] = tuple(TABLE)
DEVICES: Mapping[str, tuple[str, ...]] = {
    "pacemaker": (*LUNGS, *_VEINS, "heart", "clavicula_left", "clavicula_right"),
    "central line": _VEINS,
    "endotracheal tube": ("trachea",),
    "chest drain": LUNGS,
}
"""The devices, and the structures each of them needs in a volume."""

CHANGE_SCALE = 1.5
"""Change of a line integral that counts as 1 in a target; larger changes are clipped."""
CHANGED = 0.05
"""A pixel of a target counts as changed where its magnitude exceeds this."""
MU_WATER = 0.0192
"""Linear attenuation of water at 70 keV, the effective energy of a chest film, in 1/mm."""
MU_FLUID = 1.02 * MU_WATER
"""Blood, exudate and effusion differ from each other by less than a radiograph shows, in 1/mm."""
MU_LUNG = 0.0054
"""Aerated lung, 0.28 of the density of water, in 1/mm."""
MU_LUNG_TO_FLUID = 0.0141
"""Attenuation gained where fluid takes the place of aerated lung, in 1/mm."""
MU_METAL = 0.40
"""Titanium can and wound leads, as an effective value over air gaps and beam hardening, in 1/mm."""
MU_LINE = 0.25
"""Polymer filled with barium or bismuth, in 1/mm."""
MU_TUBE = 0.10
"""Wall of a tube with its radiopaque stripe, averaged around it, in 1/mm."""

CONSOLIDATION_LEFT = 0.45
"""Probability that a consolidation lies in the left lung, the smaller one."""
NODULE_RADIUS_MM = (4.0, 15.0)
SPICULATED = 0.4
"""Probability that a nodule has spicules."""
OVERLOAD_WITH_EFFUSIONS = 0.35
"""Probability that small effusions on both sides come with fluid overload."""
PLATES = (1, 3)
"""Fewest and most plates of an atelectasis."""
PLATE_THICKNESS_MM = (1.5, 3.0)
PLATE_LENGTH_MM = (30.0, 80.0)
"""From side to side; less where the lung ends."""
PLATE_DEPTH_MM = (35.0, 60.0)
"""From front to back, along which rays pass through a plate."""
PLATE_TILT_DEGREES = 20.0
"""Largest slope of the plates in the coronal plane, to either side, but for a few degrees of each."""
PLATE_BOW = 0.06
"""Largest height of its bow, as a share of its length."""
PLATE_DENSITY = (0.8, 1.0)
"""How far the lung in a plate has lost its air."""
PLATE_ZONE = (0.62, 0.92)
"""Where the middle of a plate lies, as a share of the height of a lung as a film shows it, 0 at the apex."""
PACEMAKER_LEFT = 0.8
"""Probability that a pacemaker lies on the left side."""
CENTRAL_LINE_RIGHT = 0.7
"""Probability that a central line comes from the right side."""
TUBE_ABOVE_CARINA_MM = (25.0, 50.0)
"""Height of the tip of an endotracheal tube above the carina."""
CAN_TURN_DEGREES = 25.0
"""Largest turn of a pacemaker's can in the coronal plane, to either side."""
