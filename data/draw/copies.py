"""Two copies of one radiograph that differ as two real studies do: in pose, exposure and noise."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from data.draw.options import DrawConfig
from data.simulation.films import Plane, expose_again
from data.simulation.shapes import spline_field

Coordinates = NDArray[np.float32]
"""`[2, H, W]`: row and column in the source that each pixel takes its value from."""

_ELASTIC_KNOT = 0.2


def draw_poses(
    shape: tuple[int, int], config: DrawConfig, rng: np.random.Generator
) -> tuple[Coordinates, Coordinates]:
    """How baseline and followup lie on the film; each takes half of what they differ by.

    Args:
        shape: height and width.
        config: how far they may differ.
        rng: source of the pair.
    """
    half = rng.uniform(-0.5, 0.5, 4) * (config.rotation, config.translation, config.translation, config.scale)
    return _pose(shape, -half, config.elastic, rng), _pose(shape, half, config.elastic, rng)


def _pose(
    shape: tuple[int, int], half: NDArray[np.float64], elastic: float, rng: np.random.Generator
) -> Coordinates:
    longest = max(shape)
    angle, down, across, grow = np.deg2rad(half[0]), half[1] * longest, half[2] * longest, 1 + half[3]
    rows, columns = (np.arange(length, dtype=np.float32) for length in shape)
    y, x = (rows - (shape[0] - 1) / 2 - down)[:, None], (columns - (shape[1] - 1) / 2 - across)[None]
    turned = np.stack([np.cos(angle) * y + np.sin(angle) * x, np.cos(angle) * x - np.sin(angle) * y]) / grow
    turned += np.array([(length - 1) / 2 for length in shape])[:, None, None]
    axes = (rows[:, None], columns[None])
    for coordinates in turned:
        coordinates += spline_field(axes, _ELASTIC_KNOT * longest, elastic * longest, rng)
    return turned.astype(np.float32)


def move(plane: Plane, pose: Coordinates) -> Plane:
    """A plane `[H, W]` as it lies in a pose, interpolated once and linearly.

    Linear, so what was drawn moves exactly as the radiograph it was drawn into. Beyond the edge of the film
    its last rows and columns go on.
    """
    return map_coordinates(plane, pose, order=1, mode="nearest")


def expose(film: Plane, config: DrawConfig, rng: np.random.Generator) -> Plane:
    """A film `[H, W]` in [0, 1] under another exposure, contrast, tone curve and noise."""
    shift, slope, exponent = rng.uniform(-1, 1, 3) * (config.exposure, config.contrast, config.gamma)
    noise = rng.uniform(0, 1) * config.noise
    return expose_again(film, shift=shift, slope=slope, exponent=exponent, noise=noise, rng=rng)
