"""Layouts of data sets: how each is recognised and read.

A data set is added with one module that holds `find` and `read`, and one line in `LAYOUTS`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from data.base.errors import DataError
from data.index.catalogue import Catalogue, Source
from data.index.files import list_names
from data.index.layouts import chexpert, dicom_tree, mimic, nested, nih, padchest, vindr


class Layout(NamedTuple):
    """One layout."""

    looked_for: str
    """What says that a folder is one."""
    find: Callable[[Path], bool]
    read: Callable[[Source], Catalogue]
    private: str = ""
    """Whose names may be real, so that pseudonyms replace them, by a key; empty for published data sets."""


PUBLISHED: dict[str, Layout] = {
    "mimic-cxr-jpg": Layout(mimic.JPG_LOOKED_FOR, mimic.find_jpg, mimic.read_jpg),
    "mimic-cxr": Layout(mimic.DICOM_LOOKED_FOR, mimic.find_dicom, mimic.read_dicom),
    "chexpert": Layout(chexpert.LOOKED_FOR, chexpert.find, chexpert.read),
    "nih": Layout(nih.LOOKED_FOR, nih.find, nih.read),
    "padchest": Layout(padchest.LOOKED_FOR, padchest.find, padchest.read),
    "vindr": Layout(vindr.LOOKED_FOR, vindr.find, vindr.read),
}
# Told by the files themselves, so only asked where no official table is found, in this order.
TREES: dict[str, Layout] = {
    "nested": Layout(nested.LOOKED_FOR, nested.find, nested.read, "cases"),
    "dicom": Layout(dicom_tree.LOOKED_FOR, dicom_tree.find, dicom_tree.read, "patients of DICOM files"),
}
LAYOUTS: dict[str, Layout] = {**PUBLISHED, **TREES}


def choose_layout(root: Path, name: str) -> str:
    """The layout called `name`, or for `auto` the one that `root` has.

    Raises:
        DataError: `root` cannot be listed, does not have the layout, has several or none.
    """
    if not root.is_dir():
        raise DataError(f"{root} is no folder; give the folder of the data set")
    list_names(root)
    if name != "auto":
        if not LAYOUTS[name].find(root):
            raise DataError(f"{root} does not look like {name}: it lacks {LAYOUTS[name].looked_for}")
        return name
    found = [name for name, layout in PUBLISHED.items() if layout.find(root)]
    if len(found) > 1:
        reasons = "; ".join(f"{name}: {LAYOUTS[name].looked_for}" for name in found)
        raise DataError(f"{root} looks like several data sets ({reasons}); choose one with --layout")
    if not found:
        found = [name for name, layout in TREES.items() if layout.find(root)][:1]
    if not found:
        looked_for = "; ".join(f"{name}: {layout.looked_for}" for name, layout in LAYOUTS.items())
        raise DataError(f"{root} has no layout known here; looked for {looked_for}")
    return found[0]
