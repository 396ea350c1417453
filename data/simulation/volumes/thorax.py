"""From a CT to the thorax that findings are put into."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data.base.errors import DataError
from data.simulation.film import reach
from data.simulation.volumes.anatomy import LUNGS, Anatomy, assemble, bounding_box
from data.simulation.volumes.files import Scan
from data.simulation.volumes.scan import (
    AIR_HU,
    body_mask,
    extend,
    hu_to_mu,
    remove_contrast,
    resample_hu,
    resample_labels,
)
from data.simulation.volumes.segment import segment
from data.simulation.volumes.totalsegmentator import NAMES

_LEAST_BODY_LITRES = 5.0


@dataclass(frozen=True, kw_only=True)
class Thorax:
    """An anatomy, and which of its structures no label map named."""

    anatomy: Anatomy
    derived: tuple[str, ...]
    labelled: bool
    """Whether the lungs come from a label map."""


def make_thorax(scan: Scan, spacing: float, degrees: float, shift_mm: float) -> Thorax:
    """Resample a CT, find what its label map lacks, free it of table and contrast agent, fit it to the beam.

    Args:
        scan: the CT.
        spacing: side of a voxel of the working grid in mm.
        degrees: largest rotation about an axis it will be projected under.
        shift_mm: largest shift along an axis.

    Raises:
        DataError: if it is no chest, or its lungs cannot be found.
    """
    hu = resample_hu(scan.hu, scan.voxel, spacing)
    labels = None if scan.labels is None else resample_labels(scan.labels, hu.shape)
    body = body_mask(hu)
    if body.sum() * spacing**3 < _LEAST_BODY_LITRES * 1e6:
        raise DataError("no body was found in it")
    found = segment(hu, body, spacing, labels)
    hu = np.where(body, remove_contrast(hu, found.labels, found.bones), np.float32(AIR_HU))
    x, y, _ = bounding_box(body, margin=2)
    mu, known = hu_to_mu(hu[x, y]), found.labels[x, y]
    lungs = bounding_box(np.isin(known, [NAMES[name] for name in LUNGS]))
    low, high = reach(lungs, known.shape[1], spacing, degrees, shift_mm)
    first, last = max(0, low), min(known.shape[2], high)
    mu, known = extend(mu[..., first:last], known[..., first:last], first - low, high - last)
    anatomy = assemble(mu, known, NAMES, spacing, required=LUNGS)
    labelled = scan.labels is not None and LUNGS[0] not in found.derived
    return Thorax(anatomy=anatomy, derived=found.derived, labelled=labelled)
