"""Layouts of data sets: how each is recognised and read.

A data set is added with one module that holds `find` and `read`, and one line in `LAYOUTS`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from data.base.errors import DataError
from data.index.catalogue import Catalogue, Source
from data.index.files import list_names
from data.index.layouts import (
    candid,
    chestxdet,
    chexpert,
    chextemporal,
    dicom_tree,
    imagenome,
    mimic,
    ms_cxr_t,
    nested,
    nih,
    padchest,
    padchest_gr,
    ranzcr,
    siim,
    vindr,
)


class Layout(NamedTuple):
    """One layout."""

    looked_for: str
    """What says that a folder is one."""
    find: Callable[[Path], bool]
    read: Callable[[Source], Catalogue]
    private: str = ""
    """Whose names may be real, so that pseudonyms replace them, by a key; empty for published data sets."""
    apart: bool = False
    """Whether it is annotations of another data set's images, which may lie elsewhere."""


PUBLISHED: dict[str, Layout] = {
    "mimic-cxr-jpg": Layout(mimic.JPG_LOOKED_FOR, mimic.find_jpg, mimic.read_jpg),
    "mimic-cxr": Layout(mimic.DICOM_LOOKED_FOR, mimic.find_dicom, mimic.read_dicom),
    "chexpert": Layout(chexpert.LOOKED_FOR, chexpert.find, chexpert.read),
    "nih": Layout(nih.LOOKED_FOR, nih.find, nih.read),
    "padchest": Layout(padchest.LOOKED_FOR, padchest.find, padchest.read),
    "vindr": Layout(vindr.LOOKED_FOR, vindr.find, vindr.read),
}
# What radiologists marked in real pairs, and in single images.
ANNOTATED: dict[str, Layout] = {
    "chextemporal": Layout(chextemporal.LOOKED_FOR, chextemporal.find, chextemporal.read, apart=True),
    "chest-imagenome": Layout(imagenome.LOOKED_FOR, imagenome.find, imagenome.read, apart=True),
    "padchest-gr": Layout(padchest_gr.LOOKED_FOR, padchest_gr.find, padchest_gr.read),
    "ms-cxr-t": Layout(ms_cxr_t.LOOKED_FOR, ms_cxr_t.find, ms_cxr_t.read, apart=True),
    "siim-acr": Layout(siim.LOOKED_FOR, siim.find, siim.read),
    "candid-ptx": Layout(candid.LOOKED_FOR, candid.find, candid.read),
    "chestx-det": Layout(chestxdet.LOOKED_FOR, chestxdet.find, chestxdet.read),
    "ranzcr": Layout(ranzcr.LOOKED_FOR, ranzcr.find, ranzcr.read),
}
# Told by the files themselves, so only asked where no official table is found, in this order.
TREES: dict[str, Layout] = {
    "nested": Layout(nested.LOOKED_FOR, nested.find, nested.read, "cases"),
    "dicom": Layout(dicom_tree.LOOKED_FOR, dicom_tree.find, dicom_tree.read, "patients of DICOM files"),
}
LAYOUTS: dict[str, Layout] = {**PUBLISHED, **ANNOTATED, **TREES}


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
    found = [name for name, layout in (PUBLISHED | ANNOTATED).items() if layout.find(root)]
    if len(found) > 1:
        reasons = "; ".join(f"{name}: {LAYOUTS[name].looked_for}" for name in found)
        raise DataError(f"{root} looks like several data sets ({reasons}); choose one with --layout")
    if not found:
        found = [name for name, layout in TREES.items() if layout.find(root)][:1]
    if not found:
        looked_for = "; ".join(f"{name}: {layout.looked_for}" for name, layout in LAYOUTS.items())
        raise DataError(f"{root} has no layout known here; looked for {looked_for}")
    return found[0]
