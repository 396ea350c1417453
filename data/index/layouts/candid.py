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
from data.index.tables import find_table, join, read_table

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
    table = read_table(path, ("SOPInstanceUID", "EncodedPixels", "StudyInstanceUID"), multiline=True)
    study, names, codes = table.pop("StudyInstanceUID"), table["SOPInstanceUID"], table["EncodedPixels"]
    files = [locate(source.root, _FOLDERS, join(names, ending)) for ending in ("", ".dcm")]
    images = Images(patient=study, study=study, image=names, path=pc.coalesce(*files))
    present = pc.if_else(pc.equal(codes, ""), pa.scalar(None, pa.bool_()), pc.not_equal(codes, "-1"))
    images.labels = {"pneumothorax": present.cast(pa.int8())}
    cells = dict(mask_cells("mask:pneumothorax", images, source.root, table, path))
    for column, file_name in _OTHERS.items():
        if other := find_table(source.root, file_name):
            masks = read_table(other, ("anon_SOPUID", "mask_rle"))
            cells |= mask_cells(column, images, source.root, masks, other)
    images.regions = region_columns(names, cells)
    return Catalogue(
        images=images,
        namespace="candid-ptx",
        checked=True,
        notes=["no patients are published: every study counts as one, and there are no pairs"],
    )
