"""Findings of the pleural space: effusion and pneumothorax."""

import numpy as np

from data.findings import LOBES, MU_FLUID, Side
from data.simulation.shapes import draw_side, ramp, spline_field
from data.simulation.volumes.anatomy import Anatomy, Change, Volume, between_lungs, corner_of, crop_change

_PLEURAL_LINE = 0.0044
"""Attenuation times thickness of the visceral pleura where it is seen edge-on; dimensionless."""


def effusion(anatomy: Anatomy, rng: np.random.Generator) -> Change:
    """Free fluid of an upright patient on one side.

    It blunts the costophrenic angle and climbs the lateral wall (meniscus).
    """
    height = rng.uniform(20, 34)
    return fluid_layer(anatomy, draw_side(rng), depth=rng.uniform(70, 130), height=height)


def fluid_layer(anatomy: Anatomy, side: Side, *, depth: float, height: float) -> Change:
    """Fluid between lung and wall, thinning exponentially upwards from the lowest point of the lung.

    Args:
        anatomy: the thorax.
        side: the side.
        depth: thickness in mm at the lowest point, before the film of 4 mm that the lung's recoil empties.
        height: rise in mm over which the thickness falls by a factor of e; less of it at the mediastinum and
            more at the side of the chest, where films show the meniscus.
    """
    box = anatomy.box(*LOBES[side])
    x, _, z = anatomy.axes_in(box)
    lateral = (x - x.min()) / np.ptp(x)
    lateral = lateral if side == "left" else 1 - lateral
    rise = height * (0.7 + 0.6 * lateral)
    thickness = depth * np.exp(-(z - z.min()) / rise.astype(np.float32)) - 4.0
    weight = ramp(thickness - anatomy.wall_depth[box], 3.0) * (thickness > 0)
    weight = weight * anatomy.lung(side, box)
    return anatomy.fill(box, weight, MU_FLUID)


def pneumothorax(anatomy: Anatomy, rng: np.random.Generator) -> Change:
    """Air between lung and wall at apex and side of an upright patient.

    Outside the visceral pleura, a thin line, all markings are gone; the lung inside it is a little denser.
    """
    side = draw_side(rng)
    box = anatomy.box(*LOBES[side])
    x, y, z = anatomy.axes_in(box)
    lung, mu = anatomy.lung(side, box), anatomy.mu[box]
    depth = _coronal_depth(anatomy)[box[0], None, box[2]]
    height = (z - z.min()) / np.ptp(z)
    gap = rng.uniform(18, 44) * (0.25 + 0.75 * height) + spline_field((x, z), 60.0, 4.0, rng)[:, None, :]
    # The collapsed lung is rounded: its edge is a line on the film only where rays graze it.
    gap = gap * (1 + 0.25 * ((y - y.mean()) / (np.ptp(y) / 2)) ** 2)
    outside = ramp(gap - depth, anatomy.spacing) * lung
    pleura = np.clip(1 - np.abs(depth - gap) / anatomy.spacing, 0, 1) / anatomy.spacing
    collapsed = rng.uniform(1.02, 1.05)
    inside = (collapsed - 1) * mu + _PLEURAL_LINE * pleura
    delta = np.where(outside > 0, -outside * mu, 0) + (1 - outside) * inside * lung
    return crop_change(delta.astype(np.float32), corner_of(box))


def _coronal_depth(anatomy: Anatomy) -> Volume:
    """Distance `[X, Z]` in mm to the side or the apex of the chest, as seen from the front."""
    from scipy.ndimage import distance_transform_edt

    right = np.asarray(anatomy.lung("right").any(axis=1, keepdims=True))
    left = np.asarray(anatomy.lung("left").any(axis=1, keepdims=True))
    inside = right | left | between_lungs(right, left)
    # Whatever lies below the apex counts as inside, so that the diaphragm is no wall.
    inside = np.logical_or.accumulate(inside[..., ::-1], axis=2)[..., ::-1]
    return distance_transform_edt(inside[:, 0], sampling=anatomy.spacing).astype(np.float32)
