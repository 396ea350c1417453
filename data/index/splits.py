"""Splits: official ones kept, missing ones drawn by patient; patients who may be one person stay together."""

import pyarrow as pa
import pyarrow.compute as pc

from data.base.errors import DataError
from data.config import SPLITS, SplitConfig
from data.index.catalogue import Images
from data.index.tables import mapped
from data.manifests.splits import draw_splits


def assign_splits(images: Images, official: frozenset[str], config: SplitConfig) -> pa.Array:
    """The split of every image.

    Without official splits all patients are drawn, by `group`. Where the official ones lack val or test,
    patients for it are drawn from the official training patients.

    Args:
        images: their `split` is set wherever `official` is not empty.
        official: splits that the data set defines.
        config: shares of the patients drawn from, and the seed.

    Raises:
        DataError: a patient is in two official splits, or there are too few to draw from.
    """
    if not official:
        groups = images.group.unique().to_pylist()
        patients = pc.count_distinct(images.patient).as_py()
        if len(groups) < 3 <= patients:
            raise DataError(
                f"the {patients:,} patients may be only {len(groups)} person(s), as they share numbers or "
                "studies, and cannot be split into train, val and test; give data of at least 3"
            )
        return mapped(images.group, draw_splits(groups, config).get)
    require_one_split(images)
    missing = [name for name in ("val", "test") if name not in official]
    in_train = pc.equal(images.split, "train")
    if not missing or not pc.any(in_train).as_py():
        return images.split
    groups = images.group.filter(in_train).unique().to_pylist()
    if len(groups) < 3:
        raise DataError(
            f"{len(groups)} official training patient(s) cannot give some to {' and '.join(missing)}; "
            "download more of the data set"
        )
    drawn = draw_splits(groups, config)
    # Who is drawn for a split that is official stays in training.
    kept = {group: split if split in missing else "train" for group, split in drawn.items()}
    return pc.if_else(in_train, mapped(images.group, kept.get), images.split)


def require_one_split(images: Images) -> None:
    """Refuse a patient of two official splits, and patients of two who may be one person.

    Raises:
        DataError: naming the patients and the splits.
    """
    table = pa.table({"patient": images.patient, "split": images.split, "group": images.group})
    found = table.group_by("group").aggregate([("split", "distinct"), ("patient", "distinct")])
    divided = found.filter(pc.greater(pc.list_value_length(found["split_distinct"]), 1))
    if not len(divided):
        return
    row = divided.sort_by("group").slice(0, 1).to_pylist()[0]
    splits, patients = " and ".join(sorted(row["split_distinct"])), sorted(row["patient_distinct"])
    if len(patients) == 1:
        rule = "keep everything of a patient in one split"
        raise DataError(f"patient {patients[0]} is in the official splits {splits}; {rule}")
    raise DataError(
        f"patients {', '.join(patients)}, whose numbers are spelled alike, are in the official splits "
        f"{splits}; keep them in one, or say with --exact-patients that they are different people"
    )


def patients_by_split(patients: pa.Array, splits: pa.Array) -> dict[str, int]:
    """How many patients each split holds."""
    counted = pa.table({"patient": patients, "split": splits}).group_by("split")
    counts = counted.aggregate([("patient", "count_distinct")]).to_pylist()
    found = {row["split"]: row["patient_count_distinct"] for row in counts}
    return {split: found.get(split, 0) for split in SPLITS}
