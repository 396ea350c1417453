"""CANDID-PTX: masks of pneumothoraces, chest drains and rib fractures.

Source: Feng et al., "Curation of the CANDID-PTX Dataset with Free-Text Reports", Radiology: Artificial
Intelligence 3 (2021). Codes are SIIM-ACR's. No patients are published: every study counts as one.
"""

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from data.index.annotations import region_columns
from data.index.catalogue import Catalogue, Images, Source
from data.index.files import locate
from data.index.layouts.siim import mask_cells
from data.index.tables import find_table, read_table

LOOKED_FOR = "Pneumothorax_reports.csv"
_OTHERS = {"mask:chest_drain": "chest_tube.csv", "mask:rib_fracture": "Rib_fracture_mask_rle.csv"}
_FOLDERS = ("dataset", "chest_radiographs", "images", "")


def find(root: Path) -> bool:
    """The table of pneumothoraces."""
    return find_table(root, LOOKED_FOR) is not None


def read(source: Source) -> Catalogue:
    """All images of the table, in `dataset/`, `chest_radiographs/`, `images/` or the root."""
    path = find_table(source.root, LOOKED_FOR)
    assert path is not None
    table = read_table(path, ("SOPInstanceUID", "StudyInstanceUID", "EncodedPixels"), multiline=True)
    names, codes = table["SOPInstanceUID"], table["EncodedPixels"]
    cells = dict(mask_cells("mask:pneumothorax", names.to_pylist(), codes.to_pylist(), path))
    for column, file_name in _OTHERS.items():
        if other := find_table(source.root, file_name):
            masks = read_table(other, ("anon_SOPUID", "mask_rle"))
            cells |= mask_cells(
                column, masks["anon_SOPUID"].to_pylist(), masks["mask_rle"].to_pylist(), other
            )
    absent, unknown = pc.equal(codes, "-1"), pc.equal(codes, "")
    present = pc.if_else(unknown, pa.scalar(None, pa.int8()), pc.invert(absent).cast(pa.int8()))
    files = [
        locate(source.root, _FOLDERS, pc.binary_join_element_wise(names, end, "")) for end in ("", ".dcm")
    ]
    images = Images(
        patient=table["StudyInstanceUID"],
        study=table["StudyInstanceUID"],
        image=names,
        path=pc.coalesce(*files),
        labels={"pneumothorax": present},
        regions=region_columns(names, cells),
    )
    return Catalogue(
        images=images,
        namespace="candid-ptx",
        checked=True,
        notes=["no patients are published: every study counts as one, and there are no pairs"],
    )
