"""Devices: pacemaker, central venous line, endotracheal tube, chest drain."""

from collections.abc import Callable, Mapping

import numpy as np

from data import findings
from data.findings import Side
from data.simulation.drawing.chest import Chest
from data.simulation.drawing.frame import Frame, Point
from data.simulation.films import Plane
from data.simulation.shapes import draw_side, turned_plate

_CAN_THICKNESS_MM = 6.0


def device(chest: Chest, rng: np.random.Generator) -> Plane:
    """One device where a radiologist would look for it."""
    kinds = list(DEVICES)
    return DEVICES[kinds[int(rng.integers(len(kinds)))]](chest.frame, rng)


def pacemaker(frame: Frame, rng: np.random.Generator) -> Plane:
    """A can under the skin below a clavicle, its lead through veins and atrium to the right ventricle."""
    side = draw_side(rng, findings.PACEMAKER_LEFT)
    row, lateral, medial = frame.at(side, rng.uniform(0.2, 0.27))
    can = (row, lateral - rng.uniform(0.05, 0.25) * (lateral - medial))
    clavicle_row = frame.top[side] + rng.uniform(0.08, 0.12) * frame.height[side]
    outward = frame.outward(side)
    pocket = (can[0] - 18.0, can[1] - outward * 8.0)
    under_clavicle = (clavicle_row, medial + 0.4 * (lateral - medial))
    veins = [*_brachiocephalic(frame, side), *_vena_cava(frame)]
    lead = frame.course([pocket, under_clavicle, *veins, *_ventricle(frame, rng)])
    wire = findings.MU_METAL * frame.chord(lead, 1.0)
    tip = lead[-max(2, int(4 * 9.0 / frame.pixel)) :]
    electrode = findings.MU_METAL * frame.chord(tip, 1.5)
    return np.maximum(np.maximum(wire, electrode), _can(frame, can, rng)).astype(np.float32)


def central_line(frame: Frame, rng: np.random.Generator) -> Plane:
    """A catheter from a jugular vein to the lower superior vena cava."""
    side = draw_side(rng, findings.CENTRAL_LINE_RIGHT, "right")
    outward = frame.outward(side)
    first = _brachiocephalic(frame, side)[0]
    entry = (first[0] - rng.uniform(40, 60), first[1] + outward * rng.uniform(4, 16))
    path = frame.course([entry, *_brachiocephalic(frame, side), *_vena_cava(frame)])
    return (findings.MU_LINE * frame.chord(path, 1.2)).astype(np.float32)


def endotracheal_tube(frame: Frame, rng: np.random.Generator) -> Plane:
    """A tube in the trachea, its tip above the carina, a radiopaque stripe along its wall."""
    row, _ = frame.carina
    tip = row - rng.uniform(*findings.TUBE_ABOVE_CARINA_MM)
    sway = rng.uniform(-3, 3)
    rows = [tip - 170.0, tip - 90.0, tip - 40.0, tip]
    path = frame.course([(r, frame.middle(r) + sway + 2 * np.sin(r / 25)) for r in rows])
    stripe = path + np.array([0, rng.choice([-1, 1]) * 4.2], dtype=np.float32)
    tube = findings.MU_TUBE * frame.chord(path, 5.0, inner=3.6)
    return (tube + findings.MU_LINE * frame.chord(stripe, 0.7)).astype(np.float32)


def chest_drain(frame: Frame, rng: np.random.Generator) -> Plane:
    """A drain through the lateral chest wall, along the pleura to the apex, with a radiopaque stripe."""
    side = draw_side(rng)
    outward = frame.outward(side)
    points = []
    for share, inset in ((0.72, -38.0), (0.62, -6.0), (0.52, 7.0), (0.34, 12.0), (0.16, 20.0), (0.08, 30.0)):
        row, lateral, _ = frame.at(side, share + rng.uniform(-0.015, 0.015))
        points.append((row, lateral - outward * (inset + rng.uniform(-2, 2))))
    path = frame.course(points)
    tube = findings.MU_TUBE * frame.chord(path, 4.0, inner=2.8)
    return (tube + findings.MU_LINE * frame.chord(path, 0.7)).astype(np.float32)


DEVICES: Mapping[str, Callable[[Frame, np.random.Generator], Plane]] = {
    "pacemaker": pacemaker,
    "central line": central_line,
    "endotracheal tube": endotracheal_tube,
    "chest drain": chest_drain,
}


def _can(frame: Frame, centre: Point, rng: np.random.Generator) -> Plane:
    """Line integral of a rounded box, flat on the chest."""
    half = (rng.uniform(17, 21), rng.uniform(19, 24))
    down, across = frame.rows - centre[0], frame.columns - centre[1]
    u, v, edge = turned_plate(down, across, half, 11.0, max(1.2, frame.pixel), rng)
    # Battery and circuit differ; the header with the plug is mostly plastic.
    battery = 1 - 0.2 * (v > 0.15 * half[1])
    header = 1 - 0.45 * (u < -0.55 * half[0])
    return (findings.MU_METAL * _CAN_THICKNESS_MM * edge * battery * header).astype(np.float32)


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
