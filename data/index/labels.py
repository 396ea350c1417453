"""Labels of official tables -> columns of 1, 0, -1 (uncertain) and null (unknown), by their names."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from data.index.tables import header_of, read_table, whole

MOST_LABELS = 64
"""Columns made of lists of labels: rarer ones, such as most of PadChest's 193, are left out."""
_SPELLED = pa.array(["1", "1.0", "0", "0.0", "-1", "-1.0"])
_VALUES = pa.array([1, 1, 0, 0, -1, -1], pa.int8())

Labels = dict[str, pa.Array]
"""A column for every label, of the same length."""


def read_labels(path: Path, others: Sequence[str]) -> Labels:
    """The columns of a table that hold labels: all but the `others`, and such in which nothing is known."""
    names = [name for name in header_of(path) if name not in others]
    table = read_table(path, names)
    columns = {column_of(name): _VALUES.take(pc.index_in(table[name], _SPELLED)) for name in names}
    return {name: column for name, column in columns.items() if column.null_count < len(column)}


def labels_in_lists(cells: pa.Array) -> Labels:
    """Labels of cells such as `Cardiomegaly|Hernia` or `['normal', 'scoliosis']`, the most frequent ones.

    A label is 1 where a cell names it and 0 where it names others; an empty cell says nothing.
    """
    encoded = whole(cells).dictionary_encode()
    texts = encoded.dictionary.to_pylist()  # far fewer than rows
    named = [{column_of(part) for part in re.split(r"[|,]", text)} - {""} for text in texts]
    frequency: Counter[str] = Counter()
    for counted in pc.value_counts(encoded.indices).to_pylist():
        frequency.update(dict.fromkeys(named[counted["values"]], counted["counts"]))
    chosen = sorted(label for label, _ in frequency.most_common(MOST_LABELS))
    values = {label: [int(label in labels) if labels else None for labels in named] for label in chosen}
    return {label: pa.array(column, pa.int8()).take(encoded.indices) for label, column in values.items()}


def one_below_the_other(tables: Iterable[pa.Table]) -> Labels:
    """The columns of several tables; a table that lacks one knows nothing of it."""
    table = pa.concat_tables(tables, promote_options="default")
    return {name: whole(table[name]) for name in table.column_names}


def column_of(label: str) -> str:
    """`Pleural Effusion` as a manifest's column: `pleural_effusion`."""
    return re.sub(r"\W+", "_", label).strip("_").lower()
