"""From a volume to line integrals: the cone-beam projection of a chest film.

Geometry of a posterior-anterior chest radiograph: the tube stands behind the patient, the detector before the
chest; on the film the patient's right is on the viewer's left.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data.findings import LUNGS
from data.simulation.films import Plane
from data.simulation.volumes.anatomy import Anatomy, Box, Volume

if TYPE_CHECKING:
    from nanodrr.data import Subject

SOURCE_TO_DETECTOR_MM = 1800.0
ISOCENTRE_TO_DETECTOR_MM = 160.0
_SOURCE_TO_ISOCENTRE_MM = SOURCE_TO_DETECTOR_MM - ISOCENTRE_TO_DETECTOR_MM
MAGNIFICATION = SOURCE_TO_DETECTOR_MM / _SOURCE_TO_ISOCENTRE_MM
_STEP_MM = 2.5
_RAYS_AT_ONCE = 1 << 16
_LARGER_PATIENT = 1.08
"""How much larger than the CT a virtual patient may be; see `deform.SCALE`."""


@dataclass(frozen=True, kw_only=True)
class Pose:
    """How the patient stands."""

    rotation: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Turn, bend and lean: rotation about the axes z, x and y through the isocentre, in degrees."""
    shift: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Shift along x, y and z in mm."""


@dataclass(frozen=True, kw_only=True)
class Camera:
    """A square film of `size` pixels that shows `field_mm` in the plane of the isocentre."""

    size: int
    field_mm: float
    isocentre: tuple[float, float, float]
    """Position in mm in the anatomy that the central ray meets."""

    @property
    def pixel_mm(self) -> float:
        """Side of a pixel on the detector in mm."""
        return self.field_mm * MAGNIFICATION / self.size


def frame(anatomy: Anatomy, size: int) -> Camera:
    """Collimate to the chest: both lungs from the apices to the costophrenic angles, with a margin."""
    chest = anatomy.box(*LUNGS)
    centre = [(part.start + part.stop - 1) / 2 * anatomy.spacing for part in chest]
    field = _field_mm(chest, anatomy.spacing)
    return Camera(size=size, field_mm=field, isocentre=(centre[0], centre[1], centre[2]))


def _field_mm(chest: Box, spacing: float) -> float:
    width, _, height = ((part.stop - part.start) * spacing for part in chest)
    return max(width + 44.0, height + 40.0)


def reach(chest: Box, depth: int, spacing: float, degrees: float, shift_mm: float) -> tuple[int, int]:
    """Lowest and highest level, in voxels, that a ray onto the film can pass inside the patient.

    What lies beyond costs time and shows nothing; a volume that ends sooner shows its end.

    Args:
        chest: box of the lungs in the grid.
        depth: size of the grid from back to front, in voxels.
        spacing: side of a voxel in mm.
        degrees: largest rotation of the patient about each axis.
        shift_mm: largest shift along each axis.
    """
    angle = np.deg2rad(degrees)
    half_depth = depth * spacing / 2
    half_film = _LARGER_PATIENT * _field_mm(chest, spacing) / 2 * (1 + half_depth / _SOURCE_TO_ISOCENTRE_MM)
    # A film that leans reaches highest with its corners, a patient who bends with chest and back.
    half = half_film * (np.cos(angle) + np.sin(angle)) + half_depth * np.tan(angle) + shift_mm
    middle = (chest[2].start + chest[2].stop - 1) / 2
    return int(np.floor(middle - half / spacing)), int(np.ceil(middle + half / spacing))


def aperture(volume: Volume, spacing: float, camera: Camera) -> Volume:
    """Blur a volume across the beam by the width of a pixel, so that one ray per pixel does not alias.

    Linear, like the projection. Where pixels are finer than voxels the volume stays as it is.
    """
    from scipy.ndimage import gaussian_filter

    pixel = camera.field_mm / camera.size
    # A box of width w has the standard deviation w / sqrt(12); the voxels have blurred by theirs already.
    variance = (pixel**2 - spacing**2) / 12
    if variance <= 0:
        return volume
    sigma = variance**0.5 / spacing
    return gaussian_filter(volume, (sigma, 0, sigma), mode="nearest", truncate=3.0)


@dataclass(frozen=True, kw_only=True)
class PlacedVolume:
    """A volume where the rays meet it; made once, it is projected in any number of poses."""

    subject: "Subject"
    corners: NDArray[np.float64]
    """Its corners `[8, 4]` in the world, homogeneous."""
    samples: int
    """Points at which a ray samples it."""
    camera: Camera

    def shoot(self, poses: Sequence[Pose]) -> Plane:
        """Line integrals `[N, size, size]` in N poses, head up and the patient's left at the right."""
        from nanodrr.camera import make_k_inv, make_rt_inv

        camera, device = self.camera, self.subject.isocenter.device
        pixel = camera.pixel_mm
        sdd = torch.tensor([SOURCE_TO_DETECTOR_MM], device=device)
        films = np.zeros((len(poses), camera.size, camera.size), dtype=np.float32)
        for film, pose in zip(films, poses, strict=True):
            x, y, z = pose.shift
            # The camera moves against the patient; its world's x axis, to the right, runs against ours.
            position = torch.tensor([[x, -_SOURCE_TO_ISOCENTRE_MM - y, -z]], dtype=torch.float32)
            camera_to_world = make_rt_inv(torch.tensor([pose.rotation], dtype=torch.float32), position, "PA")
            top, bottom, left, right = _shadow(self.corners, camera_to_world[0].double().numpy(), camera)
            rows = max(1, _RAYS_AT_ONCE // max(1, right - left))
            for row in range(top, bottom, rows):
                height, width = min(rows, bottom - row), right - left
                # The principal point of the whole film, seen from the centre of this part of it.
                x0 = (camera.size / 2 - left - width / 2) * pixel
                y0 = (camera.size / 2 - row - height / 2) * pixel
                k_inv = make_k_inv(SOURCE_TO_DETECTOR_MM, pixel, pixel, x0, y0, height, width, torch.float32)
                view = (k_inv.to(device), camera_to_world.to(device), sdd, height, width)
                rays = cast_rays(self.subject, *view, self.samples)
                film[row : row + height, left:right] = rays[0, 0].cpu().numpy()
        return films


def place(
    volume: Volume,
    spacing: float,
    camera: Camera,
    corner: tuple[int, int, int] = (0, 0, 0),
    device: str = "cpu",
) -> PlacedVolume:
    """Put a volume before the camera.

    Args:
        volume: attenuation `[X, Y, Z]` in 1/mm.
        spacing: side of a voxel in mm.
        camera: the film.
        corner: first voxel of the volume in the grid of the anatomy; rays outside its shadow cost nothing.
        device: where volume and rays live while they meet.
    """
    from nanodrr.data import Subject
    from torchio import ScalarImage

    # World: right, front, head, in mm from the isocentre.
    flip = np.array([-1.0, 1.0, 1.0])
    affine = np.diag([*(flip * spacing), 1.0])
    affine[:3, 3] = flip * (np.asarray(corner) * spacing - np.asarray(camera.isocentre))
    # One voxel outside its outermost centres.
    index = np.array(np.meshgrid(*((-1, size) for size in volume.shape), indexing="ij")).reshape(3, 8)
    image = ScalarImage(tensor=torch.from_numpy(volume)[None], affine=affine)
    return PlacedVolume(
        subject=Subject.from_images(image, max_label=0, convert_to_mu=False).to(device),
        corners=(affine @ np.vstack([index, np.ones(8)])).T,
        samples=max(8, int(np.ceil(1.02 * volume.shape[1] * spacing / _STEP_MM))),
        camera=camera,
    )


def cast_rays(
    subject: "Subject",
    k_inv: Tensor,
    camera_to_world: Tensor,
    sdd: Tensor,
    height: int,
    width: int,
    samples: int,
) -> Tensor:
    """Line integrals `[1, 1, height, width]`: nanodrr's own part of every projection, and nothing else."""
    from nanodrr.drr import render

    with torch.no_grad():
        return render(subject, k_inv, camera_to_world, sdd, height, width, n_samples=samples)


def _shadow(
    corners: NDArray[np.float64], camera_to_world: NDArray[np.float64], camera: Camera
) -> tuple[int, int, int, int]:
    """First and last row and column, ends excluded, of the pixels whose rays can meet the box."""
    seen = corners @ np.linalg.inv(camera_to_world).T
    pixels = seen[:, :2] / seen[:, 2:3] * SOURCE_TO_DETECTOR_MM / camera.pixel_mm + camera.size / 2
    left, top = np.clip(np.floor(pixels.min(axis=0)), 0, camera.size).astype(int)
    right, bottom = np.clip(np.ceil(pixels.max(axis=0)), 0, camera.size).astype(int)
    return int(top), int(bottom), int(left), int(right)
