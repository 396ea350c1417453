"""Pictures as text that a page holds: data URIs, and stacks of planes that share one picture."""

import io
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SMALLEST = 64
"""Side below which a radiograph shows nothing, in pixels."""
_GRID_QUALITY = 80
_MARGIN = 0.97  # of the side at which all is expected to fit
_TRIED = 8

Planes = NDArray[np.uint8]


def data_uri(data: bytes, kind: str) -> str:
    """Bytes of a picture of a kind, such as `webp`."""
    return f"data:image/{kind};base64,{b64encode(data).decode()}"


def png_uri(path: Path) -> str:
    """A PNG file as it is."""
    return data_uri(path.read_bytes(), "png")


def picture_uri(picture: Image.Image) -> str:
    """A picture for the eye, with losses that it does not see."""
    file = io.BytesIO()
    picture.save(file, "WEBP", quality=_GRID_QUALITY)
    return data_uri(file.getvalue(), "webp")


def planes_uri(planes: Planes) -> str:
    """Planes `[N, S, S]` side by side in one picture, exact to the bit."""
    file = io.BytesIO()
    Image.fromarray(np.concatenate(list(planes), axis=1)).save(file, "WEBP", lossless=True, quality=60)
    return data_uri(file.getvalue(), "webp")


def fitted(stacks: Sequence[Planes], budget: int) -> list[str] | None:
    """Stacks of planes as data URIs of so many characters together, smaller where need be.

    How small is tried with a few of them first. None where they would be smaller than `SMALLEST`.
    """
    found: list[str] = []
    side = stacks[0].shape[-1] if stacks else 0
    for some in (stacks[:: max(1, len(stacks) // _TRIED)], stacks):
        found = [planes_uri(_resized(planes, side)) for planes in some]
        while (total := sum(map(len, found)) * len(stacks) / max(1, len(some))) > budget:
            side = int(side * _MARGIN * min(1, max(0, budget) / total) ** 0.5)
            if side < SMALLEST:
                return None
            found = [planes_uri(_resized(planes, side)) for planes in some]
    return found


def _resized(planes: Planes, side: int) -> Planes:
    if planes.shape[-1] == side:
        return planes
    pictures = (Image.fromarray(plane).resize((side, side), Image.Resampling.BOX) for plane in planes)
    return np.stack([np.asarray(picture) for picture in pictures])
