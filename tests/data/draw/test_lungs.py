from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, rotate
from skimage.draw import polygon2mask

from data.base.errors import DataError
from data.simulation.drawing.fitting import fit, to_edges
from data.simulation.drawing.lungs import find_lungs
from data.simulation.drawing.outlines import MODES, outlines

PATH = Path("film.png")


def dice(found, true):
    return 2 * (found & true).sum() / (found.sum() + true.sum())


def dark(film):
    return film.image**2, film.lungs


def light(film):
    return film.image**0.5, film.lungs


def faint(film):
    return 0.4 + 0.2 * film.image, film.lungs


def narrow_window(film):
    return np.clip((film.image - 0.15) / 0.6, 0, 1), film.lungs


def noisy(film):
    return np.clip(film.image + np.random.default_rng(0).normal(0, 0.03, film.image.shape), 0, 1), film.lungs


def black_padding(film):
    return np.pad(film.image, ((10, 30), (40, 20))), np.pad(film.lungs, ((10, 30), (40, 20)))


def white_padding(film):
    image = np.pad(film.image, ((10, 15), (25, 20)), constant_values=1)
    return image, np.pad(film.lungs, ((10, 15), (25, 20)))


def letters(film):
    image = film.image.copy()
    image[4:20, 8:11] = image[17:20, 8:16] = image[-20:-16, -30:-8] = 1
    return image, film.lungs


def small(film):
    resized = film.resized(64, 64)
    return resized.image, resized.lungs


def large_and_wide(film):
    resized = film.resized(900, 1100)
    return resized.image, resized.lungs


def eight_bits(film):
    return np.round(film.image * 255) / 255, film.lungs


VIEWS = [
    dark,
    light,
    faint,
    narrow_window,
    noisy,
    black_padding,
    white_padding,
    letters,
    small,
    large_and_wide,
    eight_bits,
]


def test_lungs_are_found_in_every_patient(films):
    for film in films:
        assert dice(find_lungs(film.image, PATH).both, film.lungs) > 0.75


@pytest.mark.parametrize("number", range(len(VIEWS)), ids=[view.__name__ for view in VIEWS])
def test_lungs_are_found_whatever_the_exposure_size_and_border(films, number):
    image, lungs = VIEWS[number](films[number % len(films)])
    fields = find_lungs(image.astype(np.float32), PATH)
    assert dice(fields.both, lungs) > 0.7
    assert not (fields.right & fields.left).any()


def test_the_right_lung_is_on_the_viewers_left(films):
    fields = find_lungs(films[0].image, PATH)
    columns = [np.flatnonzero(mask.any(axis=0)).mean() for mask in (fields.right, fields.left)]
    assert columns[0] < films[0].image.shape[1] / 2 < columns[1]


