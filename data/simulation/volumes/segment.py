"""The structures that findings need, in a CT whose label map lacks them or that has none."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.base.errors import DataError
from data.findings import LOBES, LUNGS, Side
from data.simulation.volumes.airways import find_airway, find_lungs, require_plausible, split_lobes
from data.simulation.volumes.anatomy import LUNG_HU, Lungs, Mask, Volume
from data.simulation.volumes.mediastinum import FINDERS, Chest
from data.simulation.volumes.totalsegmentator import NAMES, bone_mask

_FEW_BONES = 0.3


@dataclass(frozen=True, kw_only=True)
class Segmentation:
    """Labels `[X, Y, Z]`, numbered as `totalsegmentator.NAMES` says, and what is bone."""

    labels: NDArray[np.uint8]
    bones: Mask
    derived: tuple[str, ...]
    """Structures that the label map lacked and that were found in the CT itself."""


def segment(hu: Volume, body: Mask, spacing: float, labels: NDArray[np.uint8] | None = None) -> Segmentation:
    """Find what a label map lacks, by thresholds, morphology and the usual place of things.

    Lungs come from their air, lobes from the usual place of the fissures, trachea from the chain of round air
    through the axial slices, heart, hila, great veins and clavicles from landmarks of these. What cannot be
    found plausibly stays away, and so do the findings that need it; lungs must be there.

    Args:
        hu: HU, axes to the patient's left, front and head.
        body: the patient's voxels.
        spacing: side of a voxel in mm.
        labels: a label map numbered as `NAMES`, or None.

    Raises:
        DataError: if the lungs are not there or not plausible.
    """
    labels = np.zeros(hu.shape, dtype=np.uint8) if labels is None else labels.copy()
    found = _Found(labels)
    lungs_known = all(found.has(name) for name in LUNGS)
    airway = None
    try:
        airway = find_airway(hu, body, spacing)
    except DataError:
        if not lungs_known:
            raise
    if airway is None or lungs_known:
        lungs = _known_lungs(hu, labels, spacing)
    else:
        lungs = find_lungs(hu, body, airway, spacing)
        found.forget(LUNGS)
        for name, lobe in split_lobes(lungs).items():
            found.add(name, lobe)
    bones = bone_mask(labels)
    if airway is not None:
        found.add("trachea", airway.mask & ~lungs.both)
        chest = Chest(hu=hu, body=body, lungs=lungs, airway=airway, spacing=spacing)
        bones = _find_rest(chest, found, bones)
    return Segmentation(labels=labels, bones=bones, derived=tuple(found.derived))


class _Found:
    """A label map that grows by what it lacks; what it has is never changed."""

    def __init__(self, labels: NDArray[np.uint8]) -> None:
        self.labels = labels
        self.there = set(np.unique(labels).tolist())
        self.derived: list[str] = []

    def has(self, name: str) -> bool:
        return NAMES[name] in self.there

    def forget(self, names: tuple[str, ...]) -> None:
        numbers = [NAMES[name] for name in names]
        self.labels[np.isin(self.labels, numbers)] = 0
        self.there -= set(numbers)

    def add(self, name: str, mask: Mask) -> None:
        if self.has(name) or not (mask & (self.labels == 0)).any():
            return
        self.labels[mask & (self.labels == 0)] = NAMES[name]
        self.there.add(NAMES[name])
        self.derived.append(name)


def _known_lungs(hu: Volume, labels: NDArray[np.uint8], spacing: float) -> Lungs:
    """Lungs of the label map.

    Raises:
        DataError: where they are not filled with air, on the wrong side or of an implausible size.
    """
    masks: dict[Side, Mask] = {
        side: np.isin(labels, [NAMES[name] for name in lobes]) for side, lobes in LOBES.items()
    }
    lungs = Lungs(right=masks["right"], left=masks["left"])
    for side, mask in masks.items():
        if np.median(hu[mask]) > LUNG_HU:
            raise DataError(f"the label map's {side} lung holds no air")
    middle = {side: float(np.flatnonzero(mask.any(axis=(1, 2))).mean()) for side, mask in masks.items()}
    if middle["right"] > middle["left"]:
        raise DataError("the label map's lungs are on the wrong sides")
    require_plausible(lungs, spacing)
    return lungs


def _find_rest(chest: Chest, found: _Found, bones: Mask) -> Mask:
    """Add heart, hila, veins and clavicles where they lack; returns the bones.

    A label map of few bones, such as lungs and heart only, does not say what else is dense.
    """
    if (bones & chest.bones).sum() < _FEW_BONES * chest.bones.sum():
        bones = bones | chest.bones
    for names, find in FINDERS.items():
        # A vein drawn beside a labelled one would not meet it: a group comes whole from one source.
        if not all(found.has(name) for name in names) and (regions := find(chest)):
            found.forget(names)
            for name, region in regions.items():
                found.add(name, region)
    return bones
