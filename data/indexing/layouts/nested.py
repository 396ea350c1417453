"""`CASE/PAIR/{prior,current,diff_map}.nii.gz`, the layout that longitudinal pipelines write."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from data.files.formats import stem_of
from data.indexing.catalogue import UNDATED, Catalogue, GivenPairs, Images, Source, constant, no_splits
from data.tables.folders import pairs_in_folder

LOOKED_FOR = "CASE/PAIR/ folders with prior.nii.gz and current.nii.gz"


def find(root: Path) -> bool:
    """One folder two levels down that holds both images."""
    return any(
        {"prior", "current"} <= {stem_of(file) for file in folder.iterdir()}
        for case in sorted(root.iterdir())
        if case.is_dir()
        for folder in sorted(case.iterdir())
        if folder.is_dir()
    )


def read(source: Source) -> Catalogue:
    """Both images of every pair, and the pairs as they are."""
    records = list(pairs_in_folder(source.root))
    length = 2 * len(records)
    files = [file for record in records for file in (record.baseline, record.followup)]
    targets = [record.target and record.target.relative_to(source.root).as_posix() for record in records]
    images = Images(
        patient=pa.array([record.patient_id for record in records for _ in range(2)], pa.string()),
        study=pa.array([Path(record.id).name for record in records for _ in range(2)], pa.string()),
        image=pa.array(["baseline", "followup"] * len(records), pa.string()),
        path=pa.array([file.relative_to(source.root).as_posix() for file in files], pa.string()),
        view=constant("unknown", length),
        region=constant("", length),
        moment=np.full(length, UNDATED),
        rank=np.arange(length),
        split=no_splits(length),
    )
    return Catalogue(
        images=images,
        namespace="nested",
        pairs=GivenPairs(
            baseline=np.arange(0, length, 2),
            followup=np.arange(1, length, 2),
            target=pa.array(targets, pa.string()),
        ),
        checked=True,
    )
