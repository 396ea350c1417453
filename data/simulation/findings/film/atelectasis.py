"""Plate-like atelectasis."""

import numpy as np

from data import findings
from data.findings import MU_LUNG_TO_FLUID, Side
from data.simulation.drawing.chest import Chest
from data.simulation.drawing.frame import Frame
from data.simulation.films import Plane
from data.simulation.shapes import draw_side


def atelectasis(chest: Chest, rng: np.random.Generator) -> Plane:
    """Thin plates of collapsed lung above one diaphragm, seen edge-on: nearly flat lines."""
    frame = chest.frame
    side = draw_side(rng)
    least, most = findings.PLATES
    slope = rng.uniform(-1, 1) * findings.PLATE_TILT_DEGREES
    count = int(rng.integers(least, most + 1))
    plates = [_plate(frame, side, slope + rng.uniform(-4, 4), rng) for _ in range(count)]
    path: Plane = np.minimum(np.max(plates, axis=0), frame.air_path)
    return chest.limit(np.float32(MU_LUNG_TO_FLUID) * path * frame.inside(side, 2.0))


def _plate(frame: Frame, side: Side, slope: float, rng: np.random.Generator) -> Plane:
    """Path in mm of the rays through the collapsed lung of a plate; its slope is in degrees."""
    length, depth = rng.uniform(*findings.PLATE_LENGTH_MM), rng.uniform(*findings.PLATE_DEPTH_MM)
    thickness, filled = rng.uniform(*findings.PLATE_THICKNESS_MM), rng.uniform(*findings.PLATE_DENSITY)
    row, lateral, medial = frame.at(side, rng.uniform(*findings.PLATE_ZONE))
    centre = np.array([row, lateral + rng.uniform(0.2, 0.8) * (medial - lateral)])
    angle = np.deg2rad(slope)
    half = length / 2 * np.array([np.sin(angle), np.cos(angle)])
    bow = rng.uniform(-1, 1) * findings.PLATE_BOW * length * np.array([1, 0])
    ends = centre - half + bow, centre + half + bow
    line = frame.course([tuple(ends[0]), tuple(centre), tuple(ends[1])])
    rim = 1 - (frame.distance_from(tuple(centre)) / (length / 2 + frame.pixel)) ** 2
    seen = frame.chord(line, thickness / 2) / thickness * np.sqrt(np.clip(rim, 0, None))
    return (filled * depth * seen).astype(np.float32)
