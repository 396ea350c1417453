"""A thorax on a voxel grid: attenuation, labelled structures and what the findings ask of them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from data.base.errors import DataError
from data.findings import LOBES, LUNGS, Side

Volume = NDArray[np.float32]
Point = NDArray[np.float32]
Mask = NDArray[np.bool_]
Box = tuple[slice, slice, slice]

LUNG_HU = -400.0
"""Lung is darker than this, everything around it brighter."""


@dataclass(frozen=True, kw_only=True)
class Lungs:
    """Masks of the two lungs, in a volume or as a radiograph shows them."""

    right: Mask
    left: Mask

    def of(self, side: Side) -> Mask:
        """One of the two."""
        return self.right if side == "right" else self.left

    @property
    def both(self) -> Mask:
        """Either lung."""
        return self.right | self.left


@dataclass(frozen=True, kw_only=True, repr=False)
class Anatomy:
    """One thorax, axes `[X, Y, Z]` pointing to the patient's left, front and head.

    It has lungs; findings that need other structures are possible where those are there, too. Positions are
    in mm along these axes, zero at the centre of voxel (0, 0, 0).
    """

    mu: Volume
    """Linear attenuation in 1/mm."""
    labels: NDArray[np.uint8]
    """Structure of every voxel, 0 where there is none of interest."""
    wall_depth: Volume
    """Distance in mm of lung voxels to chest wall or diaphragm, not to the mediastinum; 0 elsewhere."""
    names: Mapping[str, int]
    """Label of every structure by name."""
    boxes: Mapping[str, Box]
    """Bounding box of every structure in the grid; looking for one there saves most of the time."""
    spacing: float
    """Side of a voxel in mm."""
    derived: tuple[str, ...] = ()
    """Structures that no label map named and that were found in the CT itself."""

    def has(self, *structures: str) -> bool:
        """Whether every one of the named structures is there."""
        return all(name in self.boxes for name in structures)

    def box(self, *structures: str) -> Box:
        """Smallest box that holds the named structures."""
        boxes = [self.boxes[name] for name in structures]
        x, y, z = (
            slice(min(part.start for part in parts), max(part.stop for part in parts))
            for parts in zip(*boxes, strict=True)
        )
        return x, y, z

    def mask(self, *structures: str, box: Box | None = None) -> Mask:
        """Voxels of the named structures, on the whole grid or within a box of it."""
        table = np.zeros(256, dtype=bool)
        table[[self.names[name] for name in structures]] = True
        return table[self.labels if box is None else self.labels[box]]

    def lung(self, side: Side, box: Box | None = None) -> Mask:
        """Voxels of one lung, on the whole grid or within a box of it."""
        return self.mask(*LOBES[side], box=box)

    @cached_property
    def lungs(self) -> Mask:
        """Voxels of both lungs."""
        return self.mask(*LUNGS)

    @cached_property
    def axes(self) -> tuple[Volume, Volume, Volume]:
        """Positions in mm along each axis, shaped `[X, 1, 1]`, `[1, Y, 1]` and `[1, 1, Z]`."""
        x, y, z = np.ogrid[tuple(slice(0, size) for size in self.mu.shape)]
        step = np.float32(self.spacing)
        return x.astype(np.float32) * step, y.astype(np.float32) * step, z.astype(np.float32) * step

    def axes_in(self, box: Box) -> tuple[Volume, Volume, Volume]:
        """Positions in mm along each axis inside a box, broadcastable to it."""
        x, y, z = self.axes
        return x[box[0]], y[:, box[1]], z[:, :, box[2]]

    def around(self, lowest: ArrayLike, highest: ArrayLike) -> Box:
        """The part of the grid between two positions in mm, at least one voxel wide."""
        shape = np.array(self.mu.shape)
        start = np.clip(np.floor(np.asarray(lowest) / self.spacing), 0, shape - 1).astype(int)
        stop = np.clip(np.ceil(np.asarray(highest) / self.spacing) + 1, start + 1, shape).astype(int)
        x, y, z = (slice(int(first), int(last)) for first, last in zip(start, stop, strict=True))
        return x, y, z

    def points(self, mask: Mask, box: Box) -> Volume:
        """Positions `[N, 3]` in mm of the true voxels of a mask that covers a box."""
        index = np.argwhere(mask) + [part.start for part in box]
        return index.astype(np.float32) * np.float32(self.spacing)

    def structure_points(self, *structures: str) -> Volume:
        """Positions `[N, 3]` in mm of the voxels of the named structures."""
        box = self.box(*structures)
        return self.points(self.mask(*structures, box=box), box)

    def centre(self, *structures: str) -> Point:
        """Centroid `[3]` in mm of the named structures."""
        return self.structure_points(*structures).mean(axis=0)

    def hilum(self, side: Side) -> Point:
        """Position `[3]` in mm where the vessels enter a lung: its medial border at the pulmonary veins."""
        _, y, z = self.centre("pulmonary_vein")
        box = self.around((0, y - 20, z - 15), (np.inf, y + 20, z + 15))
        columns = np.flatnonzero(self.lung(side, box).any(axis=(1, 2)))
        medial = columns[-1] if side == "right" else columns[0]
        return np.array([medial * self.spacing, y, z], dtype=np.float32)

    def fill(self, box: Box, weight: Volume, new_mu: float) -> "Change":
        """The change when denser material fills a share of each voxel of a box; denser tissue stays."""
        return crop_change(weight * np.clip(np.float32(new_mu) - self.mu[box], 0, None), corner_of(box))

    def with_change(self, change: "Change") -> "Anatomy":
        """The same thorax with a finding in it."""
        mu = self.mu.copy()
        mu[change.box] += change.delta
        return replace(self, mu=mu)


@dataclass(frozen=True, kw_only=True)
class Change:
    """A change in attenuation, stored for the box outside which it is zero."""

    delta: Volume
    """Change in 1/mm inside the box."""
    corner: tuple[int, int, int]
    """First voxel of the box in the grid of the anatomy."""

    @property
    def box(self) -> Box:
        """The box as an index into the grid."""
        starts = zip(self.corner, self.delta.shape, strict=True)
        x, y, z = (slice(start, start + size) for start, size in starts)
        return x, y, z

    def on_grid(self, shape: tuple[int, ...]) -> Volume:
        """The change on the whole grid."""
        full = np.zeros(shape, dtype=np.float32)
        full[self.box] = self.delta
        return full


def corner_of(box: Box) -> tuple[int, int, int]:
    """First voxel of a box."""
    return box[0].start, box[1].start, box[2].start


def bounding_box(mask: Mask, margin: int = 0) -> Box:
    """Smallest box around the true voxels, widened by `margin` voxels within the grid.

    Raises:
        ValueError: if no voxel is true.
    """
    from scipy.ndimage import find_objects

    found = find_objects(mask.astype(np.uint8))
    if not found:
        raise ValueError("the mask is empty; it has no bounding box")
    ends = zip(found[0], mask.shape, strict=True)
    x, y, z = (slice(max(part.start - margin, 0), min(part.stop + margin, size)) for part, size in ends)
    return x, y, z


def crop_change(delta: Volume, corner: tuple[int, int, int] = (0, 0, 0), smallest: float = 1e-5) -> Change:
    """Cut a change down to the voxels where it exceeds `smallest` (1/mm); one voxel if there is none."""
    changed = np.abs(delta) > smallest
    if not changed.any():
        return Change(delta=np.zeros((1, 1, 1), dtype=np.float32), corner=corner)
    x, y, z = bounding_box(changed)
    start = (corner[0] + x.start, corner[1] + y.start, corner[2] + z.start)
    return Change(delta=np.ascontiguousarray(delta[x, y, z], dtype=np.float32), corner=start)


def assemble(
    mu: Volume,
    labels: NDArray[np.uint8],
    names: Mapping[str, int],
    spacing: float,
    derived: tuple[str, ...] = (),
) -> Anatomy:
    """Check that there are lungs and derive the depth below the chest wall.

    Raises:
        DataError: if a lobe is missing.
    """
    boxes = structure_boxes(labels, names)
    missing = [name for name in LUNGS if name not in boxes]
    if missing:
        raise DataError(f"the labels lack {', '.join(missing)}; use a label map of the whole chest")
    sides = {side: np.isin(labels, [names[name] for name in lobes]) for side, lobes in LOBES.items()}
    return Anatomy(
        mu=np.ascontiguousarray(mu, dtype=np.float32),
        labels=np.ascontiguousarray(labels, dtype=np.uint8),
        wall_depth=_wall_depth(sides["right"], sides["left"], spacing),
        names=dict(names),
        boxes=boxes,
        spacing=spacing,
        derived=derived,
    )


def structure_boxes(labels: NDArray[np.uint8], names: Mapping[str, int]) -> dict[str, Box]:
    """Bounding boxes of the structures that are there."""
    from scipy.ndimage import find_objects

    found = find_objects(labels, max_label=max(names.values()))
    return {name: found[label - 1] for name, label in names.items() if found[label - 1] is not None}


def between_lungs(right: Mask, left: Mask) -> Mask:
    """Voxels between the lungs: in rows along x that meet both, those after the right and before the left."""
    entered = np.logical_or.accumulate(right, axis=0)
    ahead = np.logical_or.accumulate(left[::-1], axis=0)[::-1]
    return entered & ahead & ~right & ~left


def _wall_depth(right: Mask, left: Mask, spacing: float) -> Volume:
    from scipy.ndimage import distance_transform_edt

    lungs = right | left
    box = bounding_box(lungs, margin=2)
    inside = lungs | between_lungs(right, left)
    depth = np.zeros(lungs.shape, dtype=np.float32)
    depth[box] = distance_transform_edt(inside[box], sampling=spacing) * lungs[box]
    return depth
