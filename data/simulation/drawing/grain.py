"""How sharp a film is and how much noise it has at each grey value, so that what is drawn has the same."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, uniform_filter

from data.simulation.films import TOE, Plane

_SOFTEST = 1.5
"""Largest blur in pixels; beyond, smooth anatomy would be taken for a blurred film."""
_SHARPEST = 0.3
"""A smaller blur changes nothing."""
_LINES = 400
"""Rows that are looked at."""
_GREYS = np.linspace(TOE, 1 - TOE, 13)
_FEW = 400
"""Fewer pixels of a grey value than this tell nothing."""
_CALM = 25
"""Percentile of the local deviation up to which it is noise, not anatomy."""
_ROUNDING = 1e-12
"""A variance that is no noise."""


@dataclass(frozen=True, kw_only=True)
class Grain:
    """Noise and sharpness of one film."""

    blur: float
    """Standard deviation in pixels of the Gaussian blur that makes such grain of white noise."""
    greys: NDArray[np.float64]
    """Grey values `[N]`, ascending."""
    noise: NDArray[np.float64]
    """Standard deviation `[N]` of the noise at these grey values."""

    @classmethod
    def of(cls, image: Plane) -> Self:
        """The grain of a film `[H, W]` in [0, 1], from its second differences where it is calm.

        White noise under a Gaussian blur is correlated by r**(d*d) at a distance of d pixels. Second
        differences over d pixels then have the variance 2 (3 - 4 r**(d*d) + r**(4*d*d)), in units of its own.
        """
        lines = image[:: max(1, image.shape[0] // _LINES)]
        one = (lines[:, 3:-1] - 2 * lines[:, 2:-2] + lines[:, 1:-3]) ** 2
        two = (lines[:, 4:] - 2 * lines[:, 2:-2] + lines[:, :-4]) ** 2
        local, grey = uniform_filter(one, 5), uniform_filter(lines, 5)[:, 2:-2]
        found = []
        for low, high in pairwise(_GREYS):
            here = (grey >= low) & (grey < high) & (local > _ROUNDING)
            if np.count_nonzero(here) >= _FEW:
                calm = here & (local <= np.percentile(local[here], _CALM))
                found.append(((low + high) / 2, one[calm].mean(), two[calm].mean()))
        if not found:
            return cls(blur=0.0, greys=np.array([0.5]), noise=np.zeros(1))
        greys, near, far = np.array(found, dtype=np.float64).T
        correlation = _correlation(float(np.median(near / far)))
        blur = min(_SOFTEST, float(np.sqrt(-0.25 / np.log(correlation))))
        return cls(blur=blur, greys=greys, noise=np.sqrt(near / _variance(correlation, 1)))

    def soften(self, added: Plane) -> Plane:
        """What is drawn `[H, W]`, as sharp as the film."""
        return gaussian_filter(added, self.blur, mode="nearest") if self.blur > _SHARPEST else added

    def renew(self, before: Plane, after: Plane, rng: np.random.Generator) -> Plane:
        """A film `[H, W]` with the noise that it has at its new grey values.

        The tone curve has stretched or squeezed the noise that was there; what is missing is added.

        Args:
            before: the film.
            after: the film with something drawn into it.
            rng: source of the noise.
        """
        white = rng.normal(size=after.shape).astype(np.float32)
        noise = gaussian_filter(white, self.blur) if self.blur > _SHARPEST else white
        kept = np.interp(before, self.greys, self.noise) * _slope(after) / _slope(before)
        missing = np.sqrt(np.clip(np.interp(after, self.greys, self.noise) ** 2 - kept**2, 0, None))
        renewed = np.clip(after + missing * noise / noise.std(), 0, 1)
        return np.where(after == before, after, renewed).astype(np.float32)


def _correlation(ratio: float) -> float:
    """Correlation of neighbours from the ratio of the variances over one pixel and over two.

    It falls from 1 for white noise to 1/16.
    """
    steps = np.linspace(1e-3, 0.99, 1000)
    return float(np.interp(-ratio, -_variance(steps, 1) / _variance(steps, 2), steps))


def _variance(correlation: Any, pixels: int) -> Any:
    """Of second differences, relative to that of the noise."""
    near = correlation ** (pixels**2)
    return 2 * (3 - 4 * near + near**4)


def _slope(grey: Plane) -> Plane:
    """Of the tone curve, in units of its width."""
    inside = np.clip(grey, TOE, 1 - TOE)
    return inside * (1 - inside)
