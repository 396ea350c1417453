"""Label maps of TotalSegmentator: which number or file is which structure.

Source: Wasserthal et al., "TotalSegmentator: Robust Segmentation of 104 Anatomic Structures in CT Images",
Radiology: Artificial Intelligence 5(5), 2023 (version 1, 104 structures), and the class table of the task
`total` of version 2 in the project's README (117 structures).
"""

import re
from collections.abc import Mapping, Sequence
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from data.findings import LUNGS
from data.simulation.volumes.anatomy import LUNG_HU, Mask

BONES = ("rib_", "vertebrae_", "sternum", "costal_cartilages", "clavicula_", "scapula_", "humerus_")
"""How the names of bony structures begin."""
_SPINE = (("L", 5), ("T", 12), ("C", 7))
_VERTEBRAE = tuple(f"vertebrae_{part}{number}" for part, count in _SPINE for number in range(count, 0, -1))
_RIBS = tuple(f"rib_{side}_{number}" for side in ("left", "right") for number in range(1, 13))


def _both(*names: str, first: str = "left", second: str = "right") -> tuple[str, ...]:
    return tuple(f"{name}_{side}" for name in names for side in (first, second))


_GLUTEI = ("gluteus_maximus", "gluteus_medius", "gluteus_minimus")
_VERSION_1 = (
    *("spleen", "kidney_right", "kidney_left", "gallbladder", "liver", "stomach", "aorta"),
    *("inferior_vena_cava", "portal_vein_and_splenic_vein", "pancreas"),
    *_both("adrenal_gland", first="right", second="left"),
    *LUNGS,
    *_VERTEBRAE,
    *("esophagus", "trachea", "heart_myocardium", "heart_atrium_left", "heart_ventricle_left"),
    *("heart_atrium_right", "heart_ventricle_right", "pulmonary_artery", "brain"),
    *_both("iliac_artery", "iliac_vena"),
    *("small_bowel", "duodenum", "colon"),
    *_RIBS,
    *_both("humerus", "scapula", "clavicula", "femur", "hip"),
    *("sacrum", "face"),
    *_both(*_GLUTEI, "autochthon", "iliopsoas"),
    "urinary_bladder",
)
_VERSION_2 = (
    *("spleen", "kidney_right", "kidney_left", "gallbladder", "liver", "stomach", "pancreas"),
    *_both("adrenal_gland", first="right", second="left"),
    *LUNGS,
    *("esophagus", "trachea", "thyroid_gland", "small_bowel", "duodenum", "colon", "urinary_bladder"),
    *("prostate", "kidney_cyst_left", "kidney_cyst_right", "sacrum", "vertebrae_S1"),
    *_VERTEBRAE,
    *("heart", "aorta", "pulmonary_vein", "brachiocephalic_trunk"),
    *_both("subclavian_artery", "common_carotid_artery", first="right", second="left"),
    *_both("brachiocephalic_vein"),
    *("atrial_appendage_left", "superior_vena_cava", "inferior_vena_cava", "portal_vein_and_splenic_vein"),
    *_both("iliac_artery", "iliac_vena", "humerus", "scapula", "clavicula", "femur", "hip"),
    "spinal_cord",
    *_both(*_GLUTEI, "autochthon", "iliopsoas"),
    *("brain", "skull"),
    *_RIBS,
    *("sternum", "costal_cartilages"),
)
TABLES: Mapping[int, Mapping[int, str]] = {
    1: dict(enumerate(_VERSION_1, start=1)),
    2: dict(enumerate(_VERSION_2, start=1)),
}
"""Structure of every label of the task `total`, by TotalSegmentator's version."""

NAMES: Mapping[str, int] = {name: label for label, name in TABLES[2].items()}
"""Label of every structure in the maps used here: that of version 2."""

MERGED: Mapping[str, str] = dict.fromkeys(
    ("heart_myocardium", *_both("heart_atrium", "heart_ventricle")), "heart"
)
"""Structures of version 1 that are part of one of version 2. Others that only version 1 has are left out."""

_NUMBER = re.compile("[0-9]{1,5}")


def canonical(name: str) -> str | None:
    """The structure's name in `NAMES`, or None where it has none."""
    name = MERGED.get(name, name)
    return name if name in NAMES else None


def bone_mask(labels: NDArray[np.uint8], names: Mapping[str, int] = NAMES) -> Mask:
    """Voxels labelled as a bone."""
    return np.isin(labels, [label for name, label in names.items() if name.startswith(BONES)])


def translate(labels: NDArray[np.generic], table: Mapping[int, str]) -> NDArray[np.uint8]:
    """Renumber a label map to `NAMES`; unknown labels and structures become 0."""
    lookup = np.zeros(int(max(labels.max(), max(table, default=0))) + 1, dtype=np.uint8)
    for label, name in table.items():
        if (known := canonical(name)) is not None:
            lookup[label] = NAMES[known]
    return lookup[labels.astype(np.int64)]


def table_of_attenuation(labels: NDArray[np.generic], hu: NDArray[np.float32]) -> Mapping[int, str] | None:
    """The version's table under which the lungs are as dark as lungs, the newer where both would do.

    The two versions number the same structures differently, and a label map does not say which one made it.
    None where neither fits.
    """
    for version in (2, 1):
        lobes = [label for label, name in TABLES[version].items() if name in LUNGS]
        inside = [hu[labels == label] for label in lobes]
        if all(values.size and np.median(values) < LUNG_HU for values in inside):
            return TABLES[version]
    return None


def table_in_header(extensions: Sequence[bytes]) -> Mapping[int, str] | None:
    """The table that TotalSegmentator writes into the extended header of a multilabel NIfTI, if any."""
    for content in extensions:
        try:
            root = ElementTree.fromstring(content.strip(b"\0 \n"))
        except ElementTree.ParseError:
            continue
        entries = {label.get("Key", "0"): (label.text or "").strip() for label in root.iter("Label")}
        if not all(_NUMBER.fullmatch(key) for key in entries):
            continue  # a table of something else
        table = {int(key): name for key, name in entries.items()}
        table.pop(0, None)
        if table:
            return table
    return None
