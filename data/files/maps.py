"""Change maps to files; the inverse of `data.files.images.read_target`."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data.config import Change
from data.files.formats import NIFTI_SUFFIXES, is_dicom_name, suffix_of
from data.files.quiet import quiet

WRITABLE = (".png", ".npy", ".nii", ".nii.gz")


def write_map(path: Path, values: NDArray[np.float32], change: Change, *, like: Path | None = None) -> None:
    """Write a change map `[H, W]`: 16 bit in a PNG, float32 in NPY and NIfTI.

    A PNG holds magnitudes as 0..65535; of signed maps 1..65535 is -1..1, with 32768 in the middle, which
    is how `read_target` takes them.

    Args:
        path: where to; its suffix is one of `WRITABLE`.
        values: the map, in `[0, 1]` or, signed, in `[-1, 1]`.
        change: what the values mean.
        like: the radiograph the map belongs to, on whose pixels it lies as viewers of that format show them:
            a NIfTI map takes the axes and the affine of a NIfTI one, and on a DICOM file a map is turned back
            onto the pixels as they are stored.
    """
    suffix = suffix_of(path)
    assert suffix in WRITABLE
    if like is not None and is_dicom_name(like):
        from data.files.dicom import read_dicom

        with quiet():
            values = read_dicom(like).grid.turn.stored(values)
    if suffix == ".npy":
        np.save(path, values)
    elif suffix == ".png":
        from skimage.io import imsave

        scaled = np.round(values * 65535) if change == "magnitude" else np.round(values * 32767) + 32768
        imsave(path, scaled.astype(np.uint16), check_contrast=False)
    else:
        _write_nifti(path, values, like)


def _write_nifti(path: Path, values: NDArray[np.float32], like: Path | None) -> None:
    import nibabel

    if like is None or suffix_of(like) not in NIFTI_SUFFIXES:
        # A NIfTI array runs along the width first.
        nibabel.save(nibabel.Nifti1Image(values.T, np.eye(4)), path)
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
