"""SIIM-ACR Pneumothorax Segmentation: masks of pneumothoraces.

Source: Zawacki et al., "SIIM-ACR Pneumothorax Segmentation", Kaggle 2019. No patients are published: every
image counts as one, and there are no pairs.
"""

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from data.files.masks import siim_runs
from data.index.annotations import Cells, frames_of, naming, region_columns
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
    image = pa.array(dict.fromkeys(table["ImageId"].to_pylist()), pa.string())
    files = {file.stem: str(file.relative_to(source.root)) for file in source.root.rglob("*.dcm")}
    images = Images(
        patient=image,
        study=constant("", len(image)),
        image=image,
        path=pa.array([files.get(name) for name in image.to_pylist()], pa.string()),
    )
    cells = mask_cells("mask:pneumothorax", images, source.root, table, path)
    images.regions = region_columns(image, cells)
    has_code = pc.not_equal(table["EncodedPixels"], "-1")
    present = pc.is_in(image, value_set=table["ImageId"].filter(has_code))
    images.labels = {"pneumothorax": present.cast(pa.int8())}
    return Catalogue(
        images=images,
        namespace="siim-acr",
        checked=True,
        notes=["no patients are published: every image counts as one, and there are no pairs"],
    )


def mask_cells(column: str, images: Images, root: Path, table: Mapping[str, pa.Array], path: Path) -> Cells:
    """The masks of the images that have one: the union of an image's codes, as the image is seen.

    Args:
        column: what they are.
        images: their files, of which those that are missing have no mask.
        root: folder of the data set.
        table: names of images, and codes.
        path: of the table, for messages.

    Raises:
        DataError: naming the image whose code does not fit it.
    """
    by_image: dict[str, list[str]] = defaultdict(list)
    for name, code in zip(*(cells.to_pylist() for cells in table.values()), strict=True):
        if code.strip() not in ("", "-1"):
            by_image[name].append(code)
    masks = {}
    for name, frame in frames_of(images, root, by_image).items():
        with naming(f"{path}: image {name}"):
            masks[column, name] = mask_cell(frame.turn.seen(siim_runs(by_image[name], SIDE, SIDE).mask()))
    return masks
