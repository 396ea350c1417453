from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from data.base.errors import DataError
from data.simulation.drawing.lungs import find_lungs

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
