"""Devices: pacemaker, central venous line, endotracheal tube, chest drain."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from data.simulation.drawing.chest import Chest, Frame, Plane, Point, Side
from data.simulation.findings.film.shapes import chord, course, draw_side

MU_METAL = 0.40
"""Titanium can and wound leads, as an effective value over air gaps and beam hardening, in 1/mm."""
MU_LINE = 0.25
"""Polymer filled with barium or bismuth, in 1/mm."""
MU_TUBE = 0.10
"""Wall of a tube with its radiopaque stripe, averaged around it, in 1/mm."""
_CAN_THICKNESS_MM = 6.0


def device(chest: Chest, rng: np.random.Generator) -> Plane:
    """One device where a radiologist would look for it."""
    kinds = list(DEVICES)
    return DEVICES[kinds[int(rng.integers(len(kinds)))]](chest.frame, rng)


def pacemaker(frame: Frame, rng: np.random.Generator) -> Plane:
    """A can under the skin below a clavicle, its lead through veins and atrium to the right ventricle."""
    side: Side = "left" if rng.random() < 0.8 else "right"
    row, lateral, medial = frame.at(side, rng.uniform(0.2, 0.27))
    can = (row, lateral - rng.uniform(0.05, 0.25) * (lateral - medial))
    clavicle_row = frame.top[side] + rng.uniform(0.08, 0.12) * frame.height[side]
    outward = frame.outward(side)
    pocket = (can[0] - 18.0, can[1] - outward * 8.0)
    under_clavicle = (clavicle_row, medial + 0.4 * (lateral - medial))
    veins = [*_brachiocephalic(frame, side), *_vena_cava(frame)]
    lead = course([pocket, under_clavicle, *veins, *_ventricle(frame, rng)], frame)
    wire = MU_METAL * chord(frame, lead, 1.0)
    tip = lead[-max(2, int(4 * 9.0 / frame.pixel)) :]
    electrode = MU_METAL * chord(frame, tip, 1.5)
    return np.maximum(np.maximum(wire, electrode), _can(frame, can, rng)).astype(np.float32)


def central_line(frame: Frame, rng: np.random.Generator) -> Plane:
    """A catheter from a jugular vein to the lower superior vena cava."""
    side: Side = "right" if rng.random() < 0.7 else "left"
    outward = frame.outward(side)
    first = _brachiocephalic(frame, side)[0]
    entry = (first[0] - rng.uniform(40, 60), first[1] + outward * rng.uniform(4, 16))
    path = course([entry, *_brachiocephalic(frame, side), *_vena_cava(frame)], frame)
    return (MU_LINE * chord(frame, path, 1.2)).astype(np.float32)


def endotracheal_tube(frame: Frame, rng: np.random.Generator) -> Plane:
    """A tube in the trachea, its tip 25 to 50 mm above the carina, a radiopaque stripe along its wall."""
    row, _ = frame.carina
    tip = row - rng.uniform(25, 50)
    sway = rng.uniform(-3, 3)
    rows = [tip - 170.0, tip - 90.0, tip - 40.0, tip]
    path = course([(r, frame.middle(r) + sway + 2 * np.sin(r / 25)) for r in rows], frame)
    stripe = path + np.array([0, rng.choice([-1, 1]) * 4.2], dtype=np.float32)
    tube = MU_TUBE * chord(frame, path, 5.0, inner=3.6)
    return (tube + MU_LINE * chord(frame, stripe, 0.7)).astype(np.float32)


def chest_drain(frame: Frame, rng: np.random.Generator) -> Plane:
    """A drain through the lateral chest wall, along the pleura to the apex, with a radiopaque stripe."""
    side = draw_side(rng)
    outward = frame.outward(side)
    points = []
    for share, inset in ((0.72, -38.0), (0.62, -6.0), (0.52, 7.0), (0.34, 12.0), (0.16, 20.0), (0.08, 30.0)):
        row, lateral, _ = frame.at(side, share + rng.uniform(-0.015, 0.015))
        points.append((row, lateral - outward * (inset + rng.uniform(-2, 2))))
    path = course(points, frame)
    tube = MU_TUBE * chord(frame, path, 4.0, inner=2.8)
    return (tube + MU_LINE * chord(frame, path, 0.7)).astype(np.float32)


DEVICES: Mapping[str, Callable[[Frame, np.random.Generator], Plane]] = {
    "pacemaker": pacemaker,
    "central line": central_line,
    "endotracheal tube": endotracheal_tube,
    "chest drain": chest_drain,
}


def _can(frame: Frame, centre: Point, rng: np.random.Generator) -> Plane:
    """Line integral of a rounded box, flat on the chest."""
    half = np.array([rng.uniform(17, 21), rng.uniform(19, 24)])
    angle = np.deg2rad(rng.uniform(-25, 25))
    down, across = frame.rows - centre[0], frame.columns - centre[1]
    u, v = np.cos(angle) * down + np.sin(angle) * across, np.cos(angle) * across - np.sin(angle) * down
    rounding = 11.0
    outside = np.hypot(
        np.clip(np.abs(u) - half[0] + rounding, 0, None), np.clip(np.abs(v) - half[1] + rounding, 0, None)
    )
    edge = np.clip((rounding - outside) / max(1.2, frame.pixel) + 0.5, 0, 1)
    # Battery and circuit differ; the header with the plug is mostly plastic.
    battery = 1 - 0.2 * (v > 0.15 * half[1])
    header = 1 - 0.45 * (u < -0.55 * half[0])
    can: Plane = (MU_METAL * _CAN_THICKNESS_MM * edge * battery * header).astype(np.float32)
    return can


def _brachiocephalic(frame: Frame, side: Side) -> list[Point]:
    """From behind the medial end of the clavicle to the vena cava."""
    row = frame.top[side] + 0.1 * frame.height[side]
    join = frame.carina[0] - 38.0
    if side == "right":
        return [(row, frame.middle(row) - 30.0), (join, frame.middle(join) - 24.0)]
    return [
        (row, frame.middle(row) + 30.0),
        ((row + join) / 2 + 4, frame.middle(join) + 6.0),
        (join + 4, frame.middle(join) - 18.0),
    ]


def _vena_cava(frame: Frame) -> list[Point]:
    """Down the right border of the mediastinum, to where it opens into the right atrium."""
    row, _ = frame.carina
    return [(row - 15.0, frame.middle(row) - 24.0), (row + 32.0, frame.middle(row + 32.0) - 25.0)]


def _ventricle(frame: Frame, rng: np.random.Generator) -> list[Point]:
    """Through the right atrium to the apex of the right ventricle: low, left of the midline."""
    base = frame.top["left"] + 0.92 * frame.height["left"]
    middle = frame.middle(base)
    start, _ = frame.carina
    atrium = (start + 0.75 * (base - start), middle - 24.0)
    floor = (base - rng.uniform(0, 6), middle - rng.uniform(0, 8))
    apex = (base - rng.uniform(6, 16), middle + rng.uniform(38, 55))
    return [atrium, floor, apex]
