"""Change maps as DICOM objects: Parametric Map, Segmentation and Secondary Capture, made with highdicom.

They lie in the followup's study and take patient and study from it, as the standard has it, and nothing else
that names anybody.

Source: DICOM PS3.3, A.75 (Parametric Map), A.51 (Segmentation), A.8.1 (Secondary Capture).
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from data.base.errors import DataError, first_line
from data.files.dicom import read_header, spacing_of, turn_of
from data.files.formats import is_dicom_name
from data.files.orientation import Turn
from data.files.quiet import quiet

if TYPE_CHECKING:
    from pydicom import Dataset

MAKER = "radiograph-change-gan"
_UIDS = ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")
_PATIENT_AND_STUDY = (
    *("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber"),
    *("StudyID", "StudyDate", "StudyTime", "ReferringPhysicianName"),
)
_AXES = {"L": (1, 0, 0), "R": (-1, 0, 0), "P": (0, 1, 0), "A": (0, -1, 0), "H": (0, 0, 1), "F": (0, 0, -1)}
_FRONTAL = ("L", "F")
"""How a radiograph lies that says nothing of it: as it is shown, the patient's right on the viewer's left."""
_SERIES = {"change map": 9001, "uncertainty": 9002, "segmentation": 9003, "overlay": 9004}


@dataclass(frozen=True, kw_only=True)
class Algorithm:
    """What made a map."""

    name: str
    """Class of the network."""
    version: str
    """Of this package."""
    weights: str
    """Digest by which the weights are known."""
    parameters: Mapping[str, str]
    """Options that decide what the map is."""


@dataclass(frozen=True)
class Sources:
    """The two radiographs that a map was made of: what their headers say."""

    baseline: "Dataset"
    followup: "Dataset"

    @classmethod
    def read(cls, baseline: Path, followup: Path) -> "Sources":
        """Those of two files.

        Raises:
            DataError: one of them is not DICOM, lacks a UID, or is of another patient; or the followup names
                no spacing, or not how it lies.
        """
        headers = [_header(path) for path in (baseline, followup)]
        if len({str(header.get("PatientID") or "") for header in headers} - {""}) > 1:
            raise DataError(f"{baseline} and {followup} name two patients; DICOM maps are of one, write PNG")
        if spacing_of(headers[1]) is None:
            raise DataError(f"{followup} names no pixel spacing, which DICOM maps need; write PNG or NIfTI")
        return cls(*headers)

    @cached_property
    def turn(self) -> Turn:
        """From the followup's pixels as they are stored to how they are seen."""
        return turn_of(self.followup, Path())

    @cached_property
    def spacing(self) -> tuple[float, float]:
        """Distance between the followup's rows and between its columns, as they are stored, in mm."""
        spacing = spacing_of(self.followup)
        assert spacing is not None
        return spacing

    @cached_property
    def orientation(self) -> tuple[str, str]:
        """Into which the followup's columns and its rows are counted: one letter of `LRPAHF` each."""
        letters = [str(value)[:1] for value in self.followup.get("PatientOrientation") or ()]
        known = len(letters) == 2 and all(letter in _AXES for letter in letters)
        return (letters[0], letters[1]) if known else _FRONTAL

    @cached_property
    def framed(self) -> "Dataset":
        """The followup's header with what a map needs and radiographs lack: a place in a frame of reference.

        A projection has none in the patient; so the frame is one of this film's own, unless the header has
        one, and its origin the first pixel.
        """
        from highdicom import UID

        framed = deepcopy(self.followup)
        if "ImagePositionPatient" not in framed or "FrameOfReferenceUID" not in framed:
            framed.FrameOfReferenceUID = UID()
            framed.ImagePositionPatient = [0, 0, 0]
            framed.ImageOrientationPatient = [part for letter in self.orientation for part in _AXES[letter]]
        framed.PixelSpacing, framed.SliceThickness = list(self.spacing), 1
        return framed


