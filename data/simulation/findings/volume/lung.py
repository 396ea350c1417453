"""Findings of the lung itself: consolidation, nodule, fluid overload."""

from __future__ import annotations

import numpy as np

from data.simulation.findings.volume.pleura import fluid_layer
from data.simulation.findings.volume.shapes import (
    Point,
    box_around,
    box_corner,
    crop_axes,
    fill,
    hilum,
    smooth_path,
    sum_changes,
    tube,
)
from data.simulation.volumes.anatomy import LOBES, LUNGS, MU_FLUID, Anatomy, Change, Side, Volume, crop_change
from data.simulation.volumes.smooth import ramp, spline_field


def consolidation(anatomy: Anatomy, rng: np.random.Generator) -> Change:
    """Air spaces of part of a lobe filled with fluid: ill-defined, patchy, ending sharply at the fissure.

    The large bronchi stay open and show as dark branches (air bronchogram).
    """
    side: Side = "left" if rng.random() < 0.45 else "right"
    lobes = LOBES[side]
    whole = anatomy.box(*lobes)
    points = anatomy.points(anatomy.mask(*lobes, box=whole) & (anatomy.mu[whole] < 0.5 * MU_FLUID), whole)
    centre = points[rng.integers(len(points))]
    voxel = np.round(centre / anatomy.spacing).astype(int)
    lobe = anatomy.labels[voxel[0], voxel[1], voxel[2]]
    radius = rng.uniform(24, 42)
    box = box_around(anatomy, centre - 1.5 * radius, centre + 1.5 * radius)
    axes = crop_axes(anatomy, box)
    distance = np.sqrt(sum(((axis - at) ** 2 for axis, at in zip(axes, centre, strict=True)), np.float32(0)))
    outline = radius * (1 + spline_field(axes, 26.0, 0.7, rng)) - distance
    filled = rng.uniform(0.65, 0.95) * np.clip(1 + spline_field(axes, 8.0, 0.7, rng), 0.3, 1)
    weight = ramp(outline, rng.uniform(6, 12)) * filled * (anatomy.labels[box] == lobe)
    delta = np.zeros_like(anatomy.mu)
    delta[box] = fill(anatomy.mu[box], weight, MU_FLUID)
    _open_bronchi(delta, anatomy, hilum(anatomy, side), centre, radius, rng)
    return crop_change(delta[box], box_corner(box))


def _open_bronchi(
    delta: Volume, anatomy: Anatomy, root: Point, centre: Point, radius: float, rng: np.random.Generator
) -> None:
    for _ in range(int(rng.integers(3, 7))):
        end = centre + rng.normal(0, 0.5 * radius, 3)
        bend = (root + end) / 2 + rng.normal(0, 5, 3)
        weight, box = tube(
            anatomy, smooth_path(np.stack([root, bend, end]), anatomy.spacing / 2), rng.uniform(1.5, 2.5)
        )
        delta[box] *= 1 - 0.9 * weight


def nodule(anatomy: Anatomy, rng: np.random.Generator) -> Change:
    """A round or lobulated mass of 8 to 30 mm inside a lung, sometimes with spicules.

    It lies where the lung is deep enough for a reader to see it, not in the shadow of heart or diaphragm.
    """
    radius = 4 + 11 * rng.beta(3.0, 1.5)
    chest = anatomy.box(*LUNGS)
    lungs = anatomy.mask(*LUNGS, box=chest)
    thickness = lungs.sum(axis=1, keepdims=True)
    visible = lungs & (thickness > np.quantile(thickness[thickness > 0], 0.35))
    visible &= (anatomy.wall_depth[chest] > min(radius, 10.0)) & (anatomy.mu[chest] < 0.5 * MU_FLUID)
    points = anatomy.points(visible, chest)
    centre = points[rng.integers(len(points))]
    reach = 2.2 * radius + 4
    box = box_around(anatomy, centre - reach, centre + reach)
    axes = crop_axes(anatomy, box)
    distance = np.sqrt(sum(((axis - at) ** 2 for axis, at in zip(axes, centre, strict=True)), np.float32(0)))
    outline = radius * (1 + spline_field(axes, max(radius, 6.0), 0.35, rng)) - distance
    weight = ramp(outline, anatomy.spacing)
    if rng.random() < 0.4:
        for _ in range(int(rng.integers(8, 16))):
            direction = rng.normal(size=3)
            end = centre + direction / np.linalg.norm(direction) * radius * rng.uniform(1.4, 2.0)
            spicule, part = tube(anatomy, smooth_path([centre, end], anatomy.spacing / 2), 0.8)
            _raise(weight, box_corner(box), 0.7 * spicule, box_corner(part))
    return crop_change(fill(anatomy.mu[box], weight, MU_FLUID), box_corner(box))


def _raise(weight: Volume, corner: tuple[int, int, int], other: Volume, at: tuple[int, int, int]) -> None:
    """Raise `weight` to `other` where the two boxes overlap."""
    first = np.maximum(corner, at)
    last = np.minimum(np.add(corner, weight.shape), np.add(at, other.shape))
    if (last <= first).any():
        return
    mine = tuple(slice(a, b) for a, b in zip(first - np.array(corner), last - np.array(corner), strict=True))
    theirs = tuple(slice(a, b) for a, b in zip(first - np.array(at), last - np.array(at), strict=True))
    np.maximum(weight[mine], other[theirs], out=weight[mine])


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
    wet = fill(anatomy.mu[chest], weight[chest] * anatomy.mask(*LUNGS, box=chest), MU_FLUID)
    changes = [crop_change(wet, box_corner(chest))]
    if rng.random() < 0.35:
        oedema = anatomy.with_change(changes[0])
        changes += [fluid_layer(oedema, side, depth=45.0, height=rng.uniform(13, 18)) for side in LOBES]
    return sum_changes(changes)


def _bat_wing(
    weight: Volume, anatomy: Anatomy, side: Side, reach: float, severity: float, rng: np.random.Generator
) -> None:
    centre = hilum(anatomy, side)
    box = box_around(anatomy, centre - 2 * reach, centre + 2 * reach)
    x, y, z = crop_axes(anatomy, box)
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
    lung, depth = anatomy.mask(*LOBES[side], box=box), anatomy.wall_depth[box]
    x, y, _ = crop_axes(anatomy, box)
    middle = anatomy.centre(*LOBES[side])
    plate = (np.abs(y - middle[1]) < 25) & ((x > middle[0]) if side == "left" else (x < middle[0]))
    low = round(0.2 * lung.shape[2])
    lines = np.zeros_like(depth)
    for level in low + np.arange(int(rng.integers(3, 7))) * round(9 / anatomy.spacing):
        lines[..., level] = 0.13 * (
            lung[..., level] & (depth[..., level] < rng.uniform(14, 20)) & plate[..., 0]
        )
    weight[box] = np.maximum(weight[box], lines)
