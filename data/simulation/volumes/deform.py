"""Virtual patients: one thorax under random smooth deformations."""

from dataclasses import replace

import numpy as np
import torch
from torch.nn.functional import grid_sample

from data.findings import LUNGS
from data.simulation.shapes import spline_field
from data.simulation.volumes.anatomy import Anatomy, Volume, structure_boxes

KNOT_MM = 64.0
"""Distance between the knots of the displacement field."""
BULGE_MM = 9.0
"""Largest coefficient of the displacement field along each axis.

A uniform cubic B-spline field cannot fold while its coefficients stay below 0.40 knot distances (25 mm here).
Source: Choi & Lee, "Injectivity conditions of 2D and 3D uniform cubic B-spline functions", Graphical
Models 62, 2000.
"""
SCALE = ((0.94, 1.08), (0.88, 1.12), (0.95, 1.06))
"""Range of size about the centre along x (habitus), y (thickness of the chest) and z (height)."""
BREATH_MM = 10.0
"""Largest rise or fall of the diaphragm."""
_BREATH_WIDTH_MM = 50.0


def displacement(anatomy: Anatomy, rng: np.random.Generator) -> Volume:
    """A random smooth displacement field `[3, X, Y, Z]` in mm: from where each voxel takes its tissue."""
    field = np.empty((3, *anatomy.mu.shape), dtype=np.float32)
    for component in field:
        component[...] = spline_field(anatomy.axes, KNOT_MM, BULGE_MM, rng)
    for axis, (position, bounds) in enumerate(zip(anatomy.axes, SCALE, strict=True)):
        field[axis] += (1 / rng.uniform(*bounds) - 1) * (position - position.mean())
    z = anatomy.axes[2]
    diaphragm = anatomy.box(*LUNGS)[2].start * anatomy.spacing + 40.0
    field[2] += rng.uniform(-BREATH_MM, BREATH_MM) * np.exp(-(((z - diaphragm) / _BREATH_WIDTH_MM) ** 2))
    return field


def deform(anatomy: Anatomy, rng: np.random.Generator) -> Anatomy:
    """One virtual patient: attenuation and labels moved by the same random smooth field."""
    grid = torch.from_numpy(_sampling_grid(anatomy, rng)).flip(0).permute(1, 2, 3, 0)[None]
    labels = torch.from_numpy(anatomy.labels)[None, None].float()
    labels = grid_sample(labels, grid, mode="nearest", align_corners=False)[0, 0]
    moved = labels.numpy().astype(np.uint8)
    boxes = structure_boxes(moved, anatomy.names)
    # Border padding: neck and abdomen go on beyond the grid, and the air around the body stays air.
    mu = torch.from_numpy(anatomy.mu)[None, None]
    mu = grid_sample(mu, grid, padding_mode="border", align_corners=False)[0, 0]
    patient = replace(
        anatomy,
        mu=mu.numpy(),
        labels=moved,
        boxes=boxes,
        wall_depth=np.zeros(moved.shape, dtype=np.float32),
    )
    chest = patient.box(*(name for name in LUNGS if name in boxes))  # nothing else has a depth
    depth = torch.from_numpy(anatomy.wall_depth)[None, None]
    depth = grid_sample(depth, grid[0][chest][None], padding_mode="border", align_corners=False)[0, 0]
    patient.wall_depth[chest] = depth.numpy()
    return patient


def _sampling_grid(anatomy: Anatomy, rng: np.random.Generator) -> Volume:
    """Where every voxel takes its tissue from `[3, X, Y, Z]`, with the faces of the grid at -1 and 1."""
    source = displacement(anatomy, rng)
    source /= np.float32(anatomy.spacing)
    for axis, size in enumerate(anatomy.mu.shape):
        index = np.arange(size, dtype=np.float32)
        part = source[axis]
        part += index.reshape([-1 if other == axis else 1 for other in range(3)])
        part *= 2
        part += 1
        part /= np.float32(size)
        part -= 1
    return source
