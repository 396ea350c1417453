"""Heart, hila, great veins and bones of a CT without a label map, from landmarks of lungs and trachea.

Soft tissue without contrast agent shows no borders inside the mediastinum. These regions say where a
structure usually lies; they are checked for plausibility, and whoever needs millimetres gives a label map.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from data.findings import Side
from data.simulation.shapes import largest_piece
from data.simulation.volumes.airways import Airway
from data.simulation.volumes.anatomy import Box, Lungs, Mask, Volume, between_lungs, bounding_box

_SOFT_HU = 0.0
_BONE_HU = 180.0
_MARROW_HU = 50.0
_REFERENCE_MM = (254.0, 180.0, 260.0)
"""Width, depth and height of the chest in which the offsets below were measured."""
_HEART_BELOW_DOME_MM = 32.0
_HEART_ML = (150.0, 1500.0)
_HILUM_MM = (45.0, 8.0, 8.0)
_HILUM_BELOW_CARINA_MM = 36.0
# Offsets from the carina, to the left, to the front and to the head.
_CAVA_MM = ((-15.0, 26.0, -45.0), (-17.0, 25.0, -10.0), (-17.0, 28.0, 22.0))
_VEINS_MM: dict[Side, tuple[tuple[float, float, float], ...]] = {
    "right": ((-17.0, 28.0, 24.0), (-20.0, 36.0, 44.0), (-24.0, 36.0, 62.0)),
    "left": ((-15.0, 30.0, 24.0), (8.0, 42.0, 40.0), (24.0, 43.0, 52.0), (36.0, 42.0, 66.0)),
}
_CAVA_RADIUS_MM, _VEIN_RADIUS_MM = 8.0, 5.0
_SOFT_SHARE = 0.7
_SPINE_MM = -22.0
"""Front of the spine relative to the carina, to the front."""
_STERNUM = 0.62
"""Where the sternum begins, as a share of the way from the carina to the front of the lungs."""
_CENTRAL_MM = 75.0
_CLAVICLE_ML = (3.0, 60.0)


@dataclass(frozen=True, kw_only=True)
class Chest:
    """What the regions are found from; every mask and volume is `[X, Y, Z]`."""

    hu: Volume
    body: Mask
    lungs: Lungs
    airway: Airway
    spacing: float

    @cached_property
    def box(self) -> Box:
        """Smallest box that holds both lungs."""
        return bounding_box(self.lungs.both)

    @property
    def size_mm(self) -> NDArray[np.float64]:
        """Extent of both lungs together along each axis."""
        return np.array([part.stop - part.start for part in self.box]) * self.spacing

    def at(self, offset: tuple[float, float, float]) -> NDArray[np.float64]:
        """Position in mm of an offset from the carina, scaled to this chest."""
        return self.airway.carina + np.array(offset) * self.size_mm / np.array(_REFERENCE_MM)

    def grid(self) -> tuple[Volume, Volume, Volume]:
        """Positions in mm relative to the carina, broadcastable to the volume."""
        x, y, z = np.ogrid[tuple(slice(0, count) for count in self.hu.shape)]
        axes = (axis.astype(np.float32) * self.spacing for axis in (x, y, z))
        x, y, z = (axis - at for axis, at in zip(axes, self.airway.carina, strict=True))
        return x, y, z

    @cached_property
    def core(self) -> Mask:
        """Soft tissue between the lungs, in front of the spine and behind the sternum's inner third."""
        inside = between_lungs(self.lungs.right, self.lungs.left) & self.body & ~self.airway.mask
        _, y, _ = self.grid()
        return inside & (y > _SPINE_MM)

    @property
    def front(self) -> float:
        """Distance in mm from the carina to the front of the lungs."""
        return self.box[1].stop * self.spacing - float(self.airway.carina[1])

    def millilitres(self, mask: Mask) -> float:
        """Volume of a mask."""
        return float(mask.sum()) * self.spacing**3 / 1000

    @cached_property
    def bones(self) -> Mask:
        """Dense tissue outside the lungs and the mediastinum, and of the mediastinum the sternum.

        Dense vessels elsewhere, as under the clavicle where contrast agent was injected, count as bone.
        """
        dense = ndimage.binary_closing(self.hu > _BONE_HU, iterations=max(1, round(4 / self.spacing)))
        dense &= (self.hu > _MARROW_HU) & self.body & ~self.lungs.both
        x, y, z = self.grid()
        # Heart and upper abdomen below the lungs' rows: nothing there is bone either.
        central = (np.abs(x) < _CENTRAL_MM) & (y > _SPINE_MM) & (y < _STERNUM * self.front) & (z < 0)
        core = self.core | central
        pieces, count = ndimage.label(dense & core)
        every = np.arange(1, count + 1)
        depth = ndimage.mean(np.broadcast_to(y, dense.shape), pieces, every) if count else np.empty(0)
        sternum = np.isin(pieces, 1 + np.flatnonzero(np.asarray(depth) > _STERNUM * self.front))
        return (dense & ~core) | sternum


