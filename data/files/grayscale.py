"""DICOM's grayscale transformations: stored values, modality LUT, VOI LUT or window, dense tissue bright.

Source: DICOM PS3.3, sections C.11.1 (modality LUT) and C.11.2 (VOI LUT), PS3.4, section N.2.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from data.base.errors import DataError
from data.config import Intensity
from data.files.dicom import DicomPlane
from data.files.intensity import between_percentiles, require_range
from data.files.plane import Array, by_rows

if TYPE_CHECKING:
    from pydicom import Dataset

_TABLE_BITS = 16
_RANGE_INSTEAD = "correct it, or set the intensity to range"


def grey_of_dicom(plane: DicomPlane, path: Path, intensity: Intensity) -> NDArray[np.float32]:
    """Grey of a DICOM image, `[H, W]` in `[0, 1]`, dense tissue bright.

    - `dicom`: modality LUT, then the first VOI LUT, or else the first window (LINEAR, LINEAR_EXACT, SIGMOID),
      from its output range to `[0, 1]`. Without either, the range that `BitsStored` can hold, through the
      modality LUT.
    - `range`: the range that `BitsStored` can hold; the modality LUT says only whether it falls.
    - `percentile`: the image's own values behind the modality LUT.

    MONOCHROME1 and a presentation LUT shape of INVERSE mean that small values are bright.

    Raises:
        DataError: a damaged window or table, floats out of range, or, for percentiles, a flat image.
    """
    dataset = plane.dataset
    if plane.bits is None:
        values = _grey_of_floats(plane, path, intensity)
    else:
        limits = np.array(_limits(plane.bits, plane.is_signed))
        transform = {"dicom": _by_header, "range": _by_range, "percentile": _modality}[intensity]
        try:
            values = _through(plane, lambda stored: transform(stored, dataset, limits))
        except (ValueError, NotImplementedError, KeyError, AttributeError, IndexError, TypeError) as error:
            raise DataError(f"{path} has a damaged window or lookup table; {_RANGE_INSTEAD}") from error
        if intensity == "percentile":
            values = between_percentiles(values, path)
    return np.subtract(1, values, out=values) if _small_is_bright(dataset) else values


def _limits(bits: int, is_signed: bool) -> tuple[int, int]:
    """Smallest and largest stored value."""
    return (-(1 << bits - 1), (1 << bits - 1) - 1) if is_signed else (0, (1 << bits) - 1)


def _through(plane: DicomPlane, function: Callable[[Array], Array]) -> NDArray[np.float32]:
    """`function` of every stored value; up to 16 bits, of every possible one once, which is then looked up.

    The lowest `bits` alone are looked at: above them may lie overlays, or the sign.
    """
    assert plane.bits is not None
    low, high = _limits(plane.bits, plane.is_signed)
    if plane.bits > _TABLE_BITS:
        return by_rows(plane.stored, function)
    values = np.arange(low, high + 1)
    table = np.roll(function(values).astype(np.float32), low)  # in two's complement negative values come last
    unsigned = plane.stored.view(f"{plane.stored.dtype.byteorder}u{plane.stored.dtype.itemsize}")
    if plane.bits == 8 * unsigned.dtype.itemsize:
        return by_rows(unsigned, table.take)
    mask = unsigned.dtype.type(high - low)
    return by_rows(unsigned, lambda rows: table.take(rows & mask))


def _by_range(stored: Array, dataset: "Dataset", limits: Array) -> Array:
    low, high = limits
    grey = (stored - float(low)) / float(high - low)
    if dataset.get("ModalityLUTSequence"):
        first, last = _modality(limits, dataset, limits)
    else:  # a slope of zero, or one that is no number, does not say that values fall
        slope = dataset.get("RescaleSlope") or 0
        first, last = 0, slope if dataset.get("RescaleIntercept") is not None else 0
    return 1 - grey if last < first else grey


def _by_header(stored: Array, dataset: "Dataset", limits: Array) -> Array:
    from pydicom.pixels import apply_windowing

    values = _modality(stored, dataset, limits)
    voi = dataset.get("VOILUTSequence")
    if voi and voi[0].get("LUTDescriptor") is not None and voi[0].get("LUTData") is not None:
        shown = _look_up(values, voi[0], dataset, _modality(limits, dataset, limits))
        return np.clip(shown / _largest_of(voi[0], dataset), 0, 1)
    if dataset.get("WindowCenter") is not None and dataset.get("WindowWidth") is not None:
        with np.errstate(over="ignore"):  # SIGMOID, far from its centre
            darkest, brightest = apply_windowing(np.array([-np.inf, np.inf]), dataset)
            return (apply_windowing(values, dataset) - darkest) / (brightest - darkest)
    if modality := dataset.get("ModalityLUTSequence"):
        return np.clip(values / _largest_of(modality[0], dataset), 0, 1)
    return _by_range(stored, dataset, limits)


def _modality(stored: Array, dataset: "Dataset", limits: Array) -> Array:
    from pydicom.pixels import apply_rescale

    if sequence := dataset.get("ModalityLUTSequence"):
        return _look_up(stored, sequence[0], dataset, limits)
    slope, intercept = dataset.get("RescaleSlope"), dataset.get("RescaleIntercept")
    if slope is None or intercept is None:
        return stored
    if not (np.isfinite([float(slope), float(intercept)]).all() and slope):
        raise ValueError("the rescale slope is zero, or no number")
    return apply_rescale(stored, dataset)


def _look_up(values: Array, item: "Dataset", dataset: "Dataset", limits: Array) -> Array:
    """Map values through a lookup table; those before its first and behind its last entry get that entry.

    `limits` are the first and the last of the values there may be. pydicom's own functions count entries in
    the type of the output: a table of more than 256 entries of 8 bits comes out wrong, and one of 12 bits in
    a modality LUT not at all.
    """
    table = _table_of(item, dataset)
    first = _first_mapped(int(item.LUTDescriptor[1]), len(table), limits)
    entries = np.clip(np.floor(values) - first, 0, len(table) - 1).astype(np.int64)
    return table[entries].astype(np.float64)


def _table_of(item: "Dataset", dataset: "Dataset") -> Array:
    count, data, order = int(item.LUTDescriptor[0]) & 0xFFFF or 1 << 16, item.LUTData, "<"
    if not isinstance(data, bytes):  # its words, which a wrong representation may have made signed
        data = (np.atleast_1d(np.asarray(data)) & 0xFFFF).astype("<u2").tobytes()
    elif not dataset.original_encoding[1]:
        order = ">"
    kind = "u1" if len(data) < 2 * count else f"{order}u2"  # 8 bits may be packed, two to a word
    table = np.frombuffer(data, kind)[:count]
    if len(table) != count:
        raise ValueError("the lookup table has fewer entries than it declares")
    return table


def _first_mapped(written: int, count: int, limits: Array) -> int:
    """The value that a table's first entry is for: signed where the values mapped may be.

    So says the standard (PS3.3, C.11.1.1.1 and C.11.2.1.1), whatever representation the 16 bits are written
    in; only where the table would then miss all values are they taken the other way.
    """
    unsigned = written & 0xFFFF
    signed = unsigned - (unsigned >> 15 << 16)
    low, high = limits.min(), limits.max()
    due, other = (signed, unsigned) if low < 0 else (unsigned, signed)
    reached = [bool(low - count < first <= high) for first in (due, other)]
    return other if reached == [False, True] else due


def _largest_of(item: "Dataset", dataset: "Dataset") -> int:
    """The largest output of a lookup table. Source: DICOM PS3.3, sections C.11.1.1.1 and C.11.2.1.1.

    In an image, tables of more than 8 bits must declare 16, and computed radiography does so for those of 10
    or 12. A table is made to fill its range, and one of 16 bits goes beyond half of it: so there, and where
    an entry is larger than declared, the bits of the largest entry count, from 8 up, as in dcm4che. One that
    ends with the power of two, as if it counted from 1, is of the bits below it.
    """
    bits, held = int(item.LUTDescriptor[2]), (int(_table_of(item, dataset).max()) - 1).bit_length()
    if not 1 <= bits <= 16:
        raise ValueError(f"a lookup table of {bits} bits")
    return (1 << (max(held, 8) if bits == 16 or held > bits else bits)) - 1


def _grey_of_floats(plane: DicomPlane, path: Path, intensity: Intensity) -> NDArray[np.float32]:
    if intensity == "percentile":
        return between_percentiles(plane.stored, path)
    values = plane.stored.astype(np.float32)
    require_range(values, path, 0.0, 1.0, "an image of floats", "set the intensity to percentile")
    return values


def _small_is_bright(dataset: "Dataset") -> bool:
    """The presentation LUT shape repeats what MONOCHROME1 says, or says it instead (PS3.3, C.11.6)."""
    shape = str(dataset.get("PresentationLUTShape") or "").strip()
    return str(dataset.PhotometricInterpretation).strip() == "MONOCHROME1" or shape == "INVERSE"
