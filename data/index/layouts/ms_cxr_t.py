"""MS-CXR-T: how five findings changed between two images, without saying where.

Source: Bannur et al., "Learning to Exploit Temporal Structure for Biomedical Vision-Language Processing",
CVPR 2023; https://physionet.org/content/ms-cxr-t/1.0.0/. Annotations only, of radiographs of MIMIC-CXR.
"""

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from data.index.annotations import Row, known, of_parent, paired, progression_of
from data.index.catalogue import Catalogue, Source
from data.index.layouts import mimic
from data.index.tables import find_table, read_table
from data.manifests.regions import FindingChange

LOOKED_FOR = "MS_CXR_T_temporal_image_classification_v*.csv"
_FINDINGS = ("consolidation", "edema", "pleural_effusion", "pneumonia", "pneumothorax")
_LABELS = tuple(f"{finding}_progression" for finding in _FINDINGS)


def find(root: Path) -> bool:
    """The table of labels."""
    return find_table(root, LOOKED_FOR) is not None


def read(source: Source) -> Catalogue:
    """The pairs of the table; the images are those of MIMIC-CXR-JPG or MIMIC-CXR."""
    path = find_table(source.root, LOOKED_FOR)
    assert path is not None
    table = read_table(path, ("dicom_id", "previous_dicom_id", *_LABELS))
    followups, baselines = _names(table["dicom_id"]), _names(table["previous_dicom_id"])
    catalogue = of_parent(mimic.read_either(source), [*baselines, *followups], "ms-cxr-t")
    rows = [
        Row(baseline, followup, FindingChange(finding=finding.replace("_", " "), progression=progression))
        for finding, label in zip(_FINDINGS, _LABELS, strict=True)
        for baseline, followup, word in zip(baselines, followups, table[label].to_pylist(), strict=True)
        if (progression := progression_of(word))
    ]
    catalogue.pairs = paired(known(rows, catalogue.images), catalogue.images.image)
    return catalogue


def _names(ids: pa.Array) -> list[str]:
    """Names of images, of which the table writes the whole paths."""
    return pc.replace_substring_regex(ids, r"^.*/|\.[a-z]+$", "").to_pylist()
