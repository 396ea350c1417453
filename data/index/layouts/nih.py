"""NIH ChestX-ray14.

Source: Wang et al., "ChestX-ray8: Hospital-scale Chest X-ray Database and Benchmarks", CVPR 2017;
https://nihcc.app.box.com/v/ChestXray-NIHCC. No dates are published; `Follow-up #` counts a patient's images
in order, so every image is a study of its own.
"""

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from data.base.errors import DataError
from data.index.catalogue import Catalogue, Images, Source
from data.index.files import locate
from data.index.labels import labels_in_lists
from data.index.tables import find_table, numbers_in, read_table, read_words, views_of

LOOKED_FOR = "Data_Entry_2017*.csv"
_LISTS = {"train": "train_val_list.txt", "test": "test_list.txt"}


def find(root: Path) -> bool:
    """The table of all images, in either of its two published versions."""
    return find_table(root, LOOKED_FOR) is not None


def read(source: Source) -> Catalogue:
    """All images of the table, in `images/` or in the twelve folders that the archives unpack to."""
    path = find_table(source.root, LOOKED_FOR)
    assert path is not None
    table = read_table(path, ("Image Index", "Follow-up #", "Patient ID", "View Position", "Finding Labels"))
    names, followup = table["Image Index"], table["Follow-up #"]
    numbered = sorted(folder.name for folder in source.root.glob("images_*"))
    folders = ["images", *(f"{name}/images" for name in numbered), *numbered]
    images = Images(
        patient=table["Patient ID"],
        study=followup,
        image=pc.replace_substring_regex(names, r"\.png$", ""),
        path=locate(source.root, folders, names),
        view=views_of(table["View Position"]),
        moment=numbers_in(followup),
        labels=labels_in_lists(table["Finding Labels"]),
    )
    catalogue = Catalogue(images=images, namespace="nih-chestxray14", checked=True)
    lists = {split: source.root / name for split, name in _LISTS.items()}
    present = {split: path for split, path in lists.items() if path.is_file()}
    if not present:
        catalogue.notes.append(f"{' and '.join(_LISTS.values())} are not there: splits are drawn")
        return catalogue
    for split, path in lists.items():
        if split not in present:
            raise DataError(f"{path} is missing while the other official list is there; download it too")
    for split, path in lists.items():
        listed = pa.array(read_words(path), pa.string())
        images.split = pc.if_else(pc.is_in(names, value_set=listed), split, images.split)
    catalogue.official_splits = frozenset(lists)
    return catalogue
