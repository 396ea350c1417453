"""Cardiomegaly."""

import numpy as np

from data.findings import MU_FLUID
from data.simulation.volumes.anatomy import Anatomy, Change, between_lungs, corner_of

_ROOM_MM = np.array([44.0, 10.0, 16.0])
"""How far beyond the heart its enlargement may reach along x, y and z."""


def cardiomegaly(anatomy: Anatomy, rng: np.random.Generator) -> Change:
    """A wider heart: its shape stretched sideways, mostly to the left, into the lungs."""
    from scipy.ndimage import affine_transform, gaussian_filter

    stretch = rng.uniform(1.20, 1.40)
    lengthen = rng.uniform(1.0, 1.08)
    heart = anatomy.box("heart")
    start, stop = np.array([[part.start, part.stop] for part in heart]).T * anatomy.spacing
    box = anatomy.around(start - _ROOM_MM, stop + _ROOM_MM)
    # A blurred mask is smooth where it crosses one half: no voxel steps, no trabeculae.
    soft = gaussian_filter(anatomy.mask("heart", box=box).astype(np.float32), 4.0 / anatomy.spacing)
    # What stays in place: a sagittal plane right of the middle of the heart, and its middle height.
    fixed = (start + (stop - start) * (0.38, 0.5, 0.5)) / anatomy.spacing - corner_of(box)
    scale = np.array([1 / stretch, 1.0, 1 / lengthen])
    larger = affine_transform(soft, scale, fixed * (1 - scale), order=1, mode="nearest")
    weight = np.clip(3 * (larger - 0.5) + 0.5, 0, 1)
    slab = (slice(None), box[1], box[2])
    right, left = anatomy.lung("right", slab), anatomy.lung("left", slab)
    room = (right | left | between_lungs(right, left))[box[0]]
    return anatomy.fill(box, weight * room, MU_FLUID)
