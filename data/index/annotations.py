"""Boxes, masks and labels of published annotations -> cells of a manifest."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data.base.errors import DataError
from data.files.frames import Frame, frame_of
from data.index.catalogue import Catalogue, GivenPairs, Images, constant
from data.index.files import exist
from data.manifests.regions import Box, FindingChange, Progression, box_in, changes_cell

_READERS = 16  # threads that wait for a file system
_WORDS: Mapping[str, Progression] = {
    **{"new": "new", "resolved": "resolved"},
    **{"worse": "worse", "worsened": "worse", "worsening": "worse"},
    **{"stable": "stable", "no change": "stable", "unchanged": "stable"},
    **{"improved": "improved", "improving": "improved"},
}
Cells = Mapping[tuple[str, str], str]
"""Cells of regions by column and image."""


class Row(NamedTuple):
    """One line of annotations: how a finding changed between two images, by their names."""

    baseline: str
    followup: str
    change: FindingChange


def progression_of(word: str) -> Progression | None:
    """The progression that a data set's own word means."""
    return _WORDS.get(word.strip().lower())


def frames_of(images: Images, root: Path, named: Collection[str] | None = None) -> dict[str, Frame]:
    """Frames of the images that are there, or of the `named` ones, by name, from their files' headers."""
    wanted = images.image if named is None else pa.array(sorted(named), pa.string())
    chosen = images.take(pc.indices_nonzero(pc.is_in(images.image, value_set=wanted)).to_numpy())
    chosen = chosen.take(np.flatnonzero(exist(root, chosen.path)))
    with ThreadPoolExecutor(_READERS) as pool:
        frames = pool.map(lambda path: frame_of(root / path), chosen.path.to_pylist())
        return dict(zip(chosen.image.to_pylist(), frames, strict=True))


def boxes_in(boxes: Iterable[Sequence[float]], frame: Frame, place: str) -> tuple[Box, ...]:
    """Boxes of stored pixels, in fractions of their image as it is seen.

    Raises:
        DataError: naming `place`, for a box that is empty or outside the image.
    """
    with naming(place):
        return tuple(_seen(box_in(box, frame.width, frame.height), frame) for box in boxes)


@contextmanager
def naming(place: str) -> Iterator[None]:
    """What is wrong with an annotation, in one line that says which."""
    try:
        yield
    except ValueError as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"{place}: {error}; take the official table and the images it was made for, or remove the row"
        ) from None


def region_columns(images: pa.Array, cells: Cells) -> dict[str, pa.Array]:
    """A column for every name, of the cells by image."""
    names = images.to_pylist()
    return {
        column: pa.array([cells.get((column, name)) for name in names], pa.string())
        for column in sorted({column for column, _ in cells})
    }


def paired(rows: Iterable[Row], images: pa.Array) -> GivenPairs:
    """One pair for every two images, with all that is said of it: `findings`, `progression` and `changes`.

    Lines on one finding with one progression become one change that has the boxes of all.

    Args:
        rows: their images are all among `images`.
        images: names, none of them twice.
    """
    by_pair: dict[tuple[str, str], dict[tuple[str, str], FindingChange]] = defaultdict(dict)
    for baseline, followup, change in rows:
        changes, key = by_pair[baseline, followup], (change.finding, change.progression)
        changes[key] = _united(changes[key], change) if key in changes else change
    place = {name: row for row, name in enumerate(images.to_pylist())}
    columns: dict[str, list[str]] = {"findings": [], "progression": [], "changes": []}
    for found in by_pair.values():
        columns["findings"].append("+".join(dict.fromkeys(change.finding for change in found.values())))
        columns["progression"].append("+".join(sorted({change.progression for change in found.values()})))
        columns["changes"].append(changes_cell(found.values()))
    return GivenPairs(
        baseline=np.array([place[baseline] for baseline, _ in by_pair], np.int64),
        followup=np.array([place[followup] for _, followup in by_pair], np.int64),
        columns={name: pa.array(cells, pa.string()) for name, cells in columns.items()},
    )


def of_parent(parent: Catalogue, names: Iterable[str], namespace: str) -> Catalogue:
    """The images of another data set that annotations name, all of them to test on."""
    wanted = pa.array(sorted(set(names)), pa.string())
    rows = pc.index_in(wanted, value_set=parent.images.image)
    parent.select(rows.drop_null().to_numpy().astype(np.int64))
    images = replace(parent.images, split=constant("test", len(parent.images)))
    catalogue = Catalogue(
        images=images, namespace=namespace, official_splits=frozenset({"test"}), dated=parent.dated
    )
    if rows.null_count:
        catalogue.refused["image that its data set does not list"] += rows.null_count
    return catalogue


def known(rows: Iterable[Row], images: Images) -> list[Row]:
    """The lines of which both images are there."""
    names = set(images.image.to_pylist())
    return [row for row in rows if row.baseline in names and row.followup in names]


def _seen(box: Box, frame: Frame) -> Box:
    first, second = frame.turn.point(*box[:2]), frame.turn.point(*box[2:])
    (x1, x2), (y1, y2) = (sorted(edges) for edges in zip(first, second, strict=True))
    return x1, y1, x2, y2


def _united(one: FindingChange, other: FindingChange) -> FindingChange:
    return replace(
        one,
        baseline=tuple(dict.fromkeys(one.baseline + other.baseline)),
        followup=tuple(dict.fromkeys(one.followup + other.followup)),
    )
