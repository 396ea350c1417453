"""The two lung fields of a frontal radiograph, found by classical means.

Lungs are darker than what surrounds them and have a shape that is known. Only that is asked for; absolute
grey values, exposure and tone curve do not matter. The work is done on a copy of 256 px:

1. padding and collimation are cut off, ribs, letters and lines are taken away by a grey opening, and the
   grey values are put in units of the local mean and deviation;
2. the shape of two lungs with a mediastinum between them that fits best is searched for, so that a field goes
   on where disease, a device or a large heart hides its border;
3. its outlines are moved to the edges nearby.

A picture that no such shape fits is refused: lateral views, abdomens, hands, noise.
"""

from pathlib import Path

import numpy as np
from scipy import ndimage
from scipy.stats import rankdata
from skimage.draw import polygon2mask

from data.base.errors import DataError
from data.simulation.drawing.fitting import fit, to_edges, weigh
from data.simulation.drawing.outlines import Array, outlines
from data.simulation.films import Plane, resized
from data.simulation.shapes import blur
from data.simulation.volumes.anatomy import Lungs, Mask

Box = tuple[slice, slice]

SMALLEST_SIDE = 48
"""Fewer pixels than this along the shorter side show no lung field well enough to draw into."""
_WORK_SIDE = 256
_LONGEST = 4
"""Longer side over the shorter one of a radiograph, however it is padded."""
# Evidence without which no shape counts as lungs (`Evidence`), log odds that leave no doubt, and by how
# much they must exceed those of the picture turned.
_SMALLEST, _BETWEEN, _BELOW, _CLEAR, _MARGIN = -2.9, 0.12, -0.25, 3.0, 0.6


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
    found = _find(image)
    if isinstance(found, Lungs):
        return found
    if isinstance(_find(1 - image), Lungs):
        raise DataError(
            f"{path} shows no two lung fields, but its negative does; if bone is dark in it, invert it, "
            "or leave it out"
        )
    raise DataError(
        f"{path} shows no two lung fields ({found}); give frontal chest radiographs, or leave it out"
    )


def _find(image: Plane) -> Lungs | str:
    """The lung fields, or the reason why there are none."""
    small = resized(image, _WORK_SIDE)
    box = _content(small)
    if isinstance(box, str):
        return box
    # Equalised, no tone curve counts; as it is, black wedges beside a turned film count less.
    gradings = [_without_bones(grey) for grey in (small[box], _equalise(small[box]))]
    fine, coarse = (
        np.mean([_in_local_units(grey) for grey in sharpness], axis=0)
        for sharpness in zip(*gradings, strict=True)
    )
    shape = fit(coarse)
    if (reason := _doubt(shape, coarse)) is not None:
        return reason
    half_width = float(np.exp(shape[0, 2])) * coarse.shape[1]
    right, left = to_edges(outlines(shape, coarse.shape)[0], fine, half_width)
    corner = np.array([part.start for part in box])
    scale = np.array(image.shape) / small.shape
    return Lungs(
        right=_filled(right, corner, scale, image.shape), left=_filled(left, corner, scale, image.shape)
    )


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
    """Distance from the local mean in local standard deviations, no more than 2.5."""
    reach = 0.16 * max(grey.shape)
    offset = grey - blur(grey, reach)
    deviation = np.sqrt(blur(offset**2, reach))
    return np.clip(offset / (deviation + 0.02), -2.5, 2.5).astype(np.float32)


def _doubt(shape: Array, level: Plane) -> str | None:
    """Why the best shape on a picture is no pair of lungs, if it is none."""
    found = weigh(shape, level)
    if found.size < _SMALLEST:
        return "its dark regions are too small for lungs"
    if found.between < _BETWEEN:
        return "nothing bright lies between its dark regions"
    if found.below < _BELOW:
        return "nothing bright lies below its dark regions"
    if found.log_odds < 0:
        return "no two dark regions in it have the shape of lungs"
    if found.log_odds < _CLEAR and _fits_turned(level, found.log_odds.item()):
        return "it looks as much like a chest when it is turned"
    return None


def _fits_turned(level: Plane, log_odds: float) -> bool:
    """Whether lungs fit a picture upside down or on its side as well; then it is a texture, or lies so."""
    turned = (np.ascontiguousarray(np.rot90(level, quarters)) for quarters in (1, 2, 3))
    return any(weigh(fit(one), one).log_odds.item() > log_odds - _MARGIN for one in turned)


def _filled(outline: Array, corner: Array, scale: Array, shape: tuple[int, ...]) -> Mask:
    """Mask `[H, W]` of an outline in columns and rows of the small copy's content."""
    rows_and_columns = (outline[:, ::-1] + corner + 0.5) * scale - 0.5
    return polygon2mask(shape, rows_and_columns)
