"""Change maps to files; the inverse of `data.files.images.read_target`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data.config import Change

from .formats import suffix_of

WRITABLE = (".png", ".npy", ".nii", ".nii.gz")


def write_map(path: Path, values: NDArray[np.float32], change: Change, *, like: Path | None = None) -> None:
    """Write a change map `[H, W]`: 16 bit in a PNG, float32 in NPY and NIfTI.

    A PNG holds magnitudes as 0..65535; of signed maps 1..65535 is -1..1, with 32768 in the middle, which
    is how `read_target` takes them.

    Args:
        path: where to; its suffix is one of `WRITABLE`.
        values: the map, in `[0, 1]` or, signed, in `[-1, 1]`.
        change: what the values mean.
        like: the radiograph the map belongs to; a NIfTI map takes the axes and the affine of a NIfTI one.
    """
    suffix = suffix_of(path)
    assert suffix in WRITABLE
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

    pixels, affine = values.T, np.eye(4)  # a NIfTI array runs along the width first
    if like is not None and suffix_of(like) in (".nii", ".nii.gz"):
        source = nibabel.load(like)
        pixels, affine = pixels.reshape(source.shape), source.affine
    nibabel.save(nibabel.Nifti1Image(pixels, affine), path)