def parametric_map(
    values: NDArray[np.float32], sources: Sources, algorithm: Algorithm, *, kind: str, signed: bool
) -> "Dataset":
    """A map `[H, W]`, on the followup's pixels as they are stored, as float32.

    Args:
        values: in `[0, 1]` or, signed, in `[-1, 1]`.
        sources: what it was made of.
        algorithm: what made it.
        kind: `change map` or `uncertainty`.
        signed: whether it tells directions.
    """
    import highdicom as hd
    from pydicom.sr.codedict import codes

    lowest = -1.0 if signed else 0.0
    mapping = hd.pm.RealWorldValueMapping(
        lut_label=kind,
        lut_explanation=f"{kind}, {'signed' if signed else 'magnitude'}",
        unit=codes.UCUM.NoUnits,
        value_range=(lowest, 1.0),
        slope=1.0,
        intercept=0.0,
        quantity_definition=codes.cid7180.SignalChange,
    )
    made = hd.pm.ParametricMap(
        source_images=[sources.framed],
        pixel_array=np.ascontiguousarray(values, np.float32),
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[mapping],
        voi_lut_transformations=[
            hd.VOILUTTransformation(window_center=(lowest + 1) / 2, window_width=1 - lowest)
        ],
        content_label="UNCERTAINTY" if kind == "uncertainty" else "CHANGE",
        image_flavor="STATIC",
        derived_pixel_contrast="STD_DEVIATION" if kind == "uncertainty" else "QUANTITY",
        **_measures(sources),
        **_series(kind, algorithm),
    )
    return _finished(made, sources, algorithm)


def segmentation(
    values: NDArray[np.float32], sources: Sources, algorithm: Algorithm, *, threshold: float, signed: bool
) -> "Dataset":
    """What of a map reaches a threshold; of a signed one, more and less attenuation as two segments."""
    import highdicom as hd
    from pydicom.sr.codedict import codes

    sides = {"more attenuation": values, "less attenuation": -values} if signed else {"change": values}
    identified = hd.AlgorithmIdentificationSequence(
        name=algorithm.name,
        family=codes.DCM.ArtificialIntelligence,
        version=f"{algorithm.version}, weights {algorithm.weights}",
        source=MAKER,
        parameters={**algorithm.parameters, "threshold": f"{threshold:.4f}"},
    )
    segments = [
        hd.seg.SegmentDescription(
            segment_number=number,
            segment_label=label,
            segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
            segmented_property_type=codes.SCT.MorphologicallyAbnormalStructure,
            algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
            algorithm_identification=identified,
        )
        for number, label in enumerate(sides, start=1)
    ]
    made = hd.seg.Segmentation(
        source_images=[sources.framed],
        pixel_array=np.stack([side >= threshold for side in sides.values()], -1)[None].astype(np.uint8),
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=segments,
        content_label="CHANGE",
        omit_empty_frames=False,
        **_measures(sources),
        **_series("segmentation", algorithm),
    )
    return _finished(made, sources, algorithm)


def secondary_capture(colours: NDArray[np.uint8], sources: Sources, algorithm: Algorithm) -> "Dataset":
    """A picture `[H, W, 3]`, on the followup's pixels as they are stored."""
    import highdicom as hd
    from pydicom import Dataset
    from pydicom.uid import ExplicitVRLittleEndian

    made = hd.sc.SCImage.from_ref_dataset(
        sources.followup,
        pixel_array=np.ascontiguousarray(colours),
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        pixel_spacing=cast(Any, sources.spacing),
        patient_orientation=sources.orientation,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        **_series("overlay", algorithm),
    )
    made.BurnedInAnnotation = "NO"
    made.SourceImageSequence = [_reference(sources.followup)]
    series = Dataset()
    series.SeriesInstanceUID = sources.followup.SeriesInstanceUID
    series.ReferencedInstanceSequence = [_reference(sources.followup)]
    made.ReferencedSeriesSequence = [series]
    return _finished(made, sources, algorithm)


