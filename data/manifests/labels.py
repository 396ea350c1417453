"""Label columns of a manifest, or of what was prepared from one -> what there is to learn."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from data.base.errors import DataError
from data.config import Uncertain

_UNCERTAIN: dict[Uncertain, float] = {"ignore": math.nan, "positive": 1.0, "negative": 0.0}


@dataclass(frozen=True, kw_only=True)
class Labels:
    """Which columns are labels, and how their cells are read: 1, 0, -1 (uncertain) or nothing (unknown).

    Source: Irvin et al., "CheXpert: A Large Chest Radiograph Dataset with Uncertainty Labels and Expert
    Comparison", AAAI 2019: U-Ignore, U-Ones and U-Zeros.
    """

    names: tuple[str, ...] = ()
    uncertain: Uncertain = "ignore"
    """What -1 means: nothing that counts, 1, or 0."""
    place: str = ""
    """Where the columns are, for messages."""

    def of(self, columns: Mapping[str, str], sample: str) -> Tensor | None:
        """Of the columns of an image, `[L]` float32 of 1, 0 and NaN; None where nothing is a label."""
        if not self.names:
            return None
        return torch.tensor([self._value(name, columns.get(name), sample) for name in self.names])

    def require_names(self, further: Sequence[str], *, of_pairs: bool) -> None:
        """Refuse labels that are not there.

        Args:
            further: columns of the data.
            of_pairs: whether it is pairs, in which the label x of an image is `baseline_x` or `followup_x`.

        Raises:
            DataError: naming the columns that are there.
        """
        for name in self.names:
            for column in (f"baseline_{name}", f"followup_{name}") if of_pairs else (name,):
                if column not in further:
                    found = ", ".join(further) or "none"
                    raise DataError(f"{self.place} has no label column {column!r} (found {found})")

    def require_values(self, images: pa.Table, *, learnt: bool) -> None:
        """Refuse cells that are no labels and, where they are to be learnt, labels that never differ.

        Args:
            images: ids and label columns.
            learnt: whether these are the images to train on.

        Raises:
            DataError: naming the image or the column.
        """
        for name in self.names:
            cells, values = images.column(name), []
            for cell in pc.unique(cells).to_pylist():
                row = pc.index(cells, pa.scalar(cell, pa.string())).as_py()
                values.append(self._value(name, cell, images.column("id")[row].as_py()))
            if learnt and not {1, 0} <= set(values):
                missing = 1 if 1 not in values else 0
                raise DataError(
                    f"{self.place}: no image to train on has a {missing} in the label column {name!r}; "
                    "leave the label out, or add such images"
                )

    def _value(self, name: str, cell: str | None, sample: str) -> float:
        meant = {1.0: 1.0, 0.0: 0.0, -1.0: _UNCERTAIN[self.uncertain]}
        try:
            value = math.nan if cell is None else float(cell)
            return value if math.isnan(value) else meant[value]
        except (ValueError, KeyError):
            raise DataError(
                f"{self.place}: image {sample!r} has {cell!r} in the label column {name!r}; a label is 1, 0, "
                "-1 (uncertain) or empty (unknown)"
            ) from None


NO_LABELS = Labels()
