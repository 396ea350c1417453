"""Pairs by what a column says of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from data.manifests.regions import is_place
from gan.measures.scores import Values

_FEW = 6
"""A column with more values than these, all of them numbers, is divided into thirds."""


class Described(Protocol):
    """A pair that can be told from others."""

    @property
    def findings(self) -> Sequence[str]:
        """What changed."""

    @property
    def columns(self) -> Mapping[str, str]:
        """Whatever else the data says."""


@dataclass(frozen=True)
class Group:
    """Pairs of which a column says the same."""

    name: str
    pairs: NDArray[np.integer]
    """Their places."""


def groups_of(column: str, pairs: Sequence[Described], shares: Values) -> list[Group]:
    """The groups of a column; a pair with several findings is in several, one without a value in none.

    Numbers of more than six different values are divided into thirds of the pairs.

    Args:
        column: `finding`, or whatever column the data has; `size` is the changed share of the image where the
            data has no such column.
        pairs: the pairs.
        shares: how much of each changed, NaN where nothing did.
    """
    if column in ("finding", "findings"):
        return _by_name([list(pair.findings) for pair in pairs])
    if column == "size" and not any("size" in pair.columns for pair in pairs):
        return _thirds(shares)
    cells = [pair.columns.get(column) for pair in pairs]
    numbers = _numbers(cells)
    if numbers is not None and len(np.unique(numbers[~np.isnan(numbers)])) > _FEW:
        return _thirds(numbers)
    return _by_name([[] if cell is None else [cell] for cell in cells])


def columns_of(pairs: Sequence[Described]) -> list[str]:
    """What pairs can be grouped by."""
    found = dict.fromkeys(name for pair in pairs for name in pair.columns if not is_place(name))
    return ["finding", "size", *(name for name in found if name not in ("finding", "findings", "size"))]


def _by_name(names: Sequence[Sequence[str]]) -> list[Group]:
    return [
        Group(name, np.array([place for place, of_pair in enumerate(names) if name in of_pair]))
        for name in sorted({name for of_pair in names for name in of_pair})
    ]


def _numbers(cells: Sequence[str | None]) -> Values | None:
    try:
        return np.array([np.nan if cell is None else float(cell) for cell in cells])
    except ValueError:
        return None


def _thirds(values: Values) -> list[Group]:
    known = values[~np.isnan(values)]
    if not len(known):
        return []
    cuts = np.quantile(known, [1 / 3, 2 / 3])
    third = np.where(np.isnan(values), -1, np.searchsorted(cuts, values, side="right"))
    members = [np.flatnonzero(third == place) for place in range(3)]
    return [
        Group(f"{values[pairs].min():.3g} to {values[pairs].max():.3g}", pairs)
        for pairs in members
        if len(pairs)
    ]
