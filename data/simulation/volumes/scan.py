"""What every CT goes through on its way to a thorax: resampled, freed of table and contrast, continued."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from data.simulation.volumes.anatomy import Mask, Volume

AIR_HU = -1000.0
LUNG_HU = -400.0
"""Lung is darker than this, everything around it brighter."""
BONES = ("rib_", "vertebrae_", "sternum", "costal_cartilages", "clavicula_", "scapula_", "humerus_")
"""How the names of bony structures begin."""
_BLOOD_HU = 50.0
_BONE_HU = 900.0


def resample_hu(hu: Volume, voxel: tuple[float, ...], spacing: float) -> Volume:
    """Bring HU `[X, Y, Z]` with voxels of any size (mm) to cubes of `spacing` mm."""
    import torch
    from torch.nn.functional import interpolate

    size = [max(1, round(count * step / spacing)) for count, step in zip(hu.shape, voxel, strict=True)]
    slices = torch.from_numpy(np.ascontiguousarray(hu.transpose(2, 0, 1))).clamp(AIR_HU)[:, None]
    slices = interpolate(slices, size=size[:2], mode="area")  # averages: noise and aliasing go
    columns = slices[:, 0].permute(1, 2, 0)
    columns = interpolate(columns, size=size[2], mode="linear", align_corners=False)
    return columns.contiguous().numpy()


def resample_labels(labels: NDArray[np.uint8], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Bring labels to another grid over the same space, each voxel taking the nearest label."""
    nearest = [
        np.minimum(((np.arange(new) + 0.5) * old / new).astype(int), old - 1)
        for new, old in zip(shape, labels.shape, strict=True)
    ]
    return labels[np.ix_(*nearest)]


def body_mask(hu: Volume) -> Mask:
    """The patient without table and clothes: the largest dense piece, its cavities filled slice by slice."""
    from scipy import ndimage

    ball = ndimage.iterate_structure(ndimage.generate_binary_structure(3, 1), 3)
    dense = ndimage.binary_opening(hu > -350, ndimage.generate_binary_structure(3, 1), iterations=2)
    pieces, count = ndimage.label(dense)
    if count == 0:
        return np.zeros(hu.shape, dtype=bool)
    body = pieces == np.bincount(pieces.ravel())[1:].argmax() + 1
    body = ndimage.binary_dilation(body, ball, iterations=1) & (hu > -350)
    for index in range(body.shape[2]):
        body[..., index] = ndimage.binary_fill_holes(body[..., index])
    return body


def bone_mask(labels: NDArray[np.uint8], names: Mapping[str, int]) -> Mask:
    """Voxels labelled as a bone."""
    return np.isin(labels, [label for name, label in names.items() if name.startswith(BONES)])


def remove_contrast(hu: Volume, labels: NDArray[np.uint8], bones: Mask) -> Volume:
    """Virtual non-contrast: whatever is denser than blood and no bone was contrast agent.

    A radiograph of a patient has none of it; with it, heart and vessels would shine like bone.
    """
    from scipy import ndimage

    near_bone = ndimage.binary_dilation(bones, iterations=1) & ((labels == 0) | bones)
    return np.minimum(hu, np.where(near_bone, _BONE_HU, _BLOOD_HU).astype(np.float32))


def hu_to_mu(hu: Volume) -> Volume:
    """Linear attenuation in 1/mm."""
    import torch
    from nanodrr.data import preprocess

    mu: Volume = preprocess.hu_to_mu(torch.from_numpy(hu)).numpy()
    return mu


def extend(mu: Volume, labels: NDArray[np.uint8], below: int, above: int) -> tuple[Volume, NDArray[np.uint8]]:
    """Continue neck and abdomen beyond the scan by repeating its last slices, some voxels below and above.

    Labels are not continued: a structure ends where the scan does.
    """
    pad = ((0, 0), (0, 0), (below, above))
    return np.pad(mu, pad, mode="edge"), np.pad(labels, pad)
