"""SIIM-ACR Pneumothorax Segmentation: masks of pneumothoraces.

Source: Zawacki et al., "SIIM-ACR Pneumothorax Segmentation", Kaggle 2019. No patients are published: every
image counts as one, and there are no pairs.
"""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from data.files.masks import siim_runs
from data.index.annotations import Cells, naming, region_columns
from data.index.catalogue import Catalogue, Images, Source, constant
from data.index.tables import find_table, read_table
from data.manifests.regions import mask_cell

LOOKED_FOR = "train-rle.csv"
SIDE = 1024
"""Pixels of a side: all images were brought to that size."""


def find(root: Path) -> bool:
    """The table of codes."""
    return find_table(root, LOOKED_FOR) is not None


def read(source: Source) -> Catalogue:
    """All images of the table, in whatever folders of ROOT they lie."""
    path = find_table(source.root, LOOKED_FOR)
    assert path is not None
    table = read_table(path, ("ImageId", "EncodedPixels"))
    names, codes = table["ImageId"].to_pylist(), table["EncodedPixels"].to_pylist()
    image = pa.array(dict.fromkeys(names), pa.string())
    cells = mask_cells("mask:pneumothorax", names, codes, path)
    files = {file.stem: str(file.relative_to(source.root)) for file in source.root.rglob("*.dcm")}
    present = pc.is_in(image, value_set=pa.array([name for _, name in cells], pa.string()))
    images = Images(
        patient=image,
        study=constant("", len(image)),
        image=image,
        path=pa.array([files.get(name) for name in image.to_pylist()], pa.string()),
        labels={"pneumothorax": present.cast(pa.int8())},
        regions=region_columns(image, cells),
    )
    return Catalogue(
        images=images,
        namespace="siim-acr",
        checked=True,
        notes=["no patients are published: every image counts as one, and there are no pairs"],
    )


def mask_cells(column: str, names: Iterable[str], codes: Iterable[str], path: Path) -> Cells:
    """The mask of every image that has one: the union of its codes.

    Raises:
        DataError: naming the image whose code does not fit it.
    """
    by_image: dict[str, list[str]] = defaultdict(list)
    for name, code in zip(names, codes, strict=True):
        if code.strip() not in ("", "-1"):
            by_image[name].append(code)
    cells = {}
    for name, own in by_image.items():
        with naming(f"{path}: image {name}"):
            cells[column, name] = mask_cell(siim_runs(own, SIDE, SIDE).mask())
    return cells
