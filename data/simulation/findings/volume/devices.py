"""Devices: pacemaker, central venous line, endotracheal tube, chest drain."""

from collections.abc import Callable, Mapping
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

from data import findings
from data.findings import LOBES, Side
from data.simulation.shapes import draw_side, turned_plate
from data.simulation.volumes.anatomy import Anatomy, Change, Point, Volume
from data.simulation.volumes.shapes import sum_changes, tube


def device(anatomy: Anatomy, rng: np.random.Generator) -> Change:
    """One device where a radiologist would look for it, of those whose way through the body is known."""
    kinds = [kind for kind, needs in findings.DEVICES.items() if anatomy.has(*needs)]
    return DEVICES[kinds[int(rng.integers(len(kinds)))]](anatomy, rng)


def pacemaker(anatomy: Anatomy, rng: np.random.Generator) -> Change:
    """A can under the skin below a clavicle, its lead through vein and vena cava to the right ventricle."""
    side = draw_side(rng, findings.PACEMAKER_LEFT)
    can = _can_position(anatomy, side, rng)
    vein = _vein(anatomy, side)
    clavicle = anatomy.structure_points(f"clavicula_{side}")
    under_clavicle = clavicle[clavicle[:, 2] <= np.quantile(clavicle[:, 2], 0.3)].mean(axis=0)
    under_clavicle[1:] += (-12, -8)
    connector = can + np.array([-10 if side == "left" else 10, 0, 20])
    pocket = [connector, (connector + under_clavicle) / 2, under_clavicle]
    course = np.stack([*pocket, *vein, *_cava(anatomy), *_ventricle(anatomy, rng)])
    lead = _insert(anatomy, course, 1.2, findings.MU_METAL)
    return sum_changes([_can(anatomy, can, rng), lead])


def central_line(anatomy: Anatomy, rng: np.random.Generator) -> Change:
    """A catheter from the right or left jugular vein to the lower superior vena cava."""
    side = draw_side(rng, findings.CENTRAL_LINE_RIGHT, "right")
    vein = _vein(anatomy, side)
    top = (anatomy.mu.shape[2] - 1) * anatomy.spacing
    outward = -1 if side == "right" else 1
    entry = vein[0] + np.array([outward * rng.uniform(8, 20), -5, 0])
    entry[2] = min(vein[0][2] + rng.uniform(45, 70), top)
    return _insert(anatomy, [entry, *vein, *_cava(anatomy)], 1.4, findings.MU_LINE)


def endotracheal_tube(anatomy: Anatomy, rng: np.random.Generator) -> Change:
    """A tube in the trachea, its tip above the carina."""
    airway = _trachea(anatomy)
    tip = airway[0, 2] + rng.uniform(*findings.TUBE_ABOVE_CARINA_MM)
    inside = airway[airway[:, 2] >= tip]
    mouth = inside[-1] + np.array([0, 0, 40.0])
    course = np.stack([*inside[: -1 : max(1, round(8 / anatomy.spacing))], inside[-1], mouth])
    return _insert(anatomy, course, 5.0, findings.MU_TUBE, inner_radius=3.2)


def chest_drain(anatomy: Anatomy, rng: np.random.Generator) -> Change:
    """A drain through the lateral chest wall, along the pleura to the apex."""
    side = draw_side(rng)
    outward = -1 if side == "right" else 1
    box = anatomy.box(*LOBES[side])
    low, high = box[2].start, box[2].stop - 1
    points = []
    for share, inset in ((0.30, -40.0), (0.36, 4.0), (0.55, 10.0), (0.75, 14.0), (0.90, 16.0)):
        share = share + rng.uniform(-0.03, 0.03)
        index = round(low + share * (high - low))
        level = (box[0], box[1], slice(index, index + 1))
        hits = anatomy.points(anatomy.lung(side, level), level)
        edge = hits[:, 0].min() if side == "right" else hits[:, 0].max()
        near = hits[np.abs(hits[:, 0] - edge) < 15]
        points.append([edge - outward * inset, near[:, 1].mean(), index * anatomy.spacing])
    return _insert(anatomy, points, 4.0, findings.MU_TUBE, inner_radius=2.0)


