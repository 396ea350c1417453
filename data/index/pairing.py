"""Consecutive studies of one patient in the same view."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from data.index.body_parts import CHEST
from data.index.catalogue import MILLISECONDS_PER_DAY, UNDATED, Images, Integers
from data.index.tables import join
from data.manifests.records import codes_of


class Pairing(NamedTuple):
    """Rows of the images that form pairs, sorted by patient, view and time."""

    baseline: Integers
    followup: Integers
    undated: int  # images that no pair can take because nothing says when they were made
    unordered: int  # pairs left out because nothing says which of the two came first


def pair_studies(images: Images, *, dated: bool, excluded: NDArray[np.bool_] | None = None) -> Pairing:
    """Pair every study with the patient's next one that has an image of the same view and body region.

    A study is as old as its oldest image. One image stands for the study's view: the one of lowest rank.
    Two studies of the same moment are not paired, nor are two of the same day when one of them is of
    midnight, which is how a missing time reads: a change map with the two exchanged would be wrong.

    Args:
        images: the images of a data set.
        dated: whether moments are milliseconds; days are compared only then.
        excluded: images that no pair may take; they count for the age of their study only.
    """
    patient, view, study = (
        codes_of(column).astype(np.int64) for column in (images.patient, kind_of(images), images.study)
    )
    # Studies need other names only within a patient.
    study = np.unique(patient * (study.max(initial=0) + 1) + study, return_inverse=True)[1].astype(np.int64)
    moment = np.full(study.max(initial=-1) + 1, UNDATED)
    np.minimum.at(moment, study, images.moment)
    order = np.lexsort((images.rank, study, moment[study], view, patient))
    if excluded is not None:
        order = order[~excluded[order]]
    eligible = len(order)
    order = order[moment[study[order]] != UNDATED]

    patient, view, study = patient[order], view[order], study[order]
    is_first = np.ones(len(order), bool)
    is_first[1:] = (patient[1:] != patient[:-1]) | (view[1:] != view[:-1]) | (study[1:] != study[:-1])
    rows, patient, view, study = (column[is_first] for column in (order, patient, view, study))

    together = (patient[1:] == patient[:-1]) & (view[1:] == view[:-1])
    ordered = _in_known_order(moment[study[:-1]], moment[study[1:]], dated)
    return Pairing(
        baseline=rows[:-1][together & ordered],
        followup=rows[1:][together & ordered],
        undated=eligible - len(order),
        unordered=int((together & ~ordered).sum()),
    )


def kind_of(images: Images) -> pa.Array:
    """What both images of a pair have in common: `VIEW`, `VIEW-KNEE_LEFT`, `VIEW-raw`."""
    kind = join(images.view, pc.if_else(pc.equal(images.region, CHEST), "", join("-", images.region)))
    if "raw" not in images.marks:
        return kind
    # Grey values of another kind.
    return join(kind, pc.if_else(pa.array(images.marks["raw"]), "-raw", ""))


def days_between(images: Images, baseline: Integers, followup: Integers) -> Integers:
    """Days between the dates of the images of each pair."""
    return images.moment[followup] // MILLISECONDS_PER_DAY - images.moment[baseline] // MILLISECONDS_PER_DAY


def _in_known_order(earlier: Integers, later: Integers, dated: bool) -> NDArray[np.bool_]:
    ordered = earlier < later
    if dated:
        same_day = earlier // MILLISECONDS_PER_DAY == later // MILLISECONDS_PER_DAY
        untimed = (earlier % MILLISECONDS_PER_DAY == 0) | (later % MILLISECONDS_PER_DAY == 0)
        ordered &= ~(same_day & untimed)
    return ordered
