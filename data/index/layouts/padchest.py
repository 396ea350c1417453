"""PadChest.

Source: Bustos et al., "PadChest: A large chest x-ray image dataset with multi-label annotated reports",
Medical Image Analysis 66 (2020); https://bimcv.cipf.es/bimcv-projects/padchest/. Dates without times are
published and no split is.
"""

from pathlib import Path

import pyarrow.compute as pc

from data.index.catalogue import Catalogue, Images, Source
from data.index.files import locate
from data.index.labels import MOST_LABELS, labels_in_lists
from data.index.tables import find_table, moments, read_table, views_of

LOOKED_FOR = "PADCHEST_chest_x_ray_images_labels*.csv(.gz)"
_TABLE = "PADCHEST_chest_x_ray_images_labels*.csv"
_COLUMNS = ("ImageID", "ImageDir", "StudyDate_DICOM", "StudyID", "PatientID", "Projection", "Labels")
_EXCLUDED = "EXCLUDE"  # neither frontal nor lateral, or not of a chest, as the authors say


def find(root: Path) -> bool:
    """The table of all images and labels."""
    return find_table(root, _TABLE) is not None


def read(source: Source) -> Catalogue:
    """All images of the table, in the folders of `ImageDir` or together, in the root or in `images/`."""
    path = find_table(source.root, _TABLE)
    assert path is not None
    table = read_table(path, _COLUMNS, multiline=True)
    excluded = pc.equal(table["Projection"], _EXCLUDED)
    count = pc.sum(excluded).as_py() or 0
    table = {name: column.filter(pc.invert(excluded)) for name, column in table.items()}
    names = table["ImageID"]
    numbers = sorted(set(table["ImageDir"].unique().to_pylist()) - {""})
    folders = [*numbers, *(f"images/{number}" for number in numbers), "images", ""]
    images = Images(
        patient=table["PatientID"],
        study=table["StudyID"],
        image=pc.replace_substring_regex(names, r"\.png$", ""),
        path=locate(source.root, folders, names),
        view=views_of(table["Projection"]),
        moment=moments(table["StudyDate_DICOM"]),
        labels=labels_in_lists(table["Labels"]),
    )
    catalogue = Catalogue(images=images, namespace="padchest", dated=True, checked=True)
    if len(images.labels) == MOST_LABELS:
        catalogue.notes.append(f"of the labels, the {MOST_LABELS} most frequent are columns")
    if count:
        catalogue.refused[f"projection {_EXCLUDED}"] = count
    return catalogue
