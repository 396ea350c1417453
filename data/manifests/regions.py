"""Cells of a manifest that say where something is: masks, boxes, lines, and what changed between two images.

All of them lie on the image as it is seen, in fractions of its width and height, so that they hold for every
copy of it. In a manifest of pairs, columns of one image begin with `baseline_` or `followup_`.

| column | cell |
| --- | --- |
| `lungs`, `heart`, `mask:NAME` | a mask as COCO writes it: `{"size": [rows, columns], "counts": "..."}` |
| `boxes:NAME` | `[[x1, y1, x2, y2], ...]` |
| `lines:NAME` | `[[[x, y], ...], ...]` |
| `changes` of a pair | `[{"finding": NAME, "progression": WORD, "baseline": [BOX], "followup": [BOX]}]` |
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, get_args

from data.base.errors import DataError
from data.files.masks import Mask, coco_counts, coco_runs

Box = tuple[float, float, float, float]
"""Left, upper, right and lower edge, in fractions of the image."""
Point = tuple[float, float]
Progression = Literal["new", "worse", "stable", "improved", "resolved"]
PROGRESSIONS: tuple[Progression, ...] = get_args(Progression)

_OUTSIDE = 0.01  # of the image: annotations were drawn on smaller copies, and are rounded
_DIGITS = 5


@dataclass(frozen=True, kw_only=True)
class FindingChange:
    """How a finding changed between the two images of a pair, and where it is seen in each."""

    finding: str
    progression: Progression
    baseline: tuple[Box, ...] = ()
    followup: tuple[Box, ...] = ()


def is_place(column: str) -> bool:
    """Whether a column says where something is, which is nothing to tell pairs apart by."""
    name = column.removeprefix("baseline_").removeprefix("followup_")
    return name in ("lungs", "heart", "changes") or name.startswith(("mask:", "boxes:", "lines:"))


def box_in(box: Sequence[float], width: float, height: float) -> Box:
    """The box of pixels `x1, y1, x2, y2` of an image of this size, in fractions.

    Raises:
        ValueError: it is empty, or outside the image by more than a hundredth of it.
    """
    x1, y1, x2, y2 = (value / size for value, size in zip(box, (width, height) * 2, strict=True))
    text = f"the box {', '.join(f'{value:g}' for value in box)}"
    if not (x1 < x2 and y1 < y2):
        raise ValueError(f"{text} is empty; its edges are left, upper, right, lower")
    if min(x1, y1) < -_OUTSIDE or max(x2, y2) > 1 + _OUTSIDE:
        raise ValueError(f"{text} lies outside its image of {width:g} x {height:g}")
    x1, y1, x2, y2 = (round(min(max(value, 0.0), 1.0), _DIGITS) for value in (x1, y1, x2, y2))
    return x1, y1, x2, y2


def mask_cell(mask: Mask) -> str:
    """The cell of a mask `[H, W]` of the whole image, at any resolution."""
    return _compact({"size": list(mask.shape), "counts": coco_counts(mask)})


def mask_of(cell: str, place: str) -> Mask:
    """The mask `[H, W]` of a cell, at its own resolution.

    Args:
        cell: as `mask_cell` or COCO's tools write it.
        place: where the cell is, for messages.

    Raises:
        DataError: it is no mask, or its code does not fit its size.
    """
    with _reading(place, 'a mask is {"size": [rows, columns], "counts": "..."}'):
        value = json.loads(cell)
        height, width = map(int, value["size"])
        return coco_runs(value["counts"], height, width).mask()


def boxes_cell(boxes: Iterable[Box]) -> str:
    """The cell of boxes."""
    return _compact([list(box) for box in boxes])


def boxes_of(cell: str, place: str) -> tuple[Box, ...]:
    """The boxes of a cell; see `mask_of`.

    Raises:
        DataError: it holds no boxes, or one outside the image.
    """
    with _reading(place, "boxes are [[x1, y1, x2, y2], ...] in fractions of the image"):
        return _boxes(json.loads(cell))


def lines_cell(lines: Iterable[Iterable[Point]]) -> str:
    """The cell of lines, each of points."""
    return _compact([[[round(x, _DIGITS), round(y, _DIGITS)] for x, y in line] for line in lines])


def changes_cell(changes: Iterable[FindingChange]) -> str:
    """The cell of what changed in a pair."""
    return _compact([{name: value for name, value in vars(change).items() if value} for change in changes])


def changes_of(cell: str, place: str) -> tuple[FindingChange, ...]:
    """What changed in a pair; see `mask_of`.

    Raises:
        DataError: it is no such list, or a box is outside its image.
    """
    legal = f'changes are [{{"finding": NAME, "progression": {" or ".join(PROGRESSIONS)}, ...}}, ...]'
    with _reading(place, legal):
        return tuple(_change(value) for value in json.loads(cell))


def _change(value: Any) -> FindingChange:
    if value["progression"] not in PROGRESSIONS:
        raise ValueError(f"{value['progression']!r} is no progression")
    return FindingChange(
        finding=str(value["finding"]),
        progression=value["progression"],
        baseline=_boxes(value.get("baseline", ())),
        followup=_boxes(value.get("followup", ())),
    )


def _boxes(value: Any) -> tuple[Box, ...]:
    return tuple(box_in([float(edge) for edge in box], 1, 1) for box in value)


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


@contextmanager
def _reading(place: str, legal: str) -> Iterator[None]:
    try:
        yield
    except json.JSONDecodeError:
        raise DataError(f"{place} is no JSON; {legal}") from None
    except (KeyError, TypeError, AttributeError):
        raise DataError(f"{place} is not what it should be; {legal}") from None
    except ValueError as error:
        raise DataError(f"{place}: {error}; {legal}") from None
