"""Findings of the lung itself: consolidation, nodule, fluid overload."""

import numpy as np

from data import findings
from data.findings import LOBES, LUNGS, MU_FLUID, Side
from data.simulation.findings.volume.pleura import fluid_layer
from data.simulation.shapes import draw_side, ramp, spline_field
from data.simulation.volumes.anatomy import Anatomy, Change, Point, Volume, crop_change
from data.simulation.volumes.shapes import distance_from, sum_changes, tube


def consolidation(anatomy: Anatomy, rng: np.random.Generator) -> Change:
    """Air spaces of part of a lobe filled with fluid: ill-defined, patchy, ending sharply at the fissure.

    The large bronchi stay open and show as dark branches (air bronchogram).
    """
    side = draw_side(rng, findings.CONSOLIDATION_LEFT)
    lobes = LOBES[side]
    whole = anatomy.box(*lobes)
    points = anatomy.points(anatomy.mask(*lobes, box=whole) & (anatomy.mu[whole] < 0.5 * MU_FLUID), whole)
    centre = points[rng.integers(len(points))]
    voxel = np.round(centre / anatomy.spacing).astype(int)
    lobe = anatomy.labels[voxel[0], voxel[1], voxel[2]]
    radius = rng.uniform(24, 42)
    box = anatomy.around(centre - 1.5 * radius, centre + 1.5 * radius)
    axes = anatomy.axes_in(box)
    outline = radius * (1 + spline_field(axes, 26.0, 0.7, rng)) - distance_from(axes, centre)
    filled = rng.uniform(0.65, 0.95) * np.clip(1 + spline_field(axes, 8.0, 0.7, rng), 0.3, 1)
    weight = ramp(outline, rng.uniform(6, 12)) * filled * (anatomy.labels[box] == lobe)
    solid = anatomy.fill(box, weight, MU_FLUID)
    delta = solid.on_grid(anatomy.mu.shape)
    _open_bronchi(delta, anatomy, anatomy.hilum(side), centre, radius, rng)
    return crop_change(delta[solid.box], solid.corner)


def _open_bronchi(
    delta: Volume, anatomy: Anatomy, root: Point, centre: Point, radius: float, rng: np.random.Generator
) -> None:
    for _ in range(int(rng.integers(3, 7))):
        end = centre + rng.normal(0, 0.5 * radius, 3)
        bend = (root + end) / 2 + rng.normal(0, 5, 3)
        weight, box = tube(anatomy, np.stack([root, bend, end]), rng.uniform(1.5, 2.5))
        delta[box] *= 1 - 0.9 * weight


def nodule(anatomy: Anatomy, rng: np.random.Generator) -> Change:
    """A round or lobulated mass inside a lung, sometimes with spicules.

    It lies where the lung is deep enough for a reader to see it, not in the shadow of heart or diaphragm.
    """
    least, most = findings.NODULE_RADIUS_MM
    radius = least + (most - least) * rng.beta(3.0, 1.5)
    chest = anatomy.box(*LUNGS)
    lungs = anatomy.mask(*LUNGS, box=chest)
    thickness = lungs.sum(axis=1, keepdims=True)
    visible = lungs & (thickness > np.quantile(thickness[thickness > 0], 0.35))
    visible &= (anatomy.wall_depth[chest] > min(radius, 10.0)) & (anatomy.mu[chest] < 0.5 * MU_FLUID)
    points = anatomy.points(visible, chest)
    centre = points[rng.integers(len(points))]
    reach = 2.2 * radius + 4
    box = anatomy.around(centre - reach, centre + reach)
    axes = anatomy.axes_in(box)
    outline = radius * (1 + spline_field(axes, max(radius, 6.0), 0.35, rng)) - distance_from(axes, centre)
    weight = np.zeros_like(anatomy.mu)
    weight[box] = ramp(outline, anatomy.spacing)
    if rng.random() < findings.SPICULATED:
        for _ in range(int(rng.integers(8, 16))):
            direction = rng.normal(size=3)
            end = centre + direction / np.linalg.norm(direction) * radius * rng.uniform(1.4, 2.0)
            spicule, part = tube(anatomy, [centre, end], 0.8)
            weight[part] = np.maximum(weight[part], 0.7 * spicule)
    return anatomy.fill(box, weight[box], MU_FLUID)


