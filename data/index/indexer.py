"""A data set -> manifests of its images and of its pairs."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from data.base.atomic import whole_folder, write_rows
from data.base.errors import DataError, UserError
from data.index.anatomy import add_anatomy
from data.index.catalogue import Catalogue, GivenPairs, Source
from data.index.doubts import MARKS, Mask, any_of, descriptions_of, excluded, note_on
from data.index.files import exist
from data.index.groups import group_alike
from data.index.layouts import LAYOUTS, choose_layout
from data.index.links import link_files
from data.index.naming import full_ids, image_ids, pair_ids, with_pseudonyms
from data.index.options import Doubt, IndexConfig
from data.index.output import REFUSED, require_free
from data.index.pairing import days_between, pair_studies
from data.index.pseudonyms import load_key, new_key, save_key
from data.index.splits import assign_splits, patients_by_split
from data.index.tables import join
from data.index.views import normalise_view
from data.manifests.records import first_rows
from data.manifests.writing import write_manifest


@dataclass(kw_only=True)
class Summary:
    """What was found and written. Nothing in it names a patient, a date or a file of the data set."""

    layout: str
    images: int
    patients: int
    pairs: int
    missing: int
    """Files that the official tables name and the disk lacks."""
    splits: dict[str, int]
    """Patients of each split."""
    refused: Counter[str] = field(default_factory=Counter)
    """Files and rows left out, by reason."""
    notes: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """One line for every fact."""
        lines = [
            f"layout: {self.layout}",
            f"images: {self.images:,} of {self.patients:,} patients",
            f"pairs: {self.pairs:,}",
        ]
        if self.missing:
            lines.append(f"missing: {self.missing:,} files named by the tables are not on the disk")
        lines += [f"left out: {count:,} ({reason})" for reason, count in self.refused.most_common()]
        counts = ", ".join(f"{name} {count:,}" for name, count in self.splits.items())
        lines.append(f"patients by split: {counts}")
        return lines + [f"note: {note}" for note in self.notes]


def index(config: IndexConfig) -> Summary:
    """Find the images of a data set, pair and split them, and write the manifests.

    Args:
        config: the data set and what to make of it.

    Raises:
        UserError: an option does not fit the data, or the data set is not what it should be.
    """
    root, out = Path(os.path.abspath(config.root)), _out_of(config)  # noqa: PTH100  (links are kept)
    require_free(out, overwrite=config.overwrite)
    layout = choose_layout(root, config.layout)
    key = _load_key(config, layout, out)
    images_root = _images_root(config, layout, root)
    catalogue = LAYOUTS[layout].read(Source(root, out, config.workers, images_root))
    missing = _keep_usable(catalogue, images_root, config)
    if not config.exact_patients:
        catalogue.notes += group_alike(catalogue.images)
    if config.anatomy is not None:
        catalogue.notes.append(add_anatomy(catalogue.images, images_root, config.anatomy))
    new = new_key() if config.key is not None and key is None else None
    key = key or new
    if key is not None:
        catalogue.images = with_pseudonyms(catalogue.images, key, catalogue.namespace)
        # The order of an archive's files can say whose they are.
        catalogue.select(np.asarray(pc.sort_indices(full_ids(catalogue.images)), np.int64))
    images = catalogue.images
    images.split = assign_splits(images, catalogue.official_splits, config)
    pairs = _pair(catalogue, config)
    if not len(pairs.baseline):
        catalogue.notes.append(f"there are no pairs, so pairs.{config.format} is not written")
    if catalogue.refused_files:
        catalogue.notes.append(f"{REFUSED} lists the files left out; it is private, paths may hold names")
    _write(config, catalogue, pairs, images_root, out, new)
    return Summary(
        layout=layout,
        images=len(images),
        patients=pc.count_distinct(images.patient).as_py(),
        pairs=len(pairs.baseline),
        missing=missing,
        splits=patients_by_split(images.patient, images.split),
        refused=catalogue.refused,
        notes=catalogue.notes,
    )


def _out_of(config: IndexConfig) -> Path:
    """OUT as `..` leads out of it, whatever links lead there."""
    out = Path(os.path.abspath(config.out))  # noqa: PTH100
    return out.parent.resolve() / out.name


def _images_root(config: IndexConfig, layout: str, root: Path) -> Path:
    """Where the radiographs lie."""
    if config.images is None:
        return root
    if not LAYOUTS[layout].apart:
        apart = ", ".join(name for name, known in LAYOUTS.items() if known.apart)
        raise UserError(
            f"--images is for annotations of other data sets' radiographs ({apart}); leave it out"
        )
    if not config.images.is_dir():
        raise UserError(f"--images {config.images} is no folder; name the one of the radiographs")
    return Path(os.path.abspath(config.images))  # noqa: PTH100


def _load_key(config: IndexConfig, layout: str, out: Path) -> bytes | None:
    """The key, or None where there is none yet or none is asked for."""
    if config.key is None:
        if private := LAYOUTS[layout].private:
            raise UserError(
                f"--key is missing: {private} get pseudonyms; name a file to keep the key in, "
                "apart from the data and from OUT"
            )
        return None
    if config.key.resolve().is_relative_to(out):
        raise UserError(f"--key {config.key} lies in OUT, which may be passed on; keep it elsewhere")
    key = load_key(config.key)
    if key is None and not os.access(config.key.parent, os.W_OK):  # said before headers are read for hours
        raise UserError(
            f"--key {config.key} cannot be made there; name a file in a folder that can be written"
        )
    return key


def _keep_usable(catalogue: Catalogue, root: Path, config: IndexConfig) -> int:
    """Leave out rows without names, repeated ones, missing files and unwanted views; how many are missing."""
    named = pc.and_(pc.not_equal(catalogue.images.patient, ""), pc.not_equal(catalogue.images.image, ""))
    _drop(catalogue, named.to_numpy(zero_copy_only=False), "row without a patient or an image")
    first = first_rows(full_ids(catalogue.images))
    _drop(catalogue, np.isin(np.arange(len(catalogue.images)), first), "row repeated")
    present = catalogue.images.path.is_valid().to_numpy(zero_copy_only=False)
    if not catalogue.checked:
        present = exist(root, catalogue.images.path)
    if not present.any():
        raise DataError(
            f"{root} holds none of the {len(present):,} files that its tables name; "
            "unpack the images beside the tables, or choose another --layout"
        )
    _leave_out_empty_splits(catalogue, present)
    catalogue.select(np.flatnonzero(present))
    if catalogue.official_splits:
        has_split = catalogue.images.split.is_valid().to_numpy(zero_copy_only=False)
        _drop(catalogue, has_split, "in no official split")
        if not has_split.any():
            raise DataError(f"{root} holds no image of an official split; download its split files again")
    if "burned-in" not in config.include:
        _leave_out_burned_in(catalogue)
    if config.views:
        _keep_views(catalogue, [normalise_view(view) for view in config.views])
    return int((~present).sum())


def _leave_out_empty_splits(catalogue: Catalogue, present: NDArray[np.bool_]) -> None:
    """An official split of which no image is there: without training data nothing works, others are drawn."""
    for name in sorted(catalogue.official_splits):
        is_of_split = pc.fill_null(pc.equal(catalogue.images.split, name), False)
        rows = is_of_split.to_numpy(zero_copy_only=False)
        if not rows.any() or present[rows].any():
            continue
        if name == "train":
            raise DataError(
                f"every image of the split {name} is missing; unpack them beside the tables, or put aside "
                "the table or list that names them"
            )
        catalogue.official_splits -= {name}
        catalogue.notes.append(
            f"no image of the official split {name} is there: patients for it are drawn from train"
        )


def _leave_out_burned_in(catalogue: Catalogue) -> None:
    """Images with text in their pixels, which may say whose they are."""
    burned_in = catalogue.images.marks.get("burned-in")
    if burned_in is None or not burned_in.any():
        return
    if burned_in.all():
        raise DataError(
            f"all {len(burned_in):,} images say that text is burned into them, which may be names; "
            "--include burned-in takes them"
        )
    for path in catalogue.images.path.filter(pa.array(burned_in)).to_pylist():
        catalogue.refuse(os.fsdecode(path), "text is burned in; --include burned-in takes them")
    catalogue.select(np.flatnonzero(~burned_in))


def _drop(catalogue: Catalogue, kept: NDArray[np.bool_], reason: str) -> None:
    if not kept.all():
        catalogue.refused[reason] += int((~kept).sum())
        catalogue.select(np.flatnonzero(kept))


def _keep_views(catalogue: Catalogue, views: Sequence[str]) -> None:
    found = sorted(catalogue.images.view.unique().to_pylist())
    kept = pc.is_in(catalogue.images.view, value_set=pa.array(views)).to_numpy(zero_copy_only=False)
    if not kept.any():
        raise UserError(f"--views {' '.join(views)} leaves nothing; the data set has {', '.join(found)}")
    _drop(catalogue, kept, "view not asked for")


def _pair(catalogue: Catalogue, config: IndexConfig) -> GivenPairs:
    """Pairs of consecutive studies, or the data's own, without images that speak against themselves."""
    include = config.include
    if "unknown" in map(normalise_view, config.views):  # they are asked for by name
        include = (*include, "unknown-view")
    unfit = excluded(catalogue.images, include)
    if catalogue.pairs is not None:
        return _fit_pairs(catalogue, {name: mask for name, mask in unfit.items() if name in MARKS})
    pairing = pair_studies(
        catalogue.images, dated=catalogue.dated, excluded=any_of(unfit, len(catalogue.images))
    )
    catalogue.notes += [note_on(name, int(mask.sum())) for name, mask in unfit.items()]
    if pairing.undated and catalogue.dated:
        catalogue.notes.append(f"{pairing.undated:,} images carry no date and are in no pair")
    if pairing.unordered:
        catalogue.notes.append(
            f"{pairing.unordered:,} pairs are left out because nothing says which study came first"
        )
    return GivenPairs(baseline=pairing.baseline, followup=pairing.followup)


