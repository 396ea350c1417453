"""Arrays -> records: which row of which array is an image, whose it is, and what else is said of it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from data.arrays.store import Array, Arrays
from data.base.errors import DataError
from data.config import SPLITS
from data.manifests.records import PAIR_FILES, ImageRecord, PairRecord, RecordT, RecordTable

_KNOWN = {"patient": "patient_id", "patient_id": "patient_id", "id": "id", "split": "split"}


def pairs_in(arrays: Arrays) -> RecordTable[PairRecord]:
    """The pairs of `baseline`, `followup` and, where they are there, `target` and `target_baseline`.

    Raises:
        DataError: there are none, or the arrays contradict each other.
    """
    roles = [role for role in PAIR_FILES if role in arrays.named]
    if not {"baseline", "followup"} <= {*roles}:
        raise DataError(f"{arrays.path} holds no pairs in arrays baseline and followup ({_found(arrays)})")
    return _table(PairRecord, arrays, {role: role for role in roles}, _beside(arrays, roles, ""))


def images_in(arrays: Arrays) -> RecordTable[ImageRecord]:
    """The images of `image`, or of `train_images`, `val_images` and `test_images`, which name the splits.

    Raises:
        DataError: there are none, or the arrays contradict each other.
    """
    if "image" in arrays.named:
        return _table(ImageRecord, arrays, {"image": "image"}, _beside(arrays, ["image"], ""))
    splits = [split for split in SPLITS if f"{split}_images" in arrays.named]
    if not splits:
        raise DataError(f"{arrays.path} holds no images in an array image ({_found(arrays)})")
    parts = []
    for split in splits:
        beside = _beside(arrays, [f"{split}_images"], f"{split}_")
        count = len(arrays.named[f"{split}_images"])
        beside |= {"split": pa.array([split] * count)}
        parts.append(_table(ImageRecord, arrays, {"image": f"{split}_images"}, beside).columns)
    whole = pa.concat_tables(parts, promote_options="default")
    return RecordTable(ImageRecord, whole, arrays.path)


def _table(
    kind: type[RecordT], arrays: Arrays, roles: Mapping[str, str], beside: dict[str, pa.Array]
) -> RecordTable[RecordT]:
    """Records of the rows of some arrays; what is a file elsewhere is `array/row` here."""
    count = len(arrays.named[next(iter(roles.values()))])
    columns = {role: pa.array([f"{name}/{row}" for row in range(count)]) for role, name in roles.items()}
    columns |= {"id": next(iter(columns.values()))} | beside
    if "patient_id" not in columns:
        if "split" not in columns:
            raise DataError(
                f"{arrays.path} says neither whose its images are nor of which split: add an array patient, "
                "or an array split"
            )
        columns["patient_id"] = columns["id"]
    _require_values(arrays.path, columns)
    return RecordTable(kind, pa.table(columns), arrays.path)


def _require_values(path: Path, columns: Mapping[str, pa.Array]) -> None:
    for name in ("id", "patient_id", "split"):
        if name in columns and columns[name].null_count:
            raise DataError(f"{path}: a value is missing in the array {name.removesuffix('_id')}; add it")
    if len(columns["id"].unique()) < len(columns["id"]):
        raise DataError(f"{path}: values of the array id repeat; name every row differently")
    if "split" in columns and (wrong := {*columns["split"].unique().to_pylist()} - {*SPLITS}):
        raise DataError(f"{path}: the array split has {min(wrong)!r}; it must be one of {', '.join(SPLITS)}")


def _beside(arrays: Arrays, pictures: Sequence[str], prefix: str) -> dict[str, pa.Array]:
    """Columns of text from the arrays with a value, or a few, for each picture."""
    count = len(arrays.named[pictures[0]])
    found = {}
    for name, array in arrays.named.items():
        column = name.removeprefix(prefix)
        known = name in pictures or column in _KNOWN
        if known and (array.ndim == 0 or len(array) != count):
            raise DataError(f"{arrays.path}: {name} is {array.shape}, and {pictures[0]} has {count} rows")
        if name in pictures or not name.startswith(prefix) or array.ndim not in (1, 2) or len(array) != count:
            continue
        if array.ndim == 1 or array.shape[1] == 1:
            found[_KNOWN.get(column, column)] = _text(array.reshape(count))
        else:
            found |= {f"{column}_{number}": _text(values) for number, values in enumerate(array.T)}
    return found


def _text(values: Array) -> pa.Array:
    """Values as the cells of a manifest; NaN and empty text are no value."""
    cells = (str(value) for value in (values.astype(str) if values.dtype.kind == "S" else values).tolist())
    return pa.array([None if cell in ("", "nan") else cell for cell in cells], pa.string())


def _found(arrays: Arrays) -> str:
    return f"found {', '.join(sorted(arrays.named)) or 'nothing'}"
