"""Where what is made of pairs goes; free of heavy imports."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from data.files.formats import DICOM_SUFFIXES, stem_of, suffix_of

SUFFIXES = (".png", ".tif", ".tiff", ".npy", ".nii", ".nii.gz", ".dcm")
"""Those of maps; data.files.maps.WRITABLE, which would import NumPy, and DICOM."""


@dataclass(frozen=True, kw_only=True)
class Places:
    """The files of one pair."""

    map: Path
    overlay: Path | None = None
    uncertainty: Path | None = None
    segmentation: Path | None = None
    """Only of DICOM."""
    findings: Path | None = None

    def all(self) -> Iterator[Path]:
        """Those that are to be written."""
        return (path for path in vars(self).values() if path is not None)


def places_beside(output: Path, *, uncertainty: bool) -> Places:
    """Of one pair: everything beside its map."""
    is_dicom = suffix_of(output) in DICOM_SUFFIXES
    suffix, stem = output.name[len(stem_of(output)) :], stem_of(output)
    return Places(
        map=output,
        overlay=output.with_name(f"{stem}_overlay{suffix if is_dicom else '.png'}"),
        uncertainty=output.with_name(f"{stem}_uncertainty{suffix}") if uncertainty else None,
        segmentation=output.with_name(f"{stem}_segmentation{suffix}") if is_dicom else None,
        findings=output.with_name(f"{stem}_findings.csv"),
    )


def places_in(folder: Path, name: str, suffix: str, *, overlay: bool, uncertainty: bool) -> Places:
    """Of one of many pairs: a folder for each kind of file."""
    is_dicom = suffix in DICOM_SUFFIXES
    return Places(
        map=folder / "maps" / f"{name}{suffix}",
        overlay=folder / "overlays" / f"{name}{suffix if is_dicom else '.png'}" if overlay else None,
        uncertainty=folder / "uncertainty" / f"{name}{suffix}" if uncertainty else None,
        segmentation=folder / "segmentations" / f"{name}{suffix}" if is_dicom else None,
    )
