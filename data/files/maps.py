"""Change maps to files; the inverse of `data.files.images.read_target`."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data.config import Change
from data.files.formats import NIFTI_SUFFIXES, is_dicom_name, suffix_of
from data.files.orientation import AS_STORED, Turn
from data.files.quiet import quiet

WRITABLE = (".png", ".tif", ".tiff", ".npy", ".nii", ".nii.gz")


def write_map(
    path: Path,
    values: NDArray[np.float32],
    change: Change,
    *,
    like: Path | None = None,
    spacing_mm: tuple[float, float] | None = None,
) -> None:
    """Write a change map `[H, W]`: 16 bit in a PNG, float32 in TIFF, NPY and NIfTI.

    A PNG holds magnitudes as 0..65535; of signed maps 1..65535 is -1..1, with 32768 in the middle, which
    is how `read_target` takes them.

    Args:
        path: where to; its suffix is one of `WRITABLE`.
        values: the map, in `[0, 1]` or, signed, in `[-1, 1]`.
        change: what the values mean.
        like: the radiograph the map belongs to, on whose pixels it lies as viewers of that format show them:
            a NIfTI map takes the axes and the affine of a NIfTI one, and on a DICOM file a map is turned back
            onto the pixels as they are stored.
        spacing_mm: distance between the rows and between the columns of `values`, which TIFF, and NIfTI of
            other files, say then.
    """
    suffix = suffix_of(path)
    assert suffix in WRITABLE
    if like is not None and is_dicom_name(like):
        turn = turn_on(like)
        values, spacing_mm = turn.stored(values), spacing_mm and turn.pair(*spacing_mm)
    if suffix == ".npy":
        np.save(path, values)
    elif suffix in (".tif", ".tiff"):
        _write_tiff(path, values, spacing_mm)
    elif suffix == ".png":
        from PIL import Image

        scaled = np.round(values * 65535) if change == "magnitude" else np.round(values * 32767) + 32768
        Image.fromarray(scaled.astype(np.uint16)).save(path)
    else:
        _write_nifti(path, values, like, spacing_mm)


def turn_on(like: Path) -> Turn:
    """From the pixels that viewers of a file's format show, on which its map is written, to what is seen."""
    if not is_dicom_name(like):
        return AS_STORED
    from data.files.dicom import read_header, turn_of

    with quiet():
        return turn_of(read_header(like), like)


def _write_tiff(path: Path, values: NDArray[np.float32], spacing_mm: tuple[float, float] | None) -> None:
    from tifffile import imwrite

    density = None if spacing_mm is None else (10 / spacing_mm[1], 10 / spacing_mm[0])
    unit = "NONE" if density is None else "CENTIMETER"
    imwrite(path, values, photometric="minisblack", resolution=density, resolutionunit=unit, metadata=None)


def _write_nifti(
    path: Path, values: NDArray[np.float32], like: Path | None, spacing_mm: tuple[float, float] | None
) -> None:
    import nibabel

    if like is None or suffix_of(like) not in NIFTI_SUFFIXES:
        # A NIfTI array runs along the width first.
        down, across = spacing_mm or (1, 1)
        image = nibabel.Nifti1Image(values.T, np.diag([across, down, 1, 1]))
        if spacing_mm is not None:
            image.header.set_xyzt_units("mm")
        nibabel.save(image, path)
        return
    from data.files.nifti import read_header, turn_of

    source = read_header(like)
    array = turn_of(source, like)[0].stored(values).reshape(source.get_data_shape())
    image = nibabel.Nifti1Image(array, None)
    header = image.header
    header.set_zooms(source.get_zooms())
    header.set_xyzt_units(*source.get_xyzt_units())
    # Only the geometry is taken over: a header has room for names.
    if code := int(source["qform_code"]):
        header.set_qform(source.get_qform(), code)
    if code := int(source["sform_code"]):
        header.set_sform(source.get_sform(), code)
    nibabel.save(image, path)