def heart_region(chest: Chest) -> dict[str, Mask]:
    """Soft tissue between the lungs from the carina to below the dome of the right diaphragm.

    Empty where its volume is not that of a heart.
    """
    x, y, z = chest.grid()
    right = chest.lungs.right
    lowest = right.argmax(axis=2)[right.any(axis=2)]
    dome = float(np.quantile(lowest, 0.9)) * chest.spacing - chest.airway.carina[2]
    # Below the dome the liver takes the right and the spine's side, above the atria the great vessels do.
    below, above = np.clip(dome - z, 0, None), np.clip(z + 45.0, 0, None)
    region = chest.core & (ndimage.gaussian_filter(chest.hu, 1.0) > _SOFT_HU)
    region &= (z < 0) & (z > dome - _HEART_BELOW_DOME_MM)
    region &= (y > -16.0 + 0.9 * below) & (x > -34.0 + 1.4 * below + 1.3 * above)
    region = ndimage.binary_opening(region, iterations=max(1, round(5 / chest.spacing)))
    heart = largest_piece(region)
    return {"heart": heart} if _HEART_ML[0] <= chest.millilitres(heart) <= _HEART_ML[1] else {}


def hilar_region(chest: Chest) -> dict[str, Mask]:
    """Where the pulmonary veins enter the heart: soft tissue between the hila, below the carina."""
    x, y, z = chest.grid()
    across, deep, high = _HILUM_MM
    region = chest.core & (np.abs(x) < across) & (np.abs(y + 2.0) < deep)
    region &= np.abs(z + _HILUM_BELOW_CARINA_MM * chest.size_mm[2] / _REFERENCE_MM[2]) < high
    return {"pulmonary_vein": region} if region.any() else {}


def great_veins(chest: Chest) -> dict[str, Mask]:
    """Superior vena cava and brachiocephalic veins as tubes on their usual course.

    Empty unless most of every tube runs through soft tissue that is neither lung nor airway.
    """
    veins = {"superior_vena_cava": _tube(chest, _CAVA_MM, _CAVA_RADIUS_MM)}
    for side, course in _VEINS_MM.items():
        veins[f"brachiocephalic_vein_{side}"] = _tube(chest, course, _VEIN_RADIUS_MM)
    solid = chest.body & ~chest.lungs.both & ~chest.airway.mask
    for name, vein in veins.items():
        if not vein.any() or (vein & solid).sum() < _SOFT_SHARE * vein.sum():
            return {}
        veins[name] = vein & solid
    return veins


def _tube(chest: Chest, course: tuple[tuple[float, float, float], ...], radius: float) -> Mask:
    points = np.array([chest.at(offset) for offset in course])
    steps = np.linspace(0, len(points) - 1, 60)
    path = np.stack([np.interp(steps, np.arange(len(points)), axis) for axis in points.T], axis=1)
    index = np.round(path / chest.spacing).astype(int)
    away = np.ones(chest.hu.shape, dtype=bool)
    inside = ((index >= 0) & (index < away.shape)).all(axis=1)
    away[tuple(index[inside].T)] = False
    if away.all():
        return ~away
    box = bounding_box(~away, margin=int(radius / chest.spacing) + 2)
    tube = np.zeros_like(away)
    tube[box] = ndimage.distance_transform_edt(away[box]) * chest.spacing <= radius
    return tube


def clavicles(chest: Chest) -> dict[str, Mask]:
    """The uppermost bone in front of the apices on each side.

    Empty unless both have a plausible and similar volume.
    """
    x, y, z = chest.grid()
    top = chest.box[2].stop * chest.spacing - chest.airway.carina[2]
    front = chest.bones & (z > top - 32.0) & (z < top + 35.0) & (y > 0.0) & (np.abs(x) < 90.0)
    found = {}
    for side, sign in (("left", 1), ("right", -1)):
        part = front & (sign * x > 12.0)
        seen = part.any(axis=1)
        highest = np.where(seen.any(axis=1), seen.shape[1] - 1 - seen[:, ::-1].argmax(axis=1), -1)
        level = np.arange(part.shape[2])[None, :] * chest.spacing
        slab = level > highest[:, None] * chest.spacing - 16.0
        found[f"clavicula_{side}"] = part & slab[:, None, :]
    volumes = [chest.millilitres(bone) for bone in found.values()]
    low, high = _CLAVICLE_ML
    plausible = all(low <= volume <= high for volume in volumes) and max(volumes) < 3 * min(volumes)
    return found if plausible else {}


FINDERS: Mapping[tuple[str, ...], Callable[[Chest], dict[str, Mask]]] = {
    ("superior_vena_cava", "brachiocephalic_vein_left", "brachiocephalic_vein_right"): great_veins,
    ("pulmonary_vein",): hilar_region,
    ("heart",): heart_region,
    ("clavicula_left", "clavicula_right"): clavicles,
}
"""What finds the structures that belong together; a finder gives all of them or none."""
