"""A procedural thorax: what the data set is projected from where the chest CT is not installed."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from data.findings import LOBES, MU_FLUID, MU_WATER, Side
from data.simulation.volumes.anatomy import Anatomy, Mask, Volume, assemble
from data.simulation.volumes.shapes import tube

_MU_LUNG = 0.17 * MU_WATER
_MU_SOFT = 0.97 * MU_WATER
_MU_CARTILAGE = 1.12 * MU_WATER
_MU_MARROW = 1.35 * MU_WATER
_MU_CORTEX = 1.9 * MU_WATER

_EXTENT_MM = (340.0, 236.0, 400.0)
_MIDLINE, _MIDDLE = 170.0, 118.0
"""x of the spine and y halfway between back and chest, in mm."""
_APEX, _BASE = 335.0, 75.0
"""Heights of the apices and of the costophrenic angles in mm."""
_SIGN: dict[Side, int] = {"left": 1, "right": -1}


def make_phantom(spacing: float = 2.0) -> Anatomy:
    """Build the phantom.

    Args:
        spacing: side of a voxel in mm; coarse grids serve tests.

    Returns:
        A thorax with every structure that findings look up, under the names of the CT's label map.
    """
    return _Phantom(spacing).build()


class _Phantom:
    """Paints structures one over the other, from the skin to the vessels."""

    def __init__(self, spacing: float) -> None:
        shape = [round(extent / spacing) for extent in _EXTENT_MM]
        mu = np.zeros(shape, dtype=np.float32)
        self.names: dict[str, int] = {}
        self.grid = Anatomy(
            mu=mu,
            labels=np.zeros(shape, dtype=np.uint8),
            wall_depth=mu,
            names=self.names,
            boxes={},
            spacing=spacing,
        )
        self.rng = np.random.default_rng(0)

    def build(self) -> Anatomy:
        self.paint(self.body(), _MU_SOFT)
        for side in LOBES:
            self.paint_lung(side)
        self.paint_abdomen()
        self.paint_skeleton()
        self.paint_mediastinum()
        for side in LOBES:
            self.paint_vessels(side)
        return assemble(self.grid.mu, self.grid.labels, self.names, self.grid.spacing)

    def paint(self, where: Mask, mu: float, name: str | None = None) -> None:
        self.grid.mu[where] = mu
        if name is not None:
            self.grid.labels[where] = self.names.setdefault(name, len(self.names) + 1)

    def paint_tube(
        self, points: ArrayLike, radius: float, mu: float, name: str | None = None, only: Mask | None = None
    ) -> None:
        weight, box = tube(self.grid, points, radius)
        if only is not None:
            weight = weight * only[box]
        self.grid.mu[box] += weight * (np.float32(mu) - self.grid.mu[box])
        if name is not None:
            self.grid.labels[box][weight > 0.5] = self.names.setdefault(name, len(self.names) + 1)

    def ellipsoid(self, centre: Sequence[float], radii: Sequence[float], tilt: float = 0.0) -> Mask:
        """Inside of an ellipsoid, turned by `tilt` degrees from left to foot in the coronal plane."""
        x, y, z = (axis - at for axis, at in zip(self.grid.axes, centre, strict=True))
        cosine, sine = np.cos(np.deg2rad(tilt)), np.sin(np.deg2rad(tilt))
        along, across = cosine * x - sine * z, sine * x + cosine * z
        return (along / radii[0]) ** 2 + (y / radii[1]) ** 2 + (across / radii[2]) ** 2 < 1

    def body(self) -> Mask:
        x, y, z = self.grid.axes
        # Shoulders slope up to a neck.
        neck = np.clip((z - 318) / 50, 0, 1) ** 1.5
        wide, deep = 158 - 85 * neck, 110 - 50 * neck
        return np.abs((x - _MIDLINE) / wide) ** 2.4 + np.abs((y - _MIDDLE) / deep) ** 2.4 < 1

    @staticmethod
    def taper(z: ArrayLike) -> NDArray[np.float32]:
        """Width of the chest at a height, relative to its widest."""
        share = np.clip((np.asarray(z, dtype=np.float32) - 90) / (_APEX - 90), 0, 1)
        return np.sqrt(1 - share**2.8)

    def paint_lung(self, side: Side) -> None:
        x, y, z = self.grid.axes
        width = self.taper(z)
        centre = _MIDLINE + _SIGN[side] * (38 + 28 * width)
        across = (x - centre) / np.maximum(62 * width, 1e-3)
        along = (y - _MIDDLE) / np.maximum(84 * width, 1e-3)
        radius = np.abs(across) ** 2.3 + np.abs(along) ** 2.3
        dome = (140 if side == "right" else 130) - (140 - _BASE) * np.clip(radius, 0, 1) ** 1.4
        lung = (radius < 1) & (z < _APEX) & (z > dome)
        lower = z < 275 - 1.12 * (y - 34)  # behind and below the oblique fissure
        self.paint(lung, _MU_LUNG, f"lung_upper_lobe_{side}")
        if side == "right":
            self.paint(lung & (z < 185), _MU_LUNG, "lung_middle_lobe_right")
        self.paint(lung & lower, _MU_LUNG, f"lung_lower_lobe_{side}")

    def paint_abdomen(self) -> None:
        soft = self.grid.labels == 0
        self.paint(self.ellipsoid((115, 125, 70), (85, 80, 66)) & soft, 1.05 * MU_WATER, "liver")
        self.paint(self.ellipsoid((235, 140, 92), (26, 24, 15)) & soft, 0.05 * MU_WATER, "stomach")

    def paint_skeleton(self) -> None:
        spine = [(_MIDLINE, 50.0, z) for z in np.arange(0.0, _EXTENT_MM[2], 24.0)]
        for level, (x, y, z) in enumerate(spine):
            name = f"vertebrae_{level + 1}"
            self.paint_tube([(x, y, z), (x, y, z + 20)], 15, _MU_MARROW, name)
            self.paint_tube([(x, y - 14, z + 12), (x, y - 38, z + 2)], 5, _MU_MARROW, name)
            self.paint_tube([(x - 26, y - 12, z + 12), (x + 26, y - 12, z + 12)], 5, _MU_MARROW, name)
        for side, sign in _SIGN.items():
            for number in range(11):
                self.paint_rib(side, number)
            clavicle = [
                (_MIDLINE + sign * a, b, c) for a, b, c in ((16, 186, 303), (65, 176, 318), (125, 130, 336))
            ]
            self.paint_tube(clavicle, 5.5, _MU_CORTEX, f"clavicula_{side}")
            self.paint_tube(clavicle, 3.0, _MU_MARROW, f"clavicula_{side}")
        self.paint_tube(
            [(_MIDLINE, 208, 130), (_MIDLINE, 212, 200), (_MIDLINE, 196, 305)], 8, _MU_MARROW, "sternum"
        )

    def paint_rib(self, side: Side, number: int) -> None:
        angle = np.linspace(0.1, 0.93, 24) * np.pi
        z = 322 - 23.5 * number - (20 + 4.0 * number) * (1 - np.cos(angle)) / 2
        width = np.maximum(self.taper(z), 0.25)
        x = _MIDLINE + _SIGN[side] * (
            (38 + 28 * width) * np.sin(angle) ** 0.5 + (62 * width + 7) * np.sin(angle)
        )
        y = _MIDDLE - (84 * width + 7) * np.cos(angle)
        path = np.stack([x, y, z], axis=1)
        front = 17 if number < 7 else 14
        name = f"rib_{side}_{number + 1}"
        self.paint_tube(path[front - 1 :], 4.5, _MU_CARTILAGE, "costal_cartilages")
        self.paint_tube(path[:front], 5.0, _MU_CORTEX, name)
        self.paint_tube(path[:front], 3.0, _MU_MARROW, name)

    def paint_mediastinum(self) -> None:
        x, y, z = self.grid.axes
        lungs = self.grid.lungs
        half = 22 + 14 * np.exp(-(((z - 185) / 40) ** 2))
        core = (np.abs(x - _MIDLINE) < half) & (y < 192) & (y > 40) & lungs
        self.grid.mu[core], self.grid.labels[core] = _MU_SOFT, 0
        centre, top = _MIDLINE, _EXTENT_MM[2]
        self.paint(
            self.ellipsoid((centre + 24, 142, 162), (66, 46, 50), tilt=28) & (z > 118), MU_FLUID, "heart"
        )
        arch = [
            (centre - 14, 140, 200),
            (centre - 10, 135, 245),
            (centre + 8, 112, 262),
            (centre + 20, 84, 250),
        ]
        self.paint_tube([*arch, (centre + 20, 72, 215), (centre + 14, 70, 60)], 13, MU_FLUID, "aorta")
        cava = [(centre - 30, 138, z) for z in (262.0, 230.0, 195.0)]
        self.paint_tube(cava, 9, MU_FLUID, "superior_vena_cava")
        right, left = "brachiocephalic_vein_right", "brachiocephalic_vein_left"
        self.paint_tube([(centre - 34, 140, 305), (centre - 31, 139, 268)], 7, MU_FLUID, right)
        self.paint_tube(
            [(centre + 42, 140, 310), (centre + 15, 152, 285), (centre - 22, 142, 266)], 6.5, MU_FLUID, left
        )
        for side, sign in _SIGN.items():
            root = [(centre + sign * 12, 108, 196), (centre + sign * 42, 108, 196 if side == "left" else 188)]
            self.paint_tube(root, 9, MU_FLUID, "pulmonary_vein")
            self.paint_tube([(centre, 104, 232), (centre + sign * 32, 102, 208)], 6, 0.0, "trachea")
        self.paint_tube([(centre, 104, 232), (centre, 112, 300), (centre, 122, top)], 8.5, 0.0, "trachea")

    def paint_vessels(self, side: Side) -> None:
        """Three generations of arteries and veins that thin out from the hilum."""
        lung = self.grid.lung(side)
        points = np.argwhere(lung).astype(np.float32) * np.float32(self.grid.spacing)
        root = np.array([_MIDLINE + _SIGN[side] * 40, 108.0, 192.0])
        self.paint_branches(root, points, lung, ((14, 0.55, 3.2), (4, 0.5, 1.8), (3, 0.35, 1.0)))

    def paint_branches(
        self, start: Volume, points: Volume, lung: Mask, generations: Sequence[tuple[int, float, float]]
    ) -> None:
        """Branches towards random points of a lung: how many, how far of the way, and their radius."""
        (count, share, radius), *finer = generations
        for _ in range(count):
            end = start + share * (points[self.rng.integers(len(points))] - start)
            self.paint_tube([start, end], radius, MU_FLUID, only=lung)
            if finer:
                self.paint_branches(end, points, lung, finer)
