"""Registration of a baseline to its followup by a similarity, with a measure of confidence.

Both images are standardised locally, so that neither exposure nor processing matters, and compared by a
robust norm, so that a real change does not either. All rotations, sizes and shifts within reach are tried at
a low resolution; Gauss-Newton steps refine the best of them at rising ones. The same is done from the
followup to the baseline: what does not lead back to where it started is no fit.

Source: for the search, Padfield, Masked object registration in the Fourier domain, IEEE TIP 21(5), 2012; for
the steps, Benhimane and Malis, Real-time image-based tracking of planes using efficient second-order
minimization, IROS 2004; for their weights, Holland and Welsch, Robust regression using iteratively reweighted
least-squares, Communications in Statistics 6(9), 1977.
"""

from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample, interpolate

from data.batch import PairSample

LEAST_CONFIDENCE = 0.4
"""Below it nothing is warped. Pairs of one patient reach 0.42 to 0.97, noise and empty images at most 0.1."""
SIZES = (32, 64, 128)
"""Sides at which images are compared, in pixels, up to their own; more detail makes the fit no better."""
_STEPS = 8
_ANGLES = (-12.0, -8.0, -4.0, 0.0, 4.0, 8.0, 12.0)
_SCALES = (0.87, 0.93, 1.0, 1.075, 1.15)
_REACH = 0.2
"""Largest shift that is tried, as a share of the side."""
_OVERLAP = 0.4
"""Least share of the smaller film that must lie on the other one."""
_NEIGHBOURHOOD = 12
"""Standard deviation of the neighbourhood of local standardisation, in parts of the side."""
_TOLERANCE = 0.7
"""Difference of standardised grey from which on a pixel's pull falls."""
_CONSISTENT = 0.06
"""Way off, there and back, at which confidence has fallen by 40 %; half sides."""


@dataclass(frozen=True)
class Alignment:
    """Similarities that lay `B` baselines on their followups, and how far they can be trusted."""

    transform: Tensor
    """`[B, 3, 3]`: from coordinates (x, y, 1) in the followup to those in the baseline, both `[-1, 1]` over
    the square image, whatever its size."""
    confidence: Tensor
    """`[B]` in `[0, 1]`: correlation of the two standardised images, less where the way back is another."""

    @property
    def trusted(self) -> Tensor:
        """`[B]` bool: pairs that may be warped."""
        return self.confidence >= LEAST_CONFIDENCE

    def kept(self) -> Tensor:
        """The transforms `[B, 3, 3]`, the identity where they are not to be trusted."""
        identity = torch.eye(3, device=self.transform.device)
        return torch.where(self.trusted[:, None, None], self.transform, identity)


@torch.no_grad()
def register(baseline: Tensor, followup: Tensor, *, masks: tuple[Tensor, Tensor] | None = None) -> Alignment:
    """Find where each baseline lies on its followup; a function of the images alone.

    Args:
        baseline: `[B, 1, S, S]` float32; any scale of values.
        followup: the same of the later images.
        masks: where the two films lie, `[B, 1, S, S]` of 1 and 0; everywhere by default.

    Raises:
        ValueError: the images are not square, or not of one shape.
    """
    if baseline.shape != followup.shape or baseline.shape[-1] != baseline.shape[-2]:
        found = f"{tuple(baseline.shape)} and {tuple(followup.shape)}"
        raise ValueError(f"images to register must be square and of one shape, not {found}")
    images = torch.cat([baseline, followup])
    valid = torch.ones_like(images) if masks is None else torch.cat(masks)
    sizes = sorted({min(size, images.shape[-1]) for size in SIZES})
    levels = [_standardised(images, valid, size) for size in sizes]
    # Of each baseline its followup, and the other way round.
    transform = _search(levels[0], levels[0].roll(len(baseline), 0))
    for moving in levels:
        fixed = moving.roll(len(baseline), 0)
        for _ in range(_STEPS):
            transform = transform @ _step(warp(moving, transform), fixed)
    agreement = _correlation(warp(moving, transform), fixed).chunk(2)[0]
    forth, back = transform.chunk(2)
    return Alignment(forth, agreement.clamp(0, 1) * _consistency(forth @ back))


def warp(images: Tensor, transform: Tensor) -> Tensor:
    """Images `[B, C, S, S]` of the baselines' geometry, moved onto the followups; 0 where nothing lies."""
    grid = affine_grid(transform[:, :2], list(images.shape), align_corners=False)
    return grid_sample(images, grid, align_corners=False)


def warp_mask(mask: Tensor, transform: Tensor) -> Tensor:
    """Like `warp`, of 1 and 0: 1 where all that a pixel is mixed from was 1."""
    return (warp(mask, transform) > 0.999).to(mask.dtype)  # rounding must not decide


