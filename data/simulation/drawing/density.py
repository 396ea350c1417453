"""Between grey values and attenuation: findings add line integrals, films show them through a tone curve.

The tone curve is a logistic function of the line integral, as in the embedded data set, so

    line integral = width * logit(grey) + constant.

The width of a real film's curve is not known; the one is taken with which heart and lung of this film differ
by as much as they do in a projected chest CT. The constant is never needed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float32]

CHANGE_SCALE = 1.5
"""Change of a line integral that counts as 1 in a target; that of the embedded data
(`data.simulation.film.CHANGE_SCALE`, which cannot be had without importing torch)."""
LUNG_TO_HEART = 1.28
"""Line integral by which the heart left of the spine exceeds the lung fields: median against median, mean of
28 projections of the embedded CT, standard deviation 0.11."""
TOE = 0.03
"""Grey values nearer than this to black or white are taken as this far: there the film has no contrast left,
and a logit would turn rounding into attenuation."""
_LEAST_CONTRAST = 0.1


def logit(grey: Plane) -> Plane:
    """Inverse of the tone curve, in units of its width; grey within `TOE` of the ends counts as `TOE`."""
    inside = np.clip(grey, TOE, 1 - TOE)
    return np.log(inside / (1 - inside))


def tone_width(lung: float, heart: float) -> float:
    """Width of the tone curve of a film on which lung and heart have these grey values."""
    low, high = logit(np.array([lung, heart], dtype=np.float32))
    return LUNG_TO_HEART / max(float(high - low), _LEAST_CONTRAST)


def add_attenuation(grey: Plane, added: Plane, width: float) -> Plane:
    """A film `[H, W]` in [0, 1] with line integrals added to what it shows.

    Where nothing is added the film keeps its value exactly. Between `TOE` and 1 - `TOE` the logit rises by
    `added / width`; beyond, the tone curve saturates.
    """
    inside = np.clip(grey, TOE, 1 - TOE)
    exposed = 1 / (1 + np.exp(-(logit(grey) + added / np.float32(width))))
    shown: Plane = np.where(added == 0, grey, np.clip(grey + (exposed - inside), 0, 1)).astype(np.float32)
    return shown


def change_map(added: Plane) -> Plane:
    """Signed target in [-1, 1] from the change of the line integrals; positive is more attenuation."""
    target: Plane = np.clip(added / np.float32(CHANGE_SCALE), -1, 1)
    return target
