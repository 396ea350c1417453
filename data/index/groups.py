"""Patients who may be one person, and so belong in one split."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data.index.catalogue import Images
from data.index.tables import mapped
from data.manifests.patients import spelling_of

_STAY = "these count as patients of their own, but stay in one split"


def groups_of(number: pa.Array, study: pa.Array) -> pa.Array:
    """The group of every image: images of one number or of one study are together, and so is what they link.

    Args:
        number: the patients' numbers, as all spellings have them.
        study: UIDs of the studies.

    Returns:
        The first number of the group, in order of the alphabet.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    numbers, studies = number.dictionary_encode(), study.dictionary_encode()
    count = len(numbers.dictionary)
    size = count + len(studies.dictionary)
    edges = (numbers.indices.to_numpy(), studies.indices.to_numpy().astype(np.int64) + count)
    graph = coo_array((np.ones(len(number), bool), edges), shape=(size, size))
    _, components = connected_components(graph, directed=False)
    named: dict[int, str] = {}
    names = numbers.dictionary.to_pylist()
    for code in sorted(range(count), key=names.__getitem__):
        named.setdefault(int(components[code]), names[code])
    of_number = pa.array([named[int(component)] for component in components[:count]], pa.string())
    return of_number.take(numbers.indices)


def group_alike(images: Images) -> list[str]:
    """Put patients into one group whose numbers are spelled alike, and say how many numbers that are."""
    spelling = mapped(images.number, spelling_of)
    images.group = groups_of(images.group, spelling)
    count = _with_several(spelling, images.patient)
    reason = "occur in several spellings or with several issuers"
    return [f"{count:,} patient numbers {reason}; {_STAY}"] if count else []


def notes_on(number: pa.Array, study: pa.Array) -> list[str]:
    """How many studies belong to more than one patient."""
    shared = _with_several(study, number)
    return [f"{shared:,} studies carry several patient numbers; their patients stay in one split"] * bool(
        shared
    )


def _with_several(keys: pa.Array, values: pa.Array) -> int:
    """How many keys come with more than one value."""
    counted = (
        pa.table({"key": keys, "value": values}).group_by("key").aggregate([("value", "count_distinct")])
    )
    return pc.sum(pc.greater(counted["value_count_distinct"], 1)).as_py() or 0