def test_an_opaque_base_leaves_the_rest_of_that_lung(films):
    film = films[0]
    rows = np.flatnonzero(film.lungs.any(axis=1))
    level = rows[0] + int(0.62 * np.ptp(rows))
    hidden = film.lungs.copy()
    hidden[:level] = hidden[:, film.image.shape[1] // 2 :] = False
    share = gaussian_filter(hidden.astype(np.float32), 1.5)
    fields = find_lungs(film.image * (1 - share) + 0.72 * share, PATH)
    assert dice(fields.both, film.lungs & ~hidden) > 0.7
    assert (fields.right & hidden).sum() < 0.3 * hidden.sum()


def blobs(seed):
    field = gaussian_filter(np.random.default_rng(seed).normal(size=(160, 160)), 3)
    return (field - field.min()) / np.ptp(field)


NO_CHEST = {
    "flat": np.full((128, 128), 0.4),
    "black": np.zeros((128, 128)),
    "ramp": np.tile(np.linspace(0, 1, 128), (128, 1)),
    "noise": np.random.default_rng(0).random((128, 128)),
    "blobs": blobs(1),
    "stripes": 0.5 + 0.5 * np.outer(np.cos(np.linspace(-3, 3, 200)), np.sin(np.linspace(-6, 6, 200))),
    "checkerboard": np.kron(np.indices((8, 8)).sum(axis=0) % 2, np.ones((25, 25))),
    "disc": np.hypot(*np.mgrid[-64:64, -64:64]) / 100,
}


@pytest.mark.parametrize("name", NO_CHEST)
def test_what_is_no_chest_is_refused_by_name(name):
    with pytest.raises(DataError, match=r"^film.png shows no two lung fields \(.+\); give frontal chest"):
        find_lungs(NO_CHEST[name].astype(np.float32), PATH)


def test_lateral_views_are_refused(lateral):
    with pytest.raises(DataError, match=r"^film.png shows no two lung fields"):
        find_lungs(lateral, PATH)


@pytest.mark.parametrize("turn", [np.flipud, np.rot90], ids=["upside down", "on its side"])
def test_turned_films_are_refused(films, turn):
    with pytest.raises(DataError, match=r"^film.png shows no two lung fields"):
        find_lungs(np.ascontiguousarray(turn(films[0].image)), PATH)


def test_half_a_chest_is_refused(films):
    with pytest.raises(DataError, match=r"^film.png shows no two lung fields"):
        find_lungs(films[0].image[:, : films[0].image.shape[1] // 2], PATH)


def test_inverted_films_are_named_as_such(films):
    with pytest.raises(DataError, match=r"^film.png shows no two lung fields, but its negative does"):
        find_lungs(1 - films[0].image, PATH)


def test_films_of_a_few_pixels_are_refused():
    with pytest.raises(DataError, match=r"^film\.png is 40 x 90; a lung field needs 48 px or more"):
        find_lungs(np.zeros((40, 90), dtype=np.float32), PATH)


@pytest.mark.parametrize("shape", [(60, 6000), (6000, 60)])
def test_strips_are_refused_as_such(shape):
    with pytest.raises(DataError, match=rf"^film\.png is {shape[0]} x {shape[1]}, a strip; give whole"):
        find_lungs(np.zeros(shape, dtype=np.float32), PATH)


def test_what_is_nearly_all_padding_is_refused_as_such(films):
    image = np.pad(films[0].resized(160, 30).image, ((30, 30), (95, 95)))
    with pytest.raises(DataError, match=r"no two lung fields \(all but a narrow strip of it is empty\)"):
        find_lungs(image.astype(np.float32), PATH)


def opaque_right_lung(film):
    rows = np.flatnonzero(film.lungs.any(axis=1))
    white = film.lungs.copy()
    white[:, film.image.shape[1] // 2 :] = white[: rows[0] + rows.size // 3] = False
    share = 0.6 * gaussian_filter(white.astype(np.float32), 1.5)
    return film.image * (1 - share) + 0.75 * share


def turned_with_black_corners(film):
    return rotate(film.image, 5, reshape=True, order=1)


def raised_heart(film):
    """A heart so large that it leaves a third of the left base."""
    rows, columns = np.mgrid[: film.image.shape[0], : film.image.shape[1]]
    seen = np.argwhere(film.lungs)
    (top, first), (bottom, last) = seen.min(axis=0), seen.max(axis=0)
    centre = top + 0.75 * (bottom - top), (first + last) / 2 + 0.14 * (last - first)
    inside = np.hypot(
        (rows - centre[0]) / (0.28 * (bottom - top)), (columns - centre[1]) / (0.24 * (last - first))
    )
    share = gaussian_filter((inside < 1).astype(np.float32), 1.5)
    return film.image * (1 - share) + 0.8 * share


@pytest.mark.parametrize("view", [opaque_right_lung, turned_with_black_corners, raised_heart])
def test_sick_and_turned_chests_are_found(films, view):
    image = np.clip(view(films[0]), 0, 1).astype(np.float32)
    fields = find_lungs(image, PATH)
    areas = [mask.mean() for mask in (fields.right, fields.left)]
    assert min(areas) > 0.04 and min(areas) > 0.3 * max(areas)


def test_outlines_move_to_the_edges_of_lungs_whose_shape_is_known():
    """Dark fields of a random shape of the model on a bright film: the search brings it back."""
    rng = np.random.default_rng(3)
    shape = np.concatenate([[0.5, 0.15, np.log(0.34), np.log(0.66), 0.04], rng.normal(0, 0.6, len(MODES))])[
        None
    ]
    truth = [polygon2mask((200, 220), lung[:, ::-1]) for lung in outlines(shape, (200, 220))[0]]
    level = gaussian_filter(np.where(truth[0] | truth[1], -1.0, 1.0), 1.5).astype(np.float32)
    points = outlines(fit(level), level.shape)[0]
    found = [polygon2mask(level.shape, lung[:, ::-1]) for lung in to_edges(points, level, 0.34 * 220)]
    for one, true in zip(found, truth, strict=True):
        assert dice(one, true) > 0.95


def test_outlines_are_linear_in_their_modes_and_follow_their_pose():
    modes = np.random.default_rng(0).normal(size=(2, len(MODES)))
    pose = np.array([0.5, 0.1, np.log(0.3), np.log(0.7), 0.0])
    one, other, both = (
        outlines(np.concatenate([pose, mode])[None], (100, 120))
        for mode in (modes[0], modes[1], modes.sum(axis=0))
    )
    mean = outlines(np.concatenate([pose, np.zeros(len(MODES))])[None], (100, 120))
    np.testing.assert_allclose(both - mean, (one - mean) + (other - mean), atol=1e-9)
    pose[0] += 0.1
    moved = outlines(np.concatenate([pose, modes[0]])[None], (100, 120))
    np.testing.assert_allclose(moved - one, np.broadcast_to([12.0, 0.0], one.shape), atol=1e-9)
    assert (mean[0, 0, :, 0] < 60).all() and (mean[0, 1, :, 0] > 60).all()
