"""Which of the files that tables name lie on the disk. A folder is listed once, however many it holds."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from data.base.errors import DataError
from data.index.tables import join, whole

_LISTERS = 16  # threads that wait for a network file system, not for the processor
_FOLDERS_AT_ONCE = 256


def exist(root: Path, paths: pa.Array) -> NDArray[np.bool_]:
    """Whether a file is at each path relative to `root`; false where the path is null."""
    parts = pc.extract_regex(paths, r"^(?P<folder>(?:.*/)?)(?P<name>[^/]*)$")
    folders = whole(pc.struct_field(parts, "folder")).dictionary_encode()
    codes = folders.indices.fill_null(-1).to_numpy().astype(np.int64)
    order = np.argsort(codes, kind="stable")
    edges = np.searchsorted(codes[order], np.arange(len(folders.dictionary) + 1))
    names = whole(pc.struct_field(parts, "name")).take(pa.array(order))
    found = np.zeros(len(paths), bool)

    def check(first: int) -> None:
        last = min(first + _FOLDERS_AT_ONCE, len(folders.dictionary))
        wanted = names.slice(edges[first], edges[last] - edges[first]).to_pylist()
        for code, folder in enumerate(folders.dictionary.slice(first, last - first).to_pylist(), first):
            listed = list_names(root, folder)
            start = edges[code]
            for row in range(start, edges[code + 1]):
                found[order[row]] = wanted[row - edges[first]] in listed

    with ThreadPoolExecutor(_LISTERS) as pool:
        list(pool.map(check, range(0, len(folders.dictionary), _FOLDERS_AT_ONCE)))
    return found


def list_names(root: Path, folder: str = "") -> frozenset[str]:
    """Names in a folder below `root`, none where there is no such folder.

    Raises:
        DataError: the folder is there and cannot be listed; its own path, which may name a patient, is not
            repeated.
    """
    try:
        return frozenset(os.listdir(root / folder))  # noqa: PTH208  (iterdir makes a Path of every name)
    except (FileNotFoundError, NotADirectoryError):
        return frozenset()
    except OSError as error:
        place = f"a folder below {root}" if folder else str(root)
        raise DataError(f"{place} cannot be listed ({error.strerror}); make it readable") from None


def locate(root: Path, folders: Sequence[str], names: pa.Array) -> pa.Array:
    """Paths relative to `root` of files known by name, null where no folder holds one.

    Args:
        root: folder of the data set.
        folders: where to look, relative to the root; the first one that holds a name wins.
        names: names of the files.
    """
    paths = pa.nulls(len(names), pa.string())
    for folder in folders:
        listed = pa.array(sorted(list_names(root, folder)), pa.string())
        if len(listed):
            here = pc.is_in(names, value_set=listed)
            candidates = join(f"{folder}/", names) if folder else names
            paths = pc.coalesce(paths, pc.if_else(here, candidates, pa.scalar(None, pa.string())))
    return whole(paths)
