"""Masks that a manifest names."""

import csv
from pathlib import Path

import numpy as np
import pytest
from skimage.io import imsave

from data.base.errors import DataError
from data.draw.masks import masks_of, read_masks, split_lungs
from data.draw.options import DrawConfig
from data.draw.pairs import find_chest
from data.draw.run import draw
from data.files.images import Radiograph
from data.manifests.records import ImageRecord
from tests.calling import call
from tests.data.draw.conftest import save

FILM = Path("film.png")


def ellipse(centre, radii, shape=(160, 160)):
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return np.hypot((rows - centre[0]) / radii[0], (columns - centre[1]) / radii[1]) < 1


RIGHT, LEFT, HEART = (
    ellipse(centre, radii)
    for centre, radii in (((80, 45), (50, 22)), ((80, 115), (45, 22)), ((100, 82), (20, 14)))
)


def code_of(mask):
    """Run-length code along the rows, pairs of the first pixel, from 1, and the length."""
    edges = np.flatnonzero(np.diff(mask.ravel().astype(int), prepend=0, append=0)).reshape(-1, 2)
    return " ".join(f"{first + 1} {end - first}" for first, end in edges)


def written(path, mask, largest=255):
    imsave(path, mask.astype(np.uint8) * largest, check_contrast=False)
    return path


def config(images, out="out", **changed):
    return DrawConfig(images=images, out=Path(out), **{"image_size": 160, "workers": 1, **changed})


def listed(folder, film, **cells):
    """A manifest of one radiograph, with the cells of its masks."""
    save(folder / "film.png", film.image)
    with (folder / "list.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([["patient_id", "image", *cells], ["p", "film.png", *cells.values()]])
    return folder / "list.csv"


@pytest.mark.parametrize("as_code", [False, True], ids=["files", "codes"])
def test_masks_take_the_place_of_what_is_found(films, tmp_path, as_code):
    masks = {"lungs": RIGHT | LEFT, "heart": HEART}
    cells = {
        name: code_of(mask) if as_code else written(tmp_path / f"{name}.png", mask)
        for name, mask in masks.items()
    }
    radiograph = Radiograph(pixels=films[0].image, spacing_mm=None)
    frame = find_chest(radiograph, "p", FILM, config(tmp_path), cells).chest.frame
    np.testing.assert_array_equal(frame.lungs["right"], RIGHT)
    np.testing.assert_array_equal(frame.lungs["left"], LEFT)
    assert frame.heart.any() and not (frame.heart & ~HEART).any()


def test_masks_follow_the_size_that_is_written(films, tmp_path):
    cells = {"lungs": written(tmp_path / "lungs.png", RIGHT | LEFT, largest=1)}
    radiograph = Radiograph(pixels=films[0].image, spacing_mm=None)
    lungs = find_chest(radiograph, "p", FILM, config(tmp_path, image_size=80), cells).chest.frame.lungs
    assert lungs["right"].shape == (80, 80)
    assert lungs["right"].sum() == pytest.approx(RIGHT.sum() / 4, rel=0.03)


def test_a_radiograph_without_lungs_can_be_drawn_into_where_a_mask_shows_them(tmp_path):
    noise = Radiograph(
        pixels=np.random.default_rng(0).uniform(0.2, 0.8, (160, 160)).astype(np.float32), spacing_mm=None
    )
    with pytest.raises(DataError, match="no two lung fields"):
        find_chest(noise, "p", FILM, config(tmp_path))
    assert find_chest(noise, "p", FILM, config(tmp_path), {"lungs": code_of(RIGHT | LEFT)}).chest.tissue


def test_cells_are_files_relative_to_the_manifest_or_codes(tmp_path):
    record = ImageRecord(
        id="a", patient_id="p", image=FILM, columns={"lungs": "masks/a.png", "heart": "3 2 9 1", "view": "PA"}
    )
    assert masks_of(record, tmp_path / "list.csv") == {"lungs": tmp_path / "masks/a.png", "heart": "3 2 9 1"}


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (
            np.ones((80, 80)),
            r"lungs\.png is 80 x 80, but film\.png, whose lungs it shows, is 160 x 160; give a",
        ),
        (np.zeros((160, 160)), r"film\.png has an empty mask of lungs; mark them, or"),
    ],
)
def test_files_that_do_not_fit_are_named(mask, message, tmp_path):
    with pytest.raises(DataError, match=message):
        read_masks({"lungs": written(tmp_path / "lungs.png", mask)}, FILM, (160, 160))


@pytest.mark.parametrize("code", ["25600 9", "1 2 3", "0 4"])
def test_codes_that_do_not_fit_are_named(code):
    with pytest.raises(
        DataError, match=r"^film\.png: its run-length code of heart .*; give the code of this"
    ):
        read_masks({"heart": code}, FILM, (160, 160))


@pytest.mark.parametrize("mask", [RIGHT, RIGHT | ellipse((20, 120), (3, 3)), np.ones((160, 160), dtype=bool)])
def test_one_lung_is_not_enough(mask):
    with pytest.raises(
        DataError, match=r"^film\.png has a mask of lungs that does not show two of them apart"
    ):
        split_lungs(mask, FILM)


def test_a_mask_that_does_not_fit_is_one_line_and_exit_code_2(films, tmp_path):
    written(tmp_path / "mask.png", np.ones((50, 60)))
    result = call(
        "data.draw", listed(tmp_path, films[0], lungs="mask.png"), "out", "--workers", "1", cwd=tmp_path
    )
    assert result.returncode == 2
    assert "mask.png is 50 x 60, but" in result.stderr
    assert len([line for line in result.stderr.splitlines() if line and "drawing:" not in line]) == 1


def test_a_radiograph_is_drawn_again_when_its_mask_was_replaced(films, tmp_path):
    manifest = listed(tmp_path, films[0], lungs="mask.png")
    written(tmp_path / "mask.png", RIGHT | LEFT)
    run = config(manifest, tmp_path / "out", pairs_per_image=1, findings=("consolidation",), unchanged=0.0)
    first, again = (draw(run, progress=False) for _ in range(2))
    target = next((tmp_path / "out" / "target").glob("*.png"))
    before = target.read_bytes(), target.stat().st_mtime_ns
    assert first.pairs == again.pairs == 1
    written(tmp_path / "mask.png", np.roll(RIGHT, 9, axis=0) | LEFT)
    draw(run, progress=False)
    assert target.read_bytes() != before[0]
