"""Wide blurs that cost little."""

from __future__ import annotations

import numpy as np

from data.simulation.drawing.density import Plane


def blur(plane: Plane, sigma: float) -> Plane:
    """Gaussian blur by `sigma` pixels; a wide one on a coarser grid, where it costs little."""
    from scipy.ndimage import gaussian_filter
    from skimage.transform import downscale_local_mean, resize

    step = int(sigma // 3)
    if step < 2:
        narrow: Plane = gaussian_filter(plane, sigma, mode="nearest")
        return narrow
    height, width = plane.shape
    padded = np.pad(plane, ((0, -height % step), (0, -width % step)), mode="edge")
    coarse = gaussian_filter(downscale_local_mean(padded, (step, step)), sigma / step, mode="nearest")
    smooth: Plane = resize(coarse, padded.shape, order=1)[:height, :width].astype(np.float32)
    return smooth
