"""What of a map exceeds a threshold, region by region."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from gan.measures.lesions import label_components


@dataclass(frozen=True, kw_only=True)
class Region:
    """A connected part of a map that reaches the threshold; mm are None where spacing is unknown."""

    direction: str
    """`more` or `less` attenuation in the followup; of maps that do not tell, `change`."""
    x: float
    """Column of its centre, in pixels of the map from 0."""
    y: float
    """Row of its centre, in pixels of the map from 0."""
    x_mm: float | None
    """The same, in mm from the centre of the first pixel."""
    y_mm: float | None
    left: int
    top: int
    width: int
    height: int
    area: int
    """In pixels."""
    area_mm2: float | None
    mean: float
    """Of the map within it."""
    largest: float
    """Farthest from 0 of the map within it."""


COLUMNS = tuple(field.name for field in fields(Region))


def find_regions(
    change: NDArray[np.float32], threshold: float, *, signed: bool, spacing_mm: tuple[float, float] | None
) -> list[Region]:
    """The changed regions of a map `[H, W]`, the largest first.

    Pixels touch at their corners, too. Below 1/10,000 of the image, or 3 pixels, are specks and no regions.

    Args:
        change: the map.
        threshold: from which magnitude on a pixel is changed.
        signed: whether the map tells directions; regions of the two are apart.
        spacing_mm: distance between rows and between columns.
    """
    sides = {"more": change, "less": -change} if signed else {"change": change}
    found = [
        region
        for direction, values in sides.items()
        for region in _regions(change, values >= threshold, direction, spacing_mm)
    ]
    return sorted(found, key=lambda region: -region.area)


def _regions(
    change: NDArray[np.float32],
    changed: NDArray[np.bool_],
    direction: str,
    spacing_mm: tuple[float, float] | None,
) -> Iterator[Region]:
    labels, areas = label_components(changed, changed.size)
    down, across = spacing_mm or (np.nan, np.nan)
    for number, (box, area) in enumerate(zip(ndimage.find_objects(labels), areas.tolist(), strict=True), 1):
        rows, columns = np.nonzero(labels[box] == number)
        values = change[box][rows, columns]
        y, x = box[0].start + rows.mean(), box[1].start + columns.mean()
        yield Region(
            direction=direction,
            x=float(x),
            y=float(y),
            x_mm=_known(x * across),
            y_mm=_known(y * down),
            left=box[1].start,
            top=box[0].start,
            width=box[1].stop - box[1].start,
            height=box[0].stop - box[0].start,
            area=area,
            area_mm2=_known(area * across * down),
            mean=float(values.mean()),
            largest=float(values[np.abs(values).argmax()]),
        )


def _known(length: float) -> float | None:
    return None if np.isnan(length) else float(length)


def rows_of(regions: Sequence[Region]) -> list[list[str]]:
    """Lines of a table with the columns `COLUMNS`; numbers to four digits after the point."""
    return [[_text(value) for value in asdict(region).values()] for region in regions]


def _text(value: str | float | None) -> str:
    if value is None:
        return ""
    return f"{value:.4f}" if isinstance(value, float) else str(value)
