"""What samples and patients are called in a manifest: official pseudonyms, or ones derived from a key."""

from dataclasses import replace
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data.index.catalogue import Images, Integers
from data.index.pairing import kind_of
from data.index.pseudonyms import pseudonym
from data.index.tables import join, mapped

_LONG_HASH = r"^([0-9a-f]{8})-[0-9a-f]{8}-[0-9a-f-]+$"


def with_pseudonyms(images: Images, key: bytes, namespace: str) -> Images:
    """The same images under pseudonyms for patient, study and image."""
    # A study's name need not be unique beyond its patient, nor an image's beyond its study.
    studies = join(images.patient, images.study, separator="\0")
    names = {
        "patient": images.patient,
        "study": studies,
        "image": join(studies, images.image, separator="\0"),
    }

    def rename(column: pa.Array, kind: str) -> pa.Array:
        return mapped(column, partial(pseudonym, key, kind, namespace))

    renamed = {kind: rename(column, kind) for kind, column in names.items()}
    return replace(images, **renamed, group=rename(images.group, "patient"))


def full_ids(images: Images) -> pa.Array:
    """`PATIENT/STUDY/IMAGE`; where every image is a patient of its own, just that."""
    if pc.all(pc.equal(images.patient, images.image)).as_py():
        return images.patient
    return join(images.patient, images.study, images.image, separator="/")


def image_ids(images: Images) -> pa.Array:
    """The full ids, with long hashes cut to their first eight digits wherever no two ids meet by it."""
    full = full_ids(images)
    short = full_ids(replace(images, image=pc.replace_substring_regex(images.image, _LONG_HASH, r"\1")))
    return pc.if_else(_is_unique(short), short, full)


def pair_ids(images: Images, baseline: Integers, followup: Integers) -> pa.Array:
    """`PATIENT/STUDY-STUDY-VIEW`, and behind it what else the images have in common; see `kind_of`.

    Where two pairs would be called the same, as a data set's own may, both images' names stand behind it.
    """
    earlier, later = images.take(baseline), images.take(followup)
    studies = join(earlier.study, later.study, kind_of(later), separator="-")
    short = join(later.patient, studies, separator="/")
    full = join(short, earlier.image, later.image, separator="-")
    return pc.if_else(_is_unique(short), short, full)


def _is_unique(names: pa.Array) -> pa.Array:
    codes = names.dictionary_encode().indices.to_numpy()
    return pa.array(np.bincount(codes)[codes] == 1)
