"""Findings of the lung itself: consolidation, nodule, fluid overload."""

import numpy as np

from data import findings
from data.findings import MU_LUNG_TO_FLUID, Side
from data.simulation.drawing.chest import Chest
from data.simulation.drawing.frame import SIDES, Frame, Point
from data.simulation.films import Plane
from data.simulation.findings.film.pleura import fluid_layer
from data.simulation.shapes import draw_side, ramp


def consolidation(chest: Chest, rng: np.random.Generator) -> Plane:
    """Air spaces of part of a lung filled with fluid: ill-defined and patchy, at times ending at a fissure.

    The large bronchi stay open and show as dark branches (air bronchogram).
    """
    frame = chest.frame
    side = chest.side_with_air(draw_side(rng, findings.CONSOLIDATION_LEFT))
    centre = chest.place(side, 12.0, rng)
    radius = rng.uniform(20, 38)
    outline = radius * (1 + frame.texture(18.0, 0.6, rng)) - frame.distance_from(centre)
    weight = ramp(outline, rng.uniform(14, 22))
    if rng.random() < 0.4:
        weight = weight * _beside_fissure(frame, centre, radius, rng)
    patches = np.clip(1 + frame.texture(8.0, 0.9, rng) + frame.texture(3.5, 0.3, rng), 0.25, 1.6)
    path = np.minimum(frame.air_path, 1.8 * radius) * rng.uniform(0.75, 1.1)
    added = MU_LUNG_TO_FLUID * path * weight * patches * frame.inside(side, 4.0)
    return chest.limit(added * _open_bronchi(frame, frame.hilum(side), centre, radius, rng))


def _beside_fissure(frame: Frame, centre: Point, radius: float, rng: np.random.Generator) -> Plane:
    """1 on one side of a nearly horizontal line close to the centre, 0 on the other."""
    tilt = np.deg2rad(rng.uniform(-15, 15))
    across = (frame.rows - centre[0]) * np.cos(tilt) + (frame.columns - centre[1]) * np.sin(tilt)
    sign = 1 if rng.random() < 0.5 else -1
    return ramp(sign * across + rng.uniform(0.2, 0.6) * radius, max(2.5, frame.pixel))


def _open_bronchi(frame: Frame, root: Point, centre: Point, radius: float, rng: np.random.Generator) -> Plane:
    """What is left of the fluid where bronchi run from the hilum into the consolidation, in [0, 1]."""
    left = np.ones((frame.rows.size, frame.columns.size), dtype=np.float32)
    for _ in range(int(rng.integers(3, 6))):
        end = np.array(centre) + rng.normal(0, 0.55 * radius, 2)
        bend = (np.array(root) + end) / 2 + rng.normal(0, 5, 2)
        caliber = rng.uniform(1.1, 1.9)
        open_air = frame.chord(frame.course([root, tuple(bend), tuple(end)]), caliber) / (2 * caliber)
        left = np.minimum(left, 1 - 0.35 * open_air)
    return left


def nodule(chest: Chest, rng: np.random.Generator) -> Plane:
    """A round or lobulated mass inside a lung, sometimes with spicules.

    What is added is the chord of a ball: dense in the middle, fading at the rim.
    """
    frame = chest.frame
    least, most = findings.NODULE_RADIUS_MM
    radius = least + (most - least) * rng.beta(2.5, 1.5)
    side = chest.side_with_air(SIDES[int(rng.integers(2))])
    centre = chest.place(side, radius + 3, rng)
    radius = min(radius, 0.5 * float(frame.depth[side].max()))
    lobes = 1 + frame.texture(max(radius, 5.0), 0.3, rng)
    path = 2 * np.sqrt(np.clip((radius * lobes) ** 2 - frame.distance_from(centre) ** 2, 0, None))
    if rng.random() < findings.SPICULATED:
        for _ in range(int(rng.integers(7, 14))):
            angle = rng.uniform(0, 2 * np.pi)
            end = np.array(centre) + radius * rng.uniform(1.3, 1.8) * np.array([np.sin(angle), np.cos(angle)])
            path = np.maximum(path, frame.chord(frame.course([centre, tuple(end)]), 0.7) * 1.5)
    seen = frame.inside(side, 2.0, beyond=2.0) * chest.aerated
    return (1.25 * MU_LUNG_TO_FLUID * path * seen).astype(np.float32)


def fluid_overload(chest: Chest, rng: np.random.Generator) -> Plane:
    """Pulmonary oedema: bat-wing haze around both hila, wide upper vessels, septal lines.

    At times small effusions on both sides come with it.
    """
    frame = chest.frame
    severity = rng.uniform(0.18, 0.34)
    reach = rng.uniform(34, 48)
    added = np.zeros((frame.rows.size, frame.columns.size), dtype=np.float32)
    for side in SIDES:
        haze = _bat_wing(frame, side, reach * rng.uniform(0.9, 1.1), rng)
        wet = severity * MU_LUNG_TO_FLUID * np.minimum(frame.air_path, 120.0) * haze
        vessels = 0.6 * MU_LUNG_TO_FLUID * _upper_vessels(frame, side, rng)
        added += (wet + vessels + _septal_lines(frame, side, rng)) * frame.inside(side, 3.0)
    if rng.random() < findings.OVERLOAD_WITH_EFFUSIONS:
        for side in SIDES:
            added = np.maximum(added, fluid_layer(chest, side, rng.uniform(28, 40), rng))
    return chest.limit(added)


def _bat_wing(frame: Frame, side: Side, reach: float, rng: np.random.Generator) -> Plane:
    row, column = frame.hilum(side)
    distance = np.hypot((frame.rows - row) / 1.3, frame.columns - column)
    outline = reach * (1 + frame.texture(26.0, 0.4, rng)) - distance
    patches = np.clip(1 + frame.texture(7.0, 0.7, rng) + frame.texture(2.5, 0.4, rng), 0.3, 1.7)
    return ramp(outline, 40.0) * patches


def _upper_vessels(frame: Frame, side: Side, rng: np.random.Generator) -> Plane:
    """Path in mm through upper-zone vessels that carry more blood: they fan out and thin from the hilum."""
    root = np.array(frame.hilum(side))
    path = np.zeros((frame.rows.size, frame.columns.size), dtype=np.float32)
    for _ in range(int(rng.integers(3, 6))):
        angle = np.deg2rad(rng.uniform(-10, 55))
        along = np.array([-np.cos(angle), frame.outward(side) * np.sin(angle)])
        length = rng.uniform(30, 55)
        bend = root + along * 0.55 * length + rng.normal(0, 3, 2)
        end = root + along * length
        wide, thin = rng.uniform(1.5, 2.2), rng.uniform(0.9, 1.3)
        path = np.maximum(path, frame.chord(frame.course([tuple(root), tuple(bend)]), wide))
        path = np.maximum(path, frame.chord(frame.course([tuple(bend), tuple(end)]), thin))
    return path


def _septal_lines(frame: Frame, side: Side, rng: np.random.Generator) -> Plane:
    """Kerley B lines: short horizontal lines that meet the lateral wall above the costophrenic angle."""
    added = np.zeros((frame.rows.size, frame.columns.size), dtype=np.float32)
    start = rng.uniform(0.62, 0.68)
    for number in range(int(rng.integers(4, 8))):
        row, lateral, medial = frame.at(side, start + 0.04 * number)
        inward = np.sign(medial - lateral)
        tip = (row + rng.uniform(-2, 2), lateral + inward * rng.uniform(12, 19))
        line = frame.chord(frame.course([(row, lateral), tip]), 0.6)
        added = np.maximum(added, np.float32(0.15) * line)
    return added