def lay(
    baseline: Tensor, followup: Tensor, masks: tuple[Tensor, Tensor], transform: Tensor
) -> tuple[Tensor, Tensor]:
    """Move baselines onto their followups `[B, 1, S, S]`, and say where they lie then.

    What a baseline does not reach shows the followup at its exposure, where nothing is known to have
    changed: a network takes a black rim for a change, and what it makes of it spreads.

    Returns:
        The baselines in the followups' geometry, and the mask of what comes from them.
    """
    moved, known = warp(baseline, transform), warp_mask(masks[0], transform)
    both = known * masks[1]
    count = both.sum((2, 3), keepdim=True).clamp(min=1)
    mean, mean_followup = ((both * x).sum((2, 3), keepdim=True) / count for x in (moved, followup))
    apart = both * (followup - mean_followup)
    power = (apart**2).sum((2, 3), keepdim=True).clamp(min=1e-6)
    slope = ((apart * moved).sum((2, 3), keepdim=True) / power).clamp(min=0)
    level = (mean + slope * (followup - mean_followup)).clamp(0, 1)
    return torch.where(known > 0, moved, level * masks[1]), known


class Aligner:
    """Aligns the pairs of a split; each is registered once, if the data does not bring its alignment.

    Args:
        enabled: otherwise pairs stay as they are.
    """

    def __init__(self, *, enabled: bool = True) -> None:
        self.enabled = enabled
        self._known: dict[str, str] = {}

    def __call__(self, sample: PairSample) -> PairSample:
        """The pair with its baseline, and the target in its geometry, on the followup; or as it is.

        `valid` leaves out what the baseline does not reach.
        """
        if not self.enabled:
            return sample
        text = sample.alignment or self._known.get(sample.id)
        if text is None:
            (text,) = to_texts(_register_sample(sample))
            self._known[sample.id] = text
        alignment = from_text(text)
        return _moved(sample, alignment.transform) if alignment.trusted else sample


def to_texts(alignments: Alignment) -> list[str]:
    """One text a pair: scaled cosine and sine, shifts in x and y, confidence."""
    rows = torch.cat([alignments.transform[:, :2].flatten(1), alignments.confidence[:, None]], dim=1)
    order = [0, 3, 2, 5, 6]  # of a similarity the others follow
    return [" ".join(f"{number:.6f}" for number in row) for row in rows[:, order].tolist()]


def from_text(text: str) -> Alignment:
    """Undo `to_texts`, for one pair."""
    cosine, sine, x, y, confidence = torch.tensor([float(number) for number in text.split()])
    return Alignment(_similarity(*(number[None] for number in (cosine, sine, x, y))), confidence[None])


def _register_sample(sample: PairSample) -> Alignment:
    masks = None if sample.masks is None else (sample.masks[0][None], sample.masks[1][None])
    return register(sample.baseline[None], sample.followup[None], masks=masks)


def _moved(sample: PairSample, transform: Tensor) -> PairSample:
    everywhere = torch.ones_like(sample.baseline)
    old, new = sample.masks or (everywhere, everywhere)
    baseline, known = lay(sample.baseline[None], sample.followup[None], (old[None], new[None]), transform)
    target = sample.target_baseline
    return replace(
        sample,
        baseline=baseline[0],
        target_baseline=None if target is None else warp(target[None], transform)[0],
        valid=known[0] * new,
    )


def _standardised(images: Tensor, valid: Tensor, size: int) -> Tensor:
    """Images less their local mean by their local deviation, limited, and masks: `[B, 2, size, size]`."""
    from kornia.filters import gaussian_blur2d

    images, mask = (_resized(tensor, size) for tensor in (images, valid))
    mask = (mask > 0.999).to(images.dtype)
    sigma = size / _NEIGHBOURHOOD
    width = 2 * round(1.5 * sigma) + 1
    blur = partial(gaussian_blur2d, kernel_size=(width, width), sigma=(sigma, sigma))
    weight = blur(mask).clamp(min=1e-3)
    detail = (images - blur(images * mask) / weight) * mask
    variance = blur(detail**2) / weight
    # What is fainter than a third of the usual detail is noise.
    noise = 0.1 * (variance * mask).mean((2, 3), keepdim=True) + 1e-8
    return torch.cat([torch.tanh(0.5 * detail / (variance + noise).sqrt()), mask], dim=1)


def _resized(images: Tensor, size: int) -> Tensor:
    return interpolate(images, size=(size, size), mode="bilinear", align_corners=False, antialias=True)