@contextmanager
def named_if_refused(followup: Path) -> Iterator[None]:
    """Make a user's mistake of what highdicom has against a header, which it raises in many ways."""
    try:
        yield
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"{followup} has a header of which no DICOM map can be made ({first_line(error)}); write PNG"
        ) from error


def _header(path: Path) -> "Dataset":
    if not is_dicom_name(path):
        raise DataError(f"{path} is not DICOM and has no UIDs to refer to; write the map as PNG or NIfTI")
    with quiet():
        header = read_header(path)
    if missing := [name for name in _UIDS if not header.get(name)]:
        raise DataError(f"{path} has no {missing[0]} to refer to; write the map as PNG or NIfTI")
    for name in _PATIENT_AND_STUDY:  # which must be there, and may be empty
        if name not in header:
            setattr(header, name, None)
    return header


def _series(kind: str, algorithm: Algorithm) -> dict[str, Any]:
    """A new instance in a new series, by what made it."""
    from highdicom import UID

    return {
        "series_instance_uid": UID(),
        "series_number": _SERIES[kind],
        "series_description": f"Change between radiographs: {kind}",
        "sop_instance_uid": UID(),
        "instance_number": 1,
        "manufacturer": MAKER,
        "manufacturer_model_name": algorithm.name,
        "software_versions": algorithm.version,
        "device_serial_number": algorithm.weights,
    }


def _measures(sources: Sources) -> dict[str, Any]:
    from highdicom import PixelMeasuresSequence

    return {"pixel_measures": PixelMeasuresSequence(pixel_spacing=sources.spacing, slice_thickness=1)}


def _finished(made: Any, sources: Sources, algorithm: Algorithm) -> Any:
    """Refer to the baseline as well, and say what a projection is and how it came about."""
    for item in made.get("SharedFunctionalGroupsSequence", ()):
        item.PixelMeasuresSequence[0].pop("SpacingBetweenSlices", None)  # there is one
    _add_place(made, sources.followup)
    lies = sources.followup.get("PatientOrientation")
    made.PatientOrientation = list(sources.orientation) if lies else None
    told = ", ".join(f"{name} {value}" for name, value in algorithm.parameters.items())
    made.DerivationDescription = f"{algorithm.name}, weights {algorithm.weights}: {told}"[:1024]
    made.SourceImageSequence.append(_reference(sources.baseline))
    _refer_to_baseline(made, sources)
    return made


def _add_place(made: Any, followup: "Dataset") -> None:
    """What was examined, and of which side, which segmentations do not tell."""
    if followup.get("BodyPartExamined"):
        made.BodyPartExamined = followup.BodyPartExamined
    if made.Modality == "SEG":
        return
    if followup.get("Laterality"):
        made.Laterality = followup.Laterality
    elif "BodyPartExamined" not in made:
        made.Laterality = None  # which says that it is not known


def _refer_to_baseline(made: Any, sources: Sources) -> None:
    """Common Instance Reference: by series within the study, and by study beyond it."""
    from pydicom import Dataset

    baseline = sources.baseline
    for series in made.ReferencedSeriesSequence:
        if series.SeriesInstanceUID == baseline.SeriesInstanceUID:
            series.ReferencedInstanceSequence.append(_reference(baseline))
            return
    series = Dataset()
    series.SeriesInstanceUID = baseline.SeriesInstanceUID
    series.ReferencedInstanceSequence = [_reference(baseline)]
    if baseline.StudyInstanceUID == made.StudyInstanceUID:
        made.ReferencedSeriesSequence.append(series)
        return
    study = Dataset()
    study.StudyInstanceUID = baseline.StudyInstanceUID
    study.ReferencedSeriesSequence = [series]
    made.StudiesContainingOtherReferencedInstancesSequence = [study]


def _reference(image: "Dataset") -> "Dataset":
    from pydicom import Dataset

    reference = Dataset()
    reference.ReferencedSOPClassUID = image.SOPClassUID
    reference.ReferencedSOPInstanceUID = image.SOPInstanceUID
    return reference
