"""CT series among DICOM files: which there are, and reading one.

Of every patient the largest plausible axial series is taken, the one with most slices: one patient gives one
volume, so that no patient can be in two splits. Patients are told apart by their number or, where that was
removed, by their study; neither leaves this module.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from data.base.engines import Engine
from data.base.errors import DataError
from data.base.processes import ProcessDiedError, Processes
from data.files.quiet import quiet

_TAGS = [
    *("SOPInstanceUID", "Modality", "PatientID", "StudyInstanceUID", "SeriesInstanceUID", "ImageType"),
    *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "Rows", "Columns", "NumberOfFrames"),
]
_FEWEST_SLICES = 20
_AXIAL_COSINE = 0.94
_GAP_SHARE = 0.1
_GAP_MM = 0.2
_TILT_DEGREES = 1.0
_CHUNK = 128
_WORTH_A_POOL = 512


@dataclass(frozen=True, kw_only=True)
class Series:
    """Slices of a CT series from the feet to the head, or why they are none."""

    files: tuple[Path, ...]
    problem: str | None = None


@dataclass(frozen=True, kw_only=True)
class _Slice:
    file: Path
    instance: str
    patient: str
    series: str
    localizer: bool
    frames: int
    shape: tuple[int, int]
    spacing: tuple[float, ...]
    orientation: tuple[float, ...]
    position: tuple[float, ...]


def find_series(
    files: Sequence[Path], *, engine: Engine | None = None, progress: bool = False
) -> list[Series]:
    """One CT series for every patient, in the order of their first files.

    Args:
        files: whatever may be DICOM.
        engine: where many headers are read; None for this process.
        progress: show a bar over the files.

    Raises:
        DataError: if a process died.
    """
    patients: dict[str, dict[str, list[_Slice]]] = {}
    for found in _read_headers(files, engine, progress):
        if not found.localizer:
            patients.setdefault(found.patient, {}).setdefault(found.series, []).append(found)
    chosen = []
    for series in patients.values():
        checked = [_check(slices) for slices in series.values()]
        chosen.append(max(checked, key=lambda one: (one.problem is None, len(one.files), one.files)))
    return sorted(chosen, key=lambda one: min(one.files))


def _read_headers(files: Sequence[Path], engine: Engine | None, progress: bool) -> list[_Slice]:
    """The CT images among the files, in their order."""
    chunks = [files[start : start + _CHUNK] for start in range(0, len(files), _CHUNK)]
    # For a few files, starting processes takes longer than reading.
    if engine is None or len(files) < _WORTH_A_POOL:
        engine = Processes(1)
    read: dict[int, list[_Slice]] = {}
    with tqdm(total=len(files), desc="headers", unit="file", disable=not progress or not files) as bar:
        try:
            for number, slices in engine.run(_read_chunk, chunks):
                bar.update(len(chunks[number]))
                read[number] = slices
        except ProcessDiedError as error:
            raise DataError(
                "a process that read headers died, probably of lack of memory; use fewer --workers"
            ) from error
    return [one for number in range(len(chunks)) for one in read[number]]


def _read_chunk(files: Sequence[Path]) -> list[_Slice]:
    with quiet():
        return [found for file in files if (found := _read_header(file)) is not None]


def _read_header(file: Path) -> _Slice | None:
    """What tells slices apart; None for a file that is no CT image."""
    import pydicom

    try:
        if not file.is_file():  # to open a pipe would wait for ever
            return None
        header = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=_TAGS)
        if header.get("Modality") != "CT" or "Rows" not in header:
            return None
        return _Slice(
            file=file,
            instance=str(header.get("SOPInstanceUID") or file),
            patient=str(header.get("PatientID") or header.get("StudyInstanceUID") or ""),
            series=str(header.get("SeriesInstanceUID") or ""),
            localizer="LOCALIZER" in (header.get("ImageType") or ()),
            frames=int(header.get("NumberOfFrames") or 1),
            shape=(int(header.Rows), int(header.Columns)),
            spacing=_numbers(header.get("PixelSpacing")),
            orientation=_numbers(header.get("ImageOrientationPatient")),
            position=_numbers(header.get("ImagePositionPatient")),
        )
    except Exception:  # not DICOM, or nothing that says what it is: other files lie beside the CT's
        return None


def _numbers(values: Any) -> tuple[float, ...]:
    return tuple(float(value) for value in values or ())


def _check(slices: Sequence[_Slice]) -> Series:
    """Sort the slices from the feet to the head; name what keeps them from being a volume."""
    by_instance: dict[str, _Slice] = {}
    for one in slices:
        by_instance.setdefault(one.instance, one)
    slices = list(by_instance.values())  # an export that was made twice holds everything twice
    first = slices[0]
    files = tuple(sorted(one.file for one in slices))
    if any(one.frames > 1 for one in slices):
        return Series(files=files, problem="it is an enhanced multi-frame CT; convert it to NIfTI")
    lengths = {(len(one.spacing), len(one.orientation), len(one.position)) for one in slices}
    if lengths != {(2, 6, 3)}:
        return Series(files=files, problem="its slices lack pixel spacing, orientation or position")
    if len({(one.shape, one.spacing) for one in slices}) > 1:
        return Series(files=files, problem="its slices differ in size or pixel spacing")
    orientations = np.array([one.orientation for one in slices])
    if np.abs(orientations - orientations[0]).max() > 1e-3:
        return Series(files=files, problem="its slices differ in orientation")
    if len(slices) < _FEWEST_SLICES:
        return Series(files=files, problem=f"it has {len(slices)} slices; {_FEWEST_SLICES} are the least")
    normal = np.cross(first.orientation[:3], first.orientation[3:])
    if abs(normal[2]) < _AXIAL_COSINE:
        return Series(files=files, problem="its slices are not axial")
    height = np.array([one.position for one in slices]) @ (normal * np.sign(normal[2]))
    order = np.argsort(height)
    positions = np.array([slices[index].position for index in order])
    return Series(
        files=tuple(slices[index].file for index in order),
        problem=_problem_of_positions(positions, height[order], normal),
    )


def _problem_of_positions(
    positions: NDArray[np.float64], height: NDArray[np.float64], normal: NDArray[np.float64]
) -> str | None:
    steps = np.diff(height)
    step = float(np.median(steps))
    if (steps < 1e-3).any():
        return "it has several slices at one position; export its phases as series of their own"
    if np.abs(steps - step).max() > max(_GAP_SHARE * step, _GAP_MM):
        return f"slices are missing: they lie {steps.min():.2f} to {steps.max():.2f} mm apart"
    course = positions[-1] - positions[0]
    along = abs(course @ normal) / np.linalg.norm(course)
    if along < np.cos(np.deg2rad(_TILT_DEGREES)):
        return "its gantry was tilted; resample it to a straight grid"
    return None


def read_series(files: Sequence[Path]) -> Any:
    """A series as a NIfTI image in memory: HU and the affine to right, front and head.

    Args:
        files: its slices from the feet to the head, as `find_series` gives them.

    Raises:
        DataError: if a slice cannot be decoded.
    """
    first, last = _decode(files[0]), _decode(files[-1])
    rows, columns = first[1].shape
    hu = np.empty((columns, rows, len(files)), dtype=np.float32)
    for index, file in enumerate(files):
        hu[..., index] = _decode(file)[1].T
    header = first[0]
    along_rows, along_columns = np.array(header.ImageOrientationPatient, dtype=np.float64).reshape(2, 3)
    between_rows, between_columns = (float(value) for value in header.PixelSpacing)
    start = np.array(header.ImagePositionPatient, dtype=np.float64)
    end = np.array(last[0].ImagePositionPatient, dtype=np.float64)
    affine = np.eye(4)
    affine[:3, 0] = along_rows * between_columns
    affine[:3, 1] = along_columns * between_rows
    affine[:3, 2] = (end - start) / (len(files) - 1)
    affine[:3, 3] = start
    # DICOM's axes point to the left and the back, NIfTI's to the right and the front.
    return nibabel.Nifti1Image(hu, np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine)


def _decode(file: Path) -> tuple[Any, NDArray[np.float32]]:
    import pydicom
    from pydicom.pixels import apply_rescale

    try:
        dataset = pydicom.dcmread(file)
        pixels = np.asarray(apply_rescale(dataset.pixel_array, dataset), dtype=np.float32)
    except Exception as error:  # its text may name the file, and folders are named after patients
        raise DataError(f"a slice cannot be decoded ({type(error).__name__})") from None
    if pixels.ndim != 2:
        raise DataError(f"a slice has the shape {pixels.shape}; slices of one grey image are expected")
    return dataset, pixels
