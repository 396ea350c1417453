"""Why an image may not be what a pair is made of: every reason is counted, and let in if asked for."""

from collections.abc import Collection, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from data.index.body_parts import CHEST
from data.index.body_parts import UNDECIDED as UNDECIDED_PARTS
from data.index.catalogue import Images
from data.index.options import Doubt
from data.index.tables import join
from data.index.views import UNDECIDED as UNDECIDED_VIEWS

MARKS: tuple[Doubt, ...] = ("raw", "derived", "burned-in")
"""What the header of an image says."""
Mask = NDArray[np.bool_]
_REASONS: dict[Doubt, str] = {
    "unknown-view": "nothing says which view they are",
    "unknown-region": "nothing says which part of the body they show, or which side of it, or tags disagree",
    "raw": "raw detector data, FOR PROCESSING",
    "derived": "secondary captures and other derived images",
    "burned-in": "text is burned into them, as they say themselves",
}


def doubts_of(images: Images) -> dict[Doubt, Mask]:
    """The images that each reason speaks against."""

    def among(column: pa.Array, values: Sequence[str]) -> Mask:
        return pc.is_in(column, value_set=pa.array(values)).to_numpy(zero_copy_only=False)

    return {
        "unknown-view": among(images.view, UNDECIDED_VIEWS),
        "unknown-region": among(images.region, UNDECIDED_PARTS),
        **images.marks,
    }


def marks_of(images: Sequence[Collection[Doubt]]) -> dict[Doubt, Mask]:
    """What images say against themselves, by reason instead of by image."""
    return {name: np.array([name in marks for marks in images], bool) for name in MARKS}


def excluded(images: Images, include: Sequence[Doubt]) -> dict[Doubt, Mask]:
    """The images that are in no pair, by reason."""
    return {name: mask for name, mask in doubts_of(images).items() if name not in include and mask.any()}


def any_of(masks: dict[Doubt, Mask], count: int) -> Mask:
    """Whether any reason speaks against each of `count` images."""
    return np.logical_or.reduce([np.zeros(count, bool), *masks.values()])


def note_on(name: Doubt, count: int) -> str:
    """How many images are in no pair for a reason, and what lets them in."""
    return f"{count:,} images are in no pair: {_REASONS[name]} (--include {name})"


def descriptions_of(images: Images) -> dict[str, pa.Array]:
    """Columns of images.csv that say what else tells its images apart, where they say anything.

    `region` is the part of the body, `doubts` what an image says against itself, joined by `+`.
    """
    columns = {"region": pc.if_else(pc.equal(images.region, CHEST), "CHEST", images.region)}
    if images.marks:
        named = [pc.if_else(pa.array(mask), f"+{name}", "") for name, mask in images.marks.items()]
        columns["doubts"] = pc.utf8_ltrim(join(*named), "+")
    return {name: cells for name, cells in columns.items() if set(cells.unique().to_pylist()) - {"", "CHEST"}}
