"""The two lung fields of a frontal radiograph, found by classical means.

Lungs are the two large regions that are darker than what surrounds them, side by side, with the bright
mediastinum between them. Only that is asked for; absolute grey values, exposure and tone curve do not matter.
The work is done on a copy of about 256 px:

1. padding and collimation are cut off, ribs, letters and lines are taken away by a grey opening, and the
   grey values are put in units of the local mean and deviation;
2. at many levels, connected regions below the level that could be a lung are collected, and the pair of
   them that fits best (edges, size, symmetry, height on the film) is taken;
3. its outline is moved to the steepest edge nearby by a watershed between the core of the regions and what
   is far from them.

A picture without such a pair is refused: lateral views, abdomens, hands, noise.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.stats import rankdata
from skimage.morphology import convex_hull_image, disk
from skimage.segmentation import watershed
from skimage.transform import resize

from data.base.errors import DataError
from data.simulation.films import Plane, resized
from data.simulation.shapes import blur, largest_piece
from data.simulation.volumes.anatomy import Lungs, Mask

Box = tuple[slice, slice]

SMALLEST_SIDE = 48
"""Fewer pixels than this along the shorter side show no lung field well enough to draw into."""
_WORK_SIDE = 256
_LONGEST = 4
"""Longer side over the shorter one of a radiograph, however it is padded."""
_LEVELS = np.linspace(-1.2, 0.6, 21)
# Shares of the height, the width or the area of the content.
_HEIGHT = 0.22
_WIDTH = (0.09, 0.58)
_AREA = (0.025, 0.32)
_BORDER_CONTACT = 0.2
_SOLIDITY = 0.64
_AREA_RATIO = 0.33
_OVERLAP = 0.5
_TOP_DIFFERENCE = 0.22
_SCORE = 0.016
_CONTRAST = 0.45
# Shares of the width of the chest: the mediastinum is narrow above, and wider below, where the heart is.
_UPPER_GAP = 0.3
_GAP_GROWTH = 0.04


def find_lungs(image: Plane, path: Path) -> Lungs:
    """Find the lung fields `[H, W]` of a frontal radiograph; the patient's right is on the viewer's left.

    Args:
        image: `[H, W]` in [0, 1], dense tissue bright, 48 px or more along either side.
        path: the file it comes from, for messages.

    Raises:
        DataError: naming the file and what is missing, or why it can be no chest radiograph.
    """
    height, width = image.shape
    if min(height, width) < SMALLEST_SIDE:
        raise DataError(
            f"{path} is {height} x {width}; a lung field needs {SMALLEST_SIDE} px or more along either side"
        )
    if max(height, width) > _LONGEST * min(height, width):
        raise DataError(
            f"{path} is {height} x {width}, a strip; give whole frontal chest radiographs, or leave it out"
        )
    pair = _find(image)
    if isinstance(pair, Lungs):
        return pair
    if isinstance(_find(1 - image), Lungs):
        raise DataError(
            f"{path} shows no two lung fields, but its negative does; if bone is dark in it, invert it, "
            "or leave it out"
        )
    raise DataError(
        f"{path} shows no two lung fields ({pair}); give frontal chest radiographs, or leave it out"
    )


def _find(image: Plane) -> Lungs | str:
    """The lung fields, or the reason why there are none."""
    small = resized(image, _WORK_SIDE)
    box = _content(small)
    if isinstance(box, str):
        return box
    # Equalised, no tone curve counts; as it is, black wedges beside a turned film count less.
    gradings = [_without_bones(grey) for grey in (small[box], _equalise(small[box]))]
    levels = [_in_local_units(coarse) for _, coarse in gradings]
    candidates = [region for level in levels for region in _candidates(level)]
    if not candidates:
        return "no dark region has the size and shape of a lung"
    level = levels[0]
    # The two regions, viewer's left first, that look most like a pair of lungs, and how much they do.
    pairs = ((right, left, _score(right, left, level.shape)) for right in candidates for left in candidates)
    best = max(pairs, key=lambda pair: pair[2])
    if best[2] <= 0:
        return "no two dark regions lie side by side at one height"
    if (reason := _doubt(*best, level)) is not None:
        return reason
    right, left = _to_edges(_in_local_units(gradings[0][0]), best[0].mask, best[1].mask)
    if not _have_a_heart_between(right, left):
        return "the gap between the two darkest regions has not the shape of a mediastinum"
    return Lungs(
        right=_enlarge(right, box, small.shape, image.shape),
        left=_enlarge(left, box, small.shape, image.shape),
    )


@dataclass(frozen=True, kw_only=True)
class _Region:
    """A dark region that could be a lung; lengths and areas as shares of the content."""

    mask: Mask
    area: float
    top: float
    bottom: float
    first: float
    last: float
    centre: float
    solidity: float
    edge: float
    """Mean steepness of the outline."""


def _content(small: Plane) -> Box | str:
    """Without the rows and columns at the borders in which nothing happens: padding and collimation.

    The reason instead where that leaves nothing, or too little.
    """
    calm = ndimage.median_filter(small, 3)
    slices = []
    for axis in (1, 0):
        busy = np.flatnonzero(np.ptp(calm, axis=axis) > 0.03)
        if not busy.size:
            return "it is flat"
        if busy.size < SMALLEST_SIDE:
            return "all but a narrow strip of it is empty"
        # Resizing and the median have smeared the border of the padding.
        slices.append(slice(int(busy[0]) + 2, int(busy[-1]) - 1))
    rows, columns = slices
    return rows, columns


def _equalise(content: Plane) -> Plane:
    """Plane values by their rank, so that only their order counts and no tone curve does."""
    ranks = rankdata(content, method="average").reshape(content.shape)
    return (ranks / content.size).astype(np.float32)


def _without_bones(content: Plane) -> tuple[Plane, Plane]:
    """Without letters, wires and ribs (finely), and without what of ribs and clavicles is left (coarsely).

    Bones cross a lung as bands that are low and wide: a tall and narrow opening takes them, and leaves
    diaphragm and mediastinum, which are taller.
    """
    thin = ndimage.grey_opening(content, size=(5, 5), mode="nearest")
    low = ndimage.grey_opening(thin, size=(2 * round(0.02 * max(content.shape)) + 1, 1), mode="nearest")
    return ndimage.gaussian_filter(low, 1.0), ndimage.gaussian_filter(low, 1.5)


def _in_local_units(grey: Plane) -> Plane:
    """Distance from the local mean in local standard deviations."""
    reach = 0.16 * max(grey.shape)
    offset = grey - blur(grey, reach)
    deviation = np.sqrt(blur(offset**2, reach))
    return (offset / (deviation + 0.02)).astype(np.float32)


def _candidates(level: Plane) -> list[_Region]:
    steepness = ndimage.gaussian_gradient_magnitude(level, 1.5)
    steepness /= np.percentile(steepness, 95) + 1e-9
    regions = []
    # Below each threshold this is the opening of what the level is below: narrow bridges are gone.
    closed = ndimage.grey_closing(level, footprint=disk(3))
    for threshold in _LEVELS:
        labels, _ = ndimage.label(closed < threshold)
        for number, box in enumerate(ndimage.find_objects(labels), 1):
            if (region := _as_region(labels, number, box, steepness)) is not None:
                regions.append(region)
    return regions


def _as_region(labels: NDArray[np.int32], number: int, box: Box, steepness: Plane) -> _Region | None:
    """The measures of a connected region if they are those of a lung."""
    height, width = labels.shape
    rows, columns = box
    if rows.stop - rows.start < _HEIGHT * height:
        return None
    if not _WIDTH[0] * width <= columns.stop - columns.start <= _WIDTH[1] * width:
        return None
    part = ndimage.binary_fill_holes(labels[box] == number)
    area = part.sum() / labels.size
    if not _AREA[0] <= area <= _AREA[1]:
        return None
    outline = part & ~ndimage.binary_erosion(part)
    ends = ((rows.start == 0, part[0]), (rows.stop == height, part[-1]))
    sides = ((columns.start == 0, part[:, 0]), (columns.stop == width, part[:, -1]))
    at_border = sum(int(line.sum()) for touches, line in (*ends, *sides) if touches)
    if at_border > _BORDER_CONTACT * outline.sum():  # air around the patient
        return None
    solidity = part.sum() / convex_hull_image(part).sum()
    if solidity < _SOLIDITY:
        return None
    mask = np.zeros(labels.shape, dtype=bool)
    mask[box] = part
    return _Region(
        mask=mask,
        area=area,
        top=rows.start / height,
        bottom=rows.stop / height,
        first=columns.start / width,
        last=columns.stop / width,
        centre=np.flatnonzero(mask.any(axis=0)).mean() / width,
        solidity=solidity,
        edge=steepness[box][outline].mean(),
    )


def _score(right: _Region, left: _Region, shape: tuple[int, ...]) -> float:
    if right.centre > left.centre - 0.12 or right.last > left.first + 0.05:
        return 0.0
    tall = max(right.bottom - right.top, left.bottom - left.top)
    overlap = (min(right.bottom, left.bottom) - max(right.top, left.top)) / tall
    ratio = min(right.area, left.area) / max(right.area, left.area)
    # An effusion can hide the base of a lung, but both apices stand at one height.
    level = abs(right.top - left.top) <= _TOP_DIFFERENCE * tall
    aspect = shape[1] / shape[0]
    slim = all(r.bottom - r.top > 0.75 * aspect * (r.last - r.first) for r in (right, left))
    if ratio < _AREA_RATIO or overlap < _OVERLAP or not level or not slim:
        return 0.0
    edges = min(right.edge, 2.0) * min(left.edge, 2.0)
    size = (right.area * left.area) ** 0.35
    return edges * size * ratio**0.5 * overlap * right.solidity * left.solidity


def _doubt(right: _Region, left: _Region, score: float, level: Plane) -> str | None:
    """Why the best pair is no pair of lungs, if it is none."""
    height = level.shape[0]
    first, last = max(right.top, left.top), min(right.bottom, left.bottom)
    rows = slice(round(first * height), round(last * height))
    columns = np.arange(level.shape[1])
    between = (
        (columns > np.flatnonzero(right.mask[rows].any(axis=0)).mean())
        & (columns < np.flatnonzero(left.mask[rows].any(axis=0)).mean())
        & ~(right.mask | left.mask)[rows]
    )
    lungs = (right.mask | left.mask)[rows]
    contrast = float(level[rows][between].mean() - level[rows][lungs].mean())
    if contrast < _CONTRAST:
        return "nothing bright lies between the two darkest regions"
    if score < _SCORE:
        return "the two darkest regions are too small, faint or unlike each other"
    return None


def _to_edges(level: Plane, right: Mask, left: Mask) -> tuple[Mask, Mask]:
    """Both outlines at the steepest edges between the core of the regions and what is far from them."""
    level = np.pad(level, 1, mode="edge")
    right, left = np.pad(right, 1, mode="edge"), np.pad(left, 1, mode="edge")
    reach = 0.055 * max(level.shape)
    markers = np.where(ndimage.distance_transform_edt(~(right | left)) > reach, 3, 0).astype(np.int32)
    markers[[0, -1]] = markers[:, [0, -1]] = 3  # a narrow film has nothing that is far away
    for number, mask in ((1, right), (2, left)):
        depth = ndimage.distance_transform_edt(mask)
        markers[depth > min(5.0, 0.5 * depth.max())] = number
    basins = watershed(ndimage.gaussian_gradient_magnitude(level, 1.2), markers)
    basins = basins[1:-1, 1:-1]
    return _smooth(basins == 1), _smooth(basins == 2)


def _have_a_heart_between(right: Mask, left: Mask) -> bool:
    """Whether two masks `[H, W]` leave the room of a mediastinum, head up, between them."""
    rows = np.flatnonzero(right.any(axis=1) & left.any(axis=1))
    if rows.size < 8:
        return False
    width = right.shape[1]
    gap = left.argmax(axis=1) - (width - right[:, ::-1].argmax(axis=1))
    outer = (width - left[:, ::-1].argmax(axis=1)) - right.argmax(axis=1)
    chest = outer[rows].max()
    parts = np.linspace(0, rows.size, 21).astype(int)  # twentieths of the height both lungs have
    upper, lower = (np.median(gap[rows[parts[first] : parts[last]]]) for first, last in ((2, 7), (13, 18)))
    return bool(upper < _UPPER_GAP * chest and lower - upper > _GAP_GROWTH * chest)


def _smooth(mask: Mask) -> Mask:
    """One piece without holes, with a smooth outline."""
    smooth = ndimage.gaussian_filter(mask.astype(np.float32), 2.0) > 0.42
    return ndimage.binary_fill_holes(largest_piece(smooth))


def _enlarge(mask: Mask, box: Box, small: tuple[int, ...], full: tuple[int, ...]) -> Mask:
    whole = np.zeros(small, dtype=np.float32)
    whole[box] = mask
    return resize(whole, full, order=1, anti_aliasing=False) > 0.5
