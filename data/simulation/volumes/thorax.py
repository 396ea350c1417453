"""From a CT to the thorax that findings are put into."""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch.nn.functional import interpolate

from data.base.errors import DataError
from data.findings import LUNGS
from data.simulation.shapes import largest_piece
from data.simulation.volumes.anatomy import Anatomy, Mask, Volume, assemble, bounding_box
from data.simulation.volumes.files import Scan
from data.simulation.volumes.projection import reach
from data.simulation.volumes.segment import segment
from data.simulation.volumes.totalsegmentator import NAMES

AIR_HU = -1000.0
_BLOOD_HU = 50.0
_BONE_HU = 900.0
_LEAST_BODY_LITRES = 5.0
_BEYOND_MM = 36.0


def make_thorax(scan: Scan, spacing: float, pose: tuple[float, float] | None = None) -> Anatomy:
    """Resample a CT, find what its label map lacks, free it of table and contrast agent, fit it to the beam.

    A scan ends where rays of a cone beam may not have left the patient; its last slices are repeated, so that
    neck and abdomen go on. Labels are not: a structure ends where the scan does.

    Args:
        scan: the CT.
        spacing: side of a voxel of the working grid in mm.
        pose: largest rotation about an axis in degrees and largest shift along one in mm that it will be
            projected under: the grid ends where rays onto the film can reach then. Without it the grid is
            all of the scan and 36 mm more at both ends.

    Raises:
        DataError: if it is no chest, or its lungs cannot be found.
    """
    hu = resample_hu(scan.hu, scan.voxel, spacing)
    labels = None if scan.labels is None else resample_labels(scan.labels, hu.shape)
    body = body_mask(hu)
    if body.sum() * spacing**3 < _LEAST_BODY_LITRES * 1e6:
        raise DataError("no body was found in it")
    found = segment(hu, body, spacing, labels)
    hu = np.where(body, remove_contrast(hu, found.labels, found.bones), np.float32(AIR_HU))
    x, y, _ = bounding_box(body, margin=2)
    mu, known = hu_to_mu(hu[x, y]), found.labels[x, y]
    low, high = _levels(known, spacing, pose)
    first, last = max(0, low), min(known.shape[2], high)
    pad = ((0, 0), (0, 0), (first - low, high - last))
    mu, known = np.pad(mu[..., first:last], pad, mode="edge"), np.pad(known[..., first:last], pad)
    return assemble(mu, known, NAMES, spacing, found.derived)


def _levels(labels: NDArray[np.uint8], spacing: float, pose: tuple[float, float] | None) -> tuple[int, int]:
    """Lowest and highest level of the working grid, in voxels of the scan."""
    if pose is None:
        beyond = round(_BEYOND_MM / spacing)
        return -beyond, labels.shape[2] + beyond
    lungs = bounding_box(np.isin(labels, [NAMES[name] for name in LUNGS]))
    return reach(lungs, labels.shape[1], spacing, *pose)


def resample_hu(hu: Volume, voxel: tuple[float, ...], spacing: float) -> Volume:
    """Bring HU `[X, Y, Z]` with voxels of any size (mm) to cubes of `spacing` mm."""
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
    ball = ndimage.iterate_structure(ndimage.generate_binary_structure(3, 1), 3)
    dense = ndimage.binary_opening(hu > -350, ndimage.generate_binary_structure(3, 1), iterations=2)
    body = ndimage.binary_dilation(largest_piece(dense), ball) & (hu > -350)
    for index in range(body.shape[2]):
        body[..., index] = ndimage.binary_fill_holes(body[..., index])
    return body


def remove_contrast(hu: Volume, labels: NDArray[np.uint8], bones: Mask) -> Volume:
    """Virtual non-contrast: whatever is denser than blood and no bone was contrast agent.

    A radiograph of a patient has none of it; with it, heart and vessels would shine like bone.
    """
    near_bone = ndimage.binary_dilation(bones, iterations=1) & ((labels == 0) | bones)
    return np.minimum(hu, np.where(near_bone, _BONE_HU, _BLOOD_HU).astype(np.float32))


def hu_to_mu(hu: Volume) -> Volume:
    """Linear attenuation in 1/mm."""
    from nanodrr.data import preprocess

    return preprocess.hu_to_mu(torch.from_numpy(hu)).numpy()
