"""Spectra of change maps `[N, 1, H, W]`: how far off they are, and how much of a checkerboard shows in them.

What does not show in an image of 8 bits counts in neither: its noise is the floor of all power.
"""

import torch
from torch import Tensor

_NOISE = (1 / 255) ** 2 / 12
"""Variance of rounding to 8 bits."""
_PERIOD = 4
"""A checkerboard of the last upsampling, or of the one before, repeats itself after so many pixels."""


def spectral_distance(maps: Tensor, truths: Tensor) -> float:
    """Mean over radii, up to the Nyquist frequency, of the difference in dB of the mean radial power spectra.

    Source: Durall et al., "Watch your Up-Convolution", CVPR 2020, section 3.1, for the radial spectrum.
    """
    levels = [10 * torch.log10(_radial(_power(part))) for part in (maps, truths)]
    return float((levels[0] - levels[1]).abs().mean())


def checkerboard(maps: Tensor) -> float:
    """The share of the power at the frequencies of a checkerboard that has the same phase in all maps.

    Those are the multiples of a half and of a quarter of the sampling frequency. What a network repeats
    with its pixel grid is in phase; edges are where they are, and not. Without a checkerboard the share is
    0 on average, and a little above or below.

    Source: Odena et al., "Deconvolution and Checkerboard Artifacts", Distill 2016.
    """
    count, (height, width) = len(maps), maps.shape[-2:]
    rows, columns = height - height % _PERIOD, width - width % _PERIOD
    # One period, of which each pixel is the sum of all that lie there in theirs.
    folded = maps[..., :rows, :columns].double().unflatten(-1, (-1, _PERIOD)).unflatten(-3, (-1, _PERIOD))
    phasors = torch.fft.fft2(folded.sum((-4, -2)))[:, 0]
    noise = rows * columns * _NOISE
    power = phasors.abs().square().mean(0) + noise
    in_phase = phasors.mean(0).abs().square() + noise / count
    share = (count * in_phase - power) / ((count - 1) * power)
    return float(share.flatten()[1:].mean())


def _power(maps: Tensor) -> Tensor:
    """Mean power `[H, W]` through a Hann window, without which borders make a cross of all frequencies."""
    sides = maps.shape[-2:]
    window = torch.outer(
        *(torch.hann_window(side, dtype=torch.float64, device=maps.device) for side in sides)
    )
    power = sum(torch.fft.fft2(part[:, 0] * window).abs().square().sum(0) for part in maps.split(64))
    return torch.as_tensor(power) / len(maps) + window.square().sum() * _NOISE


def _radial(power: Tensor) -> Tensor:
    """Mean of `[H, W]` over circles, one a bin of the shorter side, up to the Nyquist frequency."""
    rows, columns = (torch.fft.fftfreq(side, device=power.device) for side in power.shape)
    bins = min(power.shape) // 2
    radius = (torch.hypot(rows[:, None], columns[None]) * 2 * bins).round().long()
    inside = radius <= bins
    counts = torch.bincount(radius[inside], minlength=bins + 1)
    return torch.bincount(radius[inside], power[inside], minlength=bins + 1) / counts
