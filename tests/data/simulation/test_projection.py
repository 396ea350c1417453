import numpy as np
import pytest

from data.simulation.volumes.projection import (
    MAGNIFICATION,
    SOURCE_TO_DETECTOR_MM,
    Camera,
    Pose,
    aperture,
    frame,
    place,
)

SPACING = 4.0
SHAPE = (60, 50, 60)
CENTRE = tuple((size - 1) / 2 * SPACING for size in SHAPE)
CAMERA = Camera(size=48, field_mm=240.0, isocentre=CENTRE)
STRAIGHT = Pose()


def project(volume, poses, corner=(0, 0, 0)):
    return place(volume, SPACING, CAMERA, corner).shoot(poses)


def box_volume(x, y, z, mu=0.02):
    volume = np.zeros(SHAPE, dtype=np.float32)
    volume[slice(*x), slice(*y), slice(*z)] = mu
    return volume


def centroid(film):
    rows, columns = np.indices(film.shape)
    return (film * rows).sum() / film.sum(), (film * columns).sum() / film.sum()


def test_a_box_projects_to_its_analytic_line_integral():
    volume = box_volume((10, 50), (10, 40), (10, 50))
    film = project(volume, [STRAIGHT])[0]
    offset = (np.arange(CAMERA.size) + 0.5 - CAMERA.size / 2) * CAMERA.pixel_mm / SOURCE_TO_DETECTOR_MM
    slant = np.sqrt(1 + offset[:, None] ** 2 + offset[None, :] ** 2)
    inner = slice(12, 36)  # rays that enter and leave through the front and the back of the box
    expected = 0.02 * 30 * SPACING * slant
    # The quadrature's step is 2.5 mm on a length of 120 mm.
    np.testing.assert_allclose(film[inner, inner], expected[inner, inner], rtol=0.01)
    assert film[0].max() == 0


def test_projection_is_linear():
    rng = np.random.default_rng(0)
    base, change = rng.random((2, *SHAPE), dtype=np.float32) * 0.02
    poses = [STRAIGHT, Pose(rotation=(2.0, -1.0, 3.0), shift=(5.0, 2.0, -4.0))]
    separate = project(base, poses) + project(change, poses)
    together = project(base + change, poses)
    np.testing.assert_allclose(separate, together, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("pose", [STRAIGHT, Pose(rotation=(3.0, -3.0, 3.0), shift=(8.0, 8.0, -8.0))])
def test_a_cropped_volume_projects_like_the_whole_grid(pose):
    x, y, z = (20, 33), (12, 30), (36, 48)
    corner = (x[0] - 1, y[0] - 1, z[0] - 1)
    volume = box_volume(x, y, z)
    crop = volume[corner[0] : x[1] + 1, corner[1] : y[1] + 1, corner[2] : z[1] + 1].copy()
    whole = project(volume, [pose])
    cropped = project(crop, [pose], corner)
    # The rays are sampled at other points; only the quadrature's error differs.
    np.testing.assert_allclose(cropped, whole, rtol=0, atol=0.02 * float(whole.max()))


def test_a_volume_outside_the_film_leaves_it_empty():
    film = project(box_volume((0, 60), (0, 50), (0, 60)), [STRAIGHT], corner=(500, 0, 0))
    assert not film.any()


def test_the_patients_left_is_on_the_right_and_the_head_is_up():
    film = project(box_volume((45, 55), (20, 30), (45, 55)), [STRAIGHT])[0]
    row, column = centroid(film)
    assert row < CAMERA.size / 3
    assert column > 2 * CAMERA.size / 3


def test_a_shift_moves_the_shadow_by_its_magnified_length():
    volume = box_volume((28, 32), (23, 27), (28, 32))
    poses = [STRAIGHT, Pose(shift=(20.0, 0.0, 10.0))]
    before, after = (centroid(film) for film in project(volume, poses))
    pixels = MAGNIFICATION / CAMERA.pixel_mm
    assert after[1] - before[1] == pytest.approx(20 * pixels, abs=0.1)
    assert after[0] - before[0] == pytest.approx(-10 * pixels, abs=0.1)


def test_turning_moves_front_and_back_to_opposite_sides():
    front, back = box_volume((28, 32), (40, 44), (28, 32)), box_volume((28, 32), (6, 10), (28, 32))
    turned = Pose(rotation=(5.0, 0.0, 0.0))
    moved = []
    for volume in (front, back):
        before, after = (centroid(film) for film in project(volume, [STRAIGHT, turned]))
        moved.append(after[1] - before[1])
    assert abs(moved[0]) > 0.5
    assert moved[0] * moved[1] < 0


def test_the_aperture_keeps_mass_and_leaves_a_fine_film_alone():
    volume = box_volume((28, 32), (23, 27), (28, 32))
    coarse = Camera(size=24, field_mm=240.0, isocentre=CENTRE)
    blurred = aperture(volume, SPACING, coarse)
    assert blurred.sum() == pytest.approx(volume.sum(), rel=1e-4)
    assert blurred.max() < volume.max()
    fine = Camera(size=240, field_mm=240.0, isocentre=CENTRE)
    assert aperture(volume, SPACING, fine) is volume


def test_the_frame_holds_both_lungs(thorax):
    camera = frame(thorax, 48)
    film = place(thorax.lungs.astype(np.float32), thorax.spacing, camera).shoot([STRAIGHT])[0]
    shadow = film > 5  # mm of lung
    assert not shadow[0].any() and not shadow[-1].any()
    assert not shadow[:, 0].any() and not shadow[:, -1].any()
    rows, columns = shadow.any(axis=1).sum() / 48, shadow.any(axis=0).sum() / 48
    assert max(rows, columns) > 0.8
