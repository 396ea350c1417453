"""Run-length codes: masks known by hand, the same in all three conventions."""

import numpy as np
import pytest

from data.files.masks import chexmask_runs, coco_counts, coco_runs, siim_runs

# Five rows, four columns.
MASK = np.array(
    [
        [0, 0, 0, 0],
        [0, 1, 1, 0],
        [0, 1, 1, 0],
        [0, 0, 0, 0],
        [0, 0, 0, 1],
    ],
    bool,
)
DECODED = {
    "siim": lambda: siim_runs(["6 2 3 2 6 1"], 5, 4),
    "siim, several rows of a table": lambda: siim_runs(["11 2 6 1", "6 2", "-1", ""], 5, 4),
    "chexmask": lambda: chexmask_runs(["6 2 10 2", "20 1"], 5, 4),
    "coco, packed as COCO's own tools pack it": lambda: coco_runs("62303O", 5, 4),
    "coco": lambda: coco_runs([6, 2, 3, 2, 6, 1], 5, 4),
}


@pytest.mark.parametrize("name", DECODED)
def test_one_mask_in_every_convention(name):
    assert (DECODED[name]().mask() == MASK).all()


def test_packing_is_what_coco_tools_write():
    # As pycocotools 2.0.11 writes them; the second has numbers of several characters, and a negative one.
    assert coco_counts(MASK) == "62303O"
    square = np.zeros((300, 200), bool)
    square[100:200, 50:150] = True
    assert coco_counts(square) == "lg>T3X6" + "0" * 197 + "da>"
    assert (coco_runs(coco_counts(square), 300, 200).mask() == square).all()


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 1])
def test_packing_and_unpacking(share):
    rng = np.random.default_rng(0)
    for shape in ((1, 1), (1, 9), (9, 1), (37, 53)):
        mask = rng.random(shape) < share
        assert (coco_runs(coco_counts(mask), *shape).mask() == mask).all()


def test_of_another_size_the_pixels_centres_are_looked_at():
    runs = coco_runs(coco_counts(MASK), 5, 4)
    assert (runs.mask(10, 8) == np.kron(MASK, np.ones((2, 2), bool))).all()
    assert (runs.mask(1, 2) == MASK[2:3, [1, 3]]).all()
    assert (runs.mask(5, 2) == MASK[:, [1, 3]]).all()


@pytest.mark.parametrize(
    ("decode", "reason"),
    [
        (lambda: siim_runs(["6 2 20 1"], 5, 4), "reaches pixel 29, and an image of 5 x 4 has 20"),
        (lambda: siim_runs(["6 2 3"], 5, 4), "3 numbers, which are no pairs"),
        (lambda: siim_runs(["six 2"], 5, 4), "no list of whole numbers"),
        (lambda: chexmask_runs(["20 2"], 5, 4), "reaches pixel 21"),
        (lambda: chexmask_runs(["0 2"], 5, 4), "before the first pixel"),
        (lambda: coco_runs([6, 2, 3], 5, 4), "counts 11 pixels, and an image of 5 x 4 has 20"),
        (lambda: coco_runs("62303O", 5, 5), "counts 20 pixels, and an image of 5 x 5 has 25"),
        (lambda: coco_runs("6230 O", 5, 4), "no packed COCO code"),
        (lambda: coco_runs("", 5, 4), "no packed COCO code"),
    ],
)
def test_a_code_that_does_not_fit_says_why(decode, reason):
    with pytest.raises(ValueError, match=reason):
        decode()