def _search(moving: Tensor, fixed: Tensor) -> Tensor:
    """The best of all rotations and sizes with their best shift, by masked correlation: `[B, 3, 3]`."""
    size, device = moving.shape[-1], moving.device
    tried = _tried(device)
    turned = warp(moving.repeat_interleave(len(tried), 0), tried.repeat(len(moving), 1, 1))
    score = _correlations(turned.unflatten(0, (len(moving), len(tried))), fixed[:, None])
    side = score.shape[-1]
    best = score.flatten(1).argmax(1)
    shift = torch.stack([best % side, best // side % side]) - side // 2
    x, y = 2 / size * shift
    return tried[best // side**2] @ _similarity(torch.ones_like(x), torch.zeros_like(x), x, y)


def _tried(device: torch.device) -> Tensor:
    """Rotations about the centre and sizes that are tried, all with all."""
    angles, scales = torch.tensor(_ANGLES, device=device), torch.tensor(_SCALES, device=device)
    turns = torch.polar(scales[:, None], torch.deg2rad(angles)[None]).flatten()
    nothing = torch.zeros_like(turns.real)
    return _similarity(turns.real, turns.imag, nothing, nothing)


def _correlations(moving: Tensor, fixed: Tensor) -> Tensor:
    """Correlations for every shift within reach `[B, K, 2 reach + 1, 2 reach + 1]`, first in y.

    At shift d the value of `moving` at x + d meets that of `fixed` at x; -1 where too few of them meet.
    """
    size = moving.shape[-1]
    reach = round(_REACH * size)

    def spectra(images: Tensor) -> tuple[Tensor, ...]:
        grey, mask = images.unbind(-3)
        return tuple(torch.fft.rfft2(x, s=(size + reach, size + reach)) for x in (grey, grey**2, mask))

    def over_shifts(one: Tensor, other: Tensor) -> Tensor:
        sums = torch.fft.irfft2(one * other.conj(), s=(size + reach, size + reach))
        return sums.roll((reach, reach), (-2, -1))[..., : 2 * reach + 1, : 2 * reach + 1]

    (grey, power, mask), (grey_fixed, power_fixed, mask_fixed) = spectra(moving), spectra(fixed)
    powers = over_shifts(power, mask_fixed) * over_shifts(mask, power_fixed)
    correlation = over_shifts(grey, grey_fixed) / powers.clamp(min=1e-6).sqrt()
    films = torch.minimum(mask[..., 0, 0].real, mask_fixed[..., 0, 0].real)[..., None, None]
    return torch.where(over_shifts(mask, mask_fixed) > _OVERLAP * films, correlation, -1)


def _step(moving: Tensor, fixed: Tensor) -> Tensor:
    """One Gauss-Newton step from images that are nearly aligned: similarities `[B, 3, 3]` to put behind."""
    from kornia.filters import spatial_gradient

    size = moving.shape[-1]
    error, counted = fixed[:, 0] - moving[:, 0], fixed[:, 1] * moving[:, 1]
    slopes = spatial_gradient(torch.stack([moving[:, 0], fixed[:, 0]], dim=1), mode="diff").mean(1)
    down, across = slopes[:, 1] * size / 2, slopes[:, 0] * size / 2
    places = (torch.arange(size, device=moving.device) * 2 + 1) / size - 1
    y, x = torch.meshgrid(places, places, indexing="ij")
    jacobian = torch.stack([across * x + down * y, down * x - across * y, across, down], dim=-1).flatten(1, 2)
    weighted = jacobian * (counted * torch.exp(-((error / _TOLERANCE) ** 2))).flatten(1)[..., None]
    normal = weighted.mT @ jacobian
    damping = 1e-3 * normal.diagonal(dim1=1, dim2=2).mean(1) + 1e-6
    normal = normal + damping[:, None, None] * torch.eye(4, device=moving.device)
    change = torch.linalg.solve(normal, weighted.mT @ error.flatten(1)[..., None])[..., 0]
    growth, turn, right, low = change.clamp(-0.1, 0.1).unbind(1)
    return _similarity(1 + growth, turn, right, low)


def _correlation(moving: Tensor, fixed: Tensor) -> Tensor:
    """Correlation `[B]` of standardised images where both lie."""
    counted = moving[:, 1] * fixed[:, 1]
    product, one, other = (
        (counted * a * b).sum((1, 2))
        for a, b in ((moving[:, 0], fixed[:, 0]), (moving[:, 0], moving[:, 0]), (fixed[:, 0], fixed[:, 0]))
    )
    return product / (one * other).sqrt().clamp(min=1e-6)


def _consistency(loop: Tensor) -> Tensor:
    """How near to where they started points come, there and back `[B, 3, 3]`: 1 there, 0 far off `[B]`."""
    cosine, sine, x, y = loop[:, 0, 0] - 1, loop[:, 1, 0], loop[:, 0, 2], loop[:, 1, 2]
    mean_square = (cosine**2 + sine**2) * 2 / 3 + x**2 + y**2  # over the square
    return torch.exp(-0.5 * mean_square / _CONSISTENT**2)


def _similarity(cosine: Tensor, sine: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Matrices `[N, 3, 3]` of scaled rotations and shifts `[N]`."""
    zero, one = torch.zeros_like(x), torch.ones_like(x)
    return torch.stack([cosine, -sine, x, sine, cosine, y, zero, zero, one], dim=-1).view(-1, 3, 3)
