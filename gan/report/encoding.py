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
_MARGIN = 0.97  # of what a smaller picture is expected to take

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

    None where they would be smaller than `SMALLEST`.
    """
    found = [planes_uri(planes) for planes in stacks]
    side = stacks[0].shape[-1] if stacks else 0
    while (total := sum(map(len, found))) > budget:
        side = int(side * min(_MARGIN, _MARGIN * (budget / total) ** 0.5)) if budget > 0 else 0
        if side < SMALLEST:
            return None
        found = [planes_uri(_resized(planes, side)) for planes in stacks]
    return found


def _resized(planes: Planes, side: int) -> Planes:
    return np.stack(
        [Image.fromarray(plane).resize((side, side), Image.Resampling.BOX) for plane in planes]  # type: ignore[misc]
    )
