"""Options of `python -m data.index`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, get_args

import tyro

from data.base.checks import at_least
from data.config import ProcessesOption, SplitConfig
from data.index.views import VIEWS, normalise_view

# fmt: off
LayoutName = Literal[
    "mimic-cxr-jpg", "mimic-cxr", "chexpert", "nih", "padchest", "vindr",
    "chextemporal", "chest-imagenome", "padchest-gr", "ms-cxr-t",
    "siim-acr", "candid-ptx", "chestx-det", "ranzcr",
    "dicom", "nested",
]
# fmt: on
Doubt = Literal["unknown-view", "unknown-region", "raw", "derived", "burned-in"]
LAYOUT_NAMES: tuple[LayoutName, ...] = get_args(LayoutName)


@dataclass(kw_only=True)
class IndexConfig(SplitConfig):
    """Turn a data set into manifests: every image, and pairs of consecutive studies in the same view."""

    root: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="ROOT")]
    """Folder of the data set, the one that holds its official tables where it has any."""
    out: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="OUT")]
    """Folder to write images.csv and pairs.csv into; made whole or not at all."""
    layout: Literal["auto"] | LayoutName = "auto"
    """How the data lies: auto tells the published data sets by their official files' names; dicom is any
    tree of DICOM files, nested is CASE/PAIR/{prior,current,diff_map}.nii.gz."""
    images: Path | None = None
    """Folder of the radiographs, where ROOT holds annotations of another data set's: that of MIMIC-CXR-JPG
    for Chest ImaGenome and MS-CXR-T. Without it, they lie in ROOT."""
    anatomy: Path | None = None
    """CheXmask's table for this data set (such as MIMIC-CXR-JPG.csv): its masks become the columns lungs and
    heart."""
    key: Path | None = None
    """File with the secret (64 hexadecimal digits) that pseudonyms are derived from; made where it is
    missing. Needed for dicom and nested. Published data sets keep their official pseudonyms without it."""
    views: tuple[str, ...] = ()
    """Keep only images of these views, such as PA AP; without it, all are kept."""
    include: tuple[Doubt, ...] = ()
    """Images to pair that are in no pair otherwise: unknown-view and unknown-region (paired among
    themselves), raw (detector data FOR PROCESSING, paired among themselves), derived (secondary captures),
    burned-in (text in the pixels; without this, these are left out of images.csv, too)."""
    format: Literal["csv", "parquet"] = "csv"
    """Format of the manifests."""
    workers: ProcessesOption = 0
    overwrite: bool = False
    """Replace the manifests that OUT holds already."""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, 0, "workers")
        for view in self.views:
            if view != "unknown" and normalise_view(view) == "unknown":
                raise ValueError(f"views names {view!r}; the legal views are {', '.join(VIEWS)}")