def fluid_overload(anatomy: Anatomy, rng: np.random.Generator) -> Change:
    """Pulmonary oedema: bat-wing haze around both hila, wide upper vessels, septal lines.

    At times small effusions on both sides come with it.
    """
    reach = rng.uniform(34, 50)
    severity = rng.uniform(0.28, 0.48)
    weight = np.zeros_like(anatomy.mu)
    for side in LOBES:
        _bat_wing(weight, anatomy, side, reach * rng.uniform(0.9, 1.1), severity, rng)
        _septal_lines(weight, anatomy, side, rng)
    _cephalise(weight, anatomy, rng)
    chest = anatomy.box(*LUNGS)
    changes = [anatomy.fill(chest, weight[chest] * anatomy.mask(*LUNGS, box=chest), MU_FLUID)]
    if rng.random() < findings.OVERLOAD_WITH_EFFUSIONS:
        oedema = anatomy.with_change(changes[0])
        changes += [fluid_layer(oedema, side, depth=45.0, height=rng.uniform(13, 18)) for side in LOBES]
    return sum_changes(changes)


def _bat_wing(
    weight: Volume, anatomy: Anatomy, side: Side, reach: float, severity: float, rng: np.random.Generator
) -> None:
    centre = anatomy.hilum(side)
    box = anatomy.around(centre - 2 * reach, centre + 2 * reach)
    x, y, z = anatomy.axes_in(box)
    distance = np.sqrt((x - centre[0]) ** 2 + ((y - centre[1]) / 1.2) ** 2 + ((z - centre[2]) / 1.25) ** 2)
    outline = reach * (1 + spline_field((x, y, z), 30.0, 0.4, rng)) - distance
    patches = np.clip(1 + spline_field((x, y, z), 9.0, 0.8, rng), 0.3, 1.5)
    weight[box] = np.maximum(weight[box], severity * ramp(outline, 10.0) * patches)


def _cephalise(weight: Volume, anatomy: Anatomy, rng: np.random.Generator) -> None:
    """Upper vessels carry more blood: a sleeve around those that are there."""
    from scipy.ndimage import grey_dilation

    chest = anatomy.box(*LUNGS)
    start = round(float(anatomy.centre("pulmonary_vein")[2]) / anatomy.spacing)
    box = (chest[0], chest[1], slice(start, start + round(70 / anatomy.spacing)))
    vessels = np.clip((anatomy.mu[box] * anatomy.mask(*LUNGS, box=box) - 0.008) / 0.008, 0, 1)
    deep = anatomy.wall_depth[box] > 15
    sleeve = grey_dilation(vessels, size=3) * deep * rng.uniform(0.3, 0.5)
    weight[box] = np.maximum(weight[box], sleeve)


def _septal_lines(weight: Volume, anatomy: Anatomy, side: Side, rng: np.random.Generator) -> None:
    """Kerley B lines: short horizontal plates that meet the lateral wall above the costophrenic angle."""
    box = anatomy.box(*LOBES[side])
    lung, depth = anatomy.lung(side, box), anatomy.wall_depth[box]
    x, y, _ = anatomy.axes_in(box)
    middle = anatomy.centre(*LOBES[side])
    plate = (np.abs(y - middle[1]) < 25) & ((x > middle[0]) if side == "left" else (x < middle[0]))
    low = round(0.2 * lung.shape[2])
    lines = np.zeros_like(depth)
    for level in low + np.arange(int(rng.integers(3, 7))) * round(9 / anatomy.spacing):
        lines[..., level] = 0.13 * (
            lung[..., level] & (depth[..., level] < rng.uniform(14, 20)) & plate[..., 0]
        )
    weight[box] = np.maximum(weight[box], lines)
