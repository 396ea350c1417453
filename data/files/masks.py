"""Run-length codes of masks in the three conventions of published data sets: the one place that decodes them.

Nothing in a code says which convention it follows: the data set it comes from does.

| convention | runs go | written as |
| --- | --- | --- |
| SIIM-ACR, CANDID-PTX | down the columns | pairs of the gap since the last run and the length of the run |
| CheXmask | along the rows | pairs of the first pixel, counted from 1, and the length |
| COCO | down the columns | lengths of runs of 0 and 1 in turn, as numbers or packed into characters |

Source: Zawacki et al., "SIIM-ACR Pneumothorax Segmentation", Kaggle 2019; Gaggion et al., "CheXmask: a
large-scale dataset of anatomical segmentation masks for multi-center chest x-ray images", Scientific Data 11
(2024); Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014, and its mask API.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Integers = NDArray[np.int64]
_BITS, _MORE, _FIRST = 5, 32, 48  # of a packed character: bits of a number, "goes on", and the character of 0


@dataclass(frozen=True, kw_only=True, eq=False)
class Runs:
    """The ones of a mask as runs over its pixels; they may overlap."""

    starts: Integers
    """First pixel of each run, counted from 0."""
    ends: Integers
    """The pixel behind each run."""
    height: int
    width: int
    by_columns: bool
    """Whether pixels are counted down the columns, not along the rows."""

    def __post_init__(self) -> None:
        if not len(self.starts):
            return
        if self.starts.min() < 0 or (self.ends <= self.starts).any():
            raise ValueError("has a run before the first pixel or without a length")
        if self.ends.max() > self.height * self.width:
            raise ValueError(
                f"reaches pixel {self.ends.max()}, and an image of {self.height} x {self.width} has "
                f"{self.height * self.width}"
            )

    def mask(self, height: int | None = None, width: int | None = None) -> Mask:
        """`[height, width]`, by default the mask's own; of another size, what lies at the pixels' centres.

        Only the pixels asked for are looked at, so a small copy of a large mask costs little.
        """
        rows, row_of = _centres(self.height, height)
        columns, column_of = _centres(self.width, width)
        lines, along = (columns, rows) if self.by_columns else (rows, columns)
        pixels = lines[:, None] * (self.height if self.by_columns else self.width) + along
        # At the first pixel of each run one more begins, and at the first one behind it one less goes on.
        steps = np.zeros(pixels.size + 1, np.int64)
        np.add.at(steps, np.searchsorted(pixels.ravel(), self.starts), 1)
        np.add.at(steps, np.searchsorted(pixels.ravel(), self.ends), -1)
        mask = (np.cumsum(steps[:-1]) > 0).reshape(pixels.shape)
        return (mask.T if self.by_columns else mask)[np.ix_(row_of, column_of)]


def siim_runs(codes: Iterable[str], height: int, width: int) -> Runs:
    """The union of codes as in SIIM-ACR's `EncodedPixels`; `-1` is nothing.

    Raises:
        ValueError: a code is none, or does not fit an image of this size.
    """
    pairs = [_pairs("" if code.strip() == "-1" else code) for code in codes]
    starts = [np.cumsum(gaps + lengths) - lengths for gaps, lengths in pairs]
    return _union(starts, [lengths for _, lengths in pairs], height, width, by_columns=True)


def chexmask_runs(codes: Iterable[str], height: int, width: int) -> Runs:
    """The union of codes as in CheXmask's `Left Lung`, `Right Lung` and `Heart`; errors as in `siim_runs`."""
    pairs = [_pairs(code) for code in codes]
    starts = [first - 1 for first, _ in pairs]
    return _union(starts, [lengths for _, lengths in pairs], height, width, by_columns=False)


def coco_runs(counts: str | Sequence[int], height: int, width: int) -> Runs:
    """A mask as in COCO's `counts`, packed or not; errors as in `siim_runs`."""
    lengths = _unpacked(counts) if isinstance(counts, str) else np.asarray(counts, np.int64)
    if (lengths < 0).any() or lengths.sum() != height * width:
        raise ValueError(
            f"counts {lengths.sum()} pixels, and an image of {height} x {width} has {height * width}"
        )
    edges = np.cumsum(lengths)
    starts, ends = edges[0::2][: len(lengths) // 2], edges[1::2]
    kept = ends > starts
    return Runs(starts=starts[kept], ends=ends[kept], height=height, width=width, by_columns=True)


def coco_counts(mask: Mask) -> str:
    """The packed counts of a mask `[H, W]`; `coco_runs` undoes it."""
    pixels = np.concatenate([[False], mask.ravel(order="F")])  # counts begin with those of 0
    edges = np.flatnonzero(pixels[1:] != pixels[:-1])
    lengths = np.diff(np.concatenate([[0], edges, [mask.size]]))
    values = np.concatenate([lengths[:3], lengths[3:] - lengths[1:-2]])
    return "".join(_packed(int(value)) for value in values)


def _centres(length: int, wanted: int | None) -> tuple[Integers, Integers]:
    """The pixels of a side that hold the centres of wanted ones (by default all), and which holds each."""
    wanted = wanted or length
    held = ((np.arange(wanted) + 0.5) * length / wanted).astype(np.int64)
    return np.unique(held, return_inverse=True)


def _pairs(code: str) -> tuple[Integers, Integers]:
    try:
        numbers = np.array(code.split(), np.int64)
    except ValueError:
        raise ValueError("is no list of whole numbers") from None
    if len(numbers) % 2:
        raise ValueError(f"has {len(numbers)} numbers, which are no pairs")
    return numbers[0::2], numbers[1::2]


def _union(
    starts: list[Integers], lengths: list[Integers], height: int, width: int, *, by_columns: bool
) -> Runs:
    empty = np.zeros(0, np.int64)
    first = np.concatenate([empty, *starts])
    ends = first + np.concatenate([empty, *lengths])
    return Runs(starts=first, ends=ends, height=height, width=width, by_columns=by_columns)


def _unpacked(code: str) -> Integers:
    """Numbers from characters of five bits, least first; from the fourth on, less the last but one."""
    characters = np.frombuffer(code.encode("ascii", "replace"), np.uint8).astype(np.int64) - _FIRST
    is_last = characters & _MORE == 0
    if not len(characters) or characters.min() < 0 or characters.max() >= 2 * _MORE or not is_last[-1]:
        raise ValueError("is no packed COCO code")
    first = np.flatnonzero(np.append(True, is_last[:-1]))
    sizes = np.diff(np.append(first, len(characters)))
    shifts = _BITS * (np.arange(len(characters)) - np.repeat(first, sizes))
    values = np.add.reduceat((characters & (_MORE - 1)) << shifts, first)
    values -= (characters[is_last] & (_MORE // 2) != 0).astype(np.int64) << (_BITS * sizes)
    values[1::2], values[2::2] = np.cumsum(values[1::2]), np.cumsum(values[2::2])
    return values


def _packed(value: int) -> str:
    characters = ""
    while True:
        bits, value = value & (_MORE - 1), value >> _BITS
        goes_on = value != (-1 if bits & (_MORE // 2) else 0)
        characters += chr(bits + _MORE * goes_on + _FIRST)
        if not goes_on:
            return characters