def _fit_pairs(catalogue: Catalogue, unfit: dict[Doubt, Mask]) -> GivenPairs:
    """The data's own pairs: view and region are its own matter, what an image is is not."""
    pairs = catalogue.pairs
    assert pairs is not None
    catalogue.notes += [note_on(name, int(mask.sum())) for name, mask in unfit.items()]
    mask = any_of(unfit, len(catalogue.images))
    return pairs.take(np.flatnonzero(~(mask[pairs.baseline] | mask[pairs.followup])))


def _write(
    config: IndexConfig, catalogue: Catalogue, pairs: GivenPairs, root: Path, out: Path, new: bytes | None
) -> None:
    images = catalogue.images
    with whole_folder(out) as folder:
        if config.key is None:
            # Relative where that is shorter, so that both can move.
            prefix = min(os.path.relpath(root, out), str(root), key=len) + "/"
            paths = join(prefix, images.path)
            targets = {
                name: join(prefix, given)
                for name, given in (("target", pairs.target), ("target_baseline", pairs.target_baseline))
                if given is not None
            }
        else:
            link = partial(link_files, folder, out=out, root=root)
            paths = link(images.path, images.patient, images.image)
            targets = {
                name: link(paths_of_targets, samples.patient, join(samples.image, "-target"))
                for name, paths_of_targets, samples in (
                    ("target", pairs.target, images.take(pairs.followup)),
                    ("target_baseline", pairs.target_baseline, images.take(pairs.baseline)),
                )
                if paths_of_targets is not None
            }
        columns = {"id": image_ids(images), "patient_id": images.patient, "image": paths}
        columns |= {"split": images.split, "view": images.view, **descriptions_of(images)}
        columns |= {**images.labels, **images.regions}
        write_manifest(folder / f"images.{config.format}", pa.table(columns))
        if len(pairs.baseline):
            table = _pair_table(catalogue, pairs, paths, targets)
            write_manifest(folder / f"pairs.{config.format}", table)
        if catalogue.refused_files:
            write_rows(folder / REFUSED, [("path", "reason"), *catalogue.refused_files], private=True)
        if config.key is not None and new is not None:  # last, as a run that fails needs none
            save_key(config.key, new)
            catalogue.notes.append(f"a new key is in {config.key}; keep it, other keys give other pseudonyms")


def _pair_table(
    catalogue: Catalogue, pairs: GivenPairs, paths: pa.Array, targets: dict[str, pa.Array]
) -> pa.Table:
    images, baseline, followup = catalogue.images, pa.array(pairs.baseline), pa.array(pairs.followup)
    columns = {
        "id": pair_ids(images, pairs.baseline, pairs.followup),
        "patient_id": images.patient.take(followup),
        "baseline": paths.take(baseline),
        "followup": paths.take(followup),
        **targets,
        "split": images.split.take(followup),
        "view": images.view.take(followup),
        "days": pa.nulls(len(baseline), pa.int64()),
    }
    if catalogue.dated:
        columns["days"] = pa.array(days_between(images, pairs.baseline, pairs.followup))
    if targets:
        columns["id"] = join(images.patient.take(followup), images.study.take(followup), separator="/")
    for role, rows in (("baseline", baseline), ("followup", followup)):
        columns |= {f"{role}_{name}": cells.take(rows) for name, cells in images.regions.items()}
    return pa.table(columns | pairs.columns)