DEVICES: Mapping[str, Callable[[Anatomy, np.random.Generator], Change]] = {
    "pacemaker": pacemaker,
    "central line": central_line,
    "endotracheal tube": endotracheal_tube,
    "chest drain": chest_drain,
}


def _insert(
    anatomy: Anatomy, course: ArrayLike, radius: float, mu: float, inner_radius: float = 0.0
) -> Change:
    weight, box = tube(anatomy, course, radius, inner_radius)
    return anatomy.fill(box, weight, mu)


def _can_position(anatomy: Anatomy, side: Side, rng: np.random.Generator) -> Point:
    clavicle = anatomy.structure_points(f"clavicula_{side}")
    box = anatomy.box(*LOBES[side])
    # In front of the outer upper lung, a hand's breadth below the clavicle.
    inner, outer = (box[0].stop, box[0].start) if side == "right" else (box[0].start, box[0].stop)
    x = (inner + rng.uniform(0.68, 0.82) * (outer - inner)) * anatomy.spacing
    z = float(np.quantile(clavicle[:, 2], 0.1)) - rng.uniform(28, 42)
    column = anatomy.mu[round(x / anatomy.spacing), :, round(z / anatomy.spacing)]
    front = np.flatnonzero(column > 0.6 * findings.MU_WATER)[-1] * anatomy.spacing
    return np.array([x, front - 14.0, z], dtype=np.float32)


def _can(anatomy: Anatomy, centre: Point, rng: np.random.Generator) -> Change:
    half = (rng.uniform(19, 24), rng.uniform(17, 22))
    box = anatomy.around(centre - 40, centre + 40)
    x, y, z = (axis - at for axis, at in zip(anatomy.axes_in(box), centre, strict=True))
    _, _, plate = turned_plate(x, z, half, 12.0, anatomy.spacing, rng)
    weight = plate * np.clip((3.5 - np.abs(y, dtype=np.float64)) / anatomy.spacing + 0.5, 0, 1)
    return anatomy.fill(box, weight.astype(np.float32), findings.MU_METAL)


def _vein(anatomy: Anatomy, side: Side) -> list[Point]:
    """Points along a brachiocephalic vein, from the jugular end to the vena cava."""
    points = anatomy.structure_points(f"brachiocephalic_vein_{side}")
    cava = _cava(anatomy)[0]
    far = np.linalg.norm(points - cava, axis=1)
    edges = np.quantile(far, [1.0, 0.85, 0.5, 0.15])
    shells = [(far >= low) & (far <= high) for high, low in pairwise(edges)]
    return [points[shell].mean(axis=0) for shell in shells]


def _cava(anatomy: Anatomy) -> list[Point]:
    """Points down the superior vena cava."""
    points = anatomy.structure_points("superior_vena_cava")
    levels = np.quantile(points[:, 2], [0.9, 0.5, 0.1])
    return [points[np.abs(points[:, 2] - level) <= 1.5 * anatomy.spacing].mean(axis=0) for level in levels]


def _ventricle(anatomy: Anatomy, rng: np.random.Generator) -> list[Point]:
    """Through the right atrium to the apex of the right ventricle: low, in front, left of the midline."""
    box = anatomy.box("heart")
    start = np.array([part.start for part in box]) * anatomy.spacing
    size = np.array([part.stop - part.start for part in box]) * anatomy.spacing
    atrium = start + size * np.array([0.16, 0.45, 0.38])
    floor = start + size * np.array([0.36, 0.60, 0.16])
    apex = start + size * np.array([rng.uniform(0.62, 0.74), 0.75, rng.uniform(0.14, 0.22)])
    return [atrium, floor, apex]


def _trachea(anatomy: Anatomy) -> Volume:
    """Centre line `[N, 3]` in mm from the carina upwards."""
    points = anatomy.structure_points("trachea")
    levels = [points[points[:, 2] == height] for height in np.unique(points[:, 2])]
    widths = np.array([np.ptp(level[:, 0]) for level in levels])
    # Below the carina a slice holds two bronchi, side by side.
    wide = np.flatnonzero(widths > 1.6 * np.median(widths[len(widths) // 2 :]))
    first = wide[-1] + 1 if wide.size and wide[-1] < 0.6 * len(levels) else 0
    return np.array([level.mean(axis=0) for level in levels[first:]], dtype=np.float32)
