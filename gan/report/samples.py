"""The sample grids of a run, without the names of their cases."""

import re
from pathlib import Path
from typing import Any

from gan.pictures.grid import without_labels
from gan.report.encoding import picture_uri

_MOST = 50
"""Of more grids than these, as many are shown, evenly spread."""
_WIDEST = 1400
"""In pixels."""


def samples_of(folder: Path) -> list[dict[str, Any]]:
    """The grids by their epochs, smaller than they are; one of another layout is left out."""
    found = []
    for path in _spread(sorted(folder.glob("epoch_*.png"))):
        if not (epoch := re.fullmatch(r"epoch_(\d+)", path.stem)):
            continue
        try:
            picture = without_labels(path)
        except (OSError, ValueError):  # cut off, or not ours
            continue
        picture.thumbnail((_WIDEST, picture.height))
        found.append({"epoch": int(epoch[1]), "image": picture_uri(picture)})
    return found


def _spread(paths: list[Path]) -> list[Path]:
    if len(paths) <= _MOST:
        return paths
    return [paths[round(place * (len(paths) - 1) / (_MOST - 1))] for place in range(_MOST)]
