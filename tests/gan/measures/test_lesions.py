"""Lesions found and false marks, against what one counts by hand and against a slow count."""

import numpy as np
import pytest
from scipy import ndimage

from gan.measures.lesions import RATES, find_lesions, sensitivities

LEVELS = (10, 20, 30)


def plane(*boxes):
    """40 x 40 with a value in each box of (row, column, side, value)."""
    image = np.zeros((40, 40), int)
    for row, column, side, value in boxes:
        image[row : row + side, column : column + side] = value
    return image


def find(bins, changed, levels=LEVELS):
    return find_lesions(bins, changed > 0, changed.size, levels)


def test_a_lesion_is_found_as_long_as_its_mark_lasts():
    changed = plane((2, 2, 6, 1), (20, 20, 6, 1))
    lesions = find(plane((2, 2, 6, 25), (20, 30, 4, 15)), changed)
    assert lesions.found.tolist() == [[True, True, False], [False, False, False]]
    assert lesions.false.tolist() == [1, 0, 0]
    assert lesions.marks.tolist() == [2, 1, 0]
    assert lesions.share == pytest.approx([36 / 1600, 36 / 1600])


def test_a_mark_over_everything_finds_nothing_small():
    lesions = find(np.full((40, 40), 15), plane((2, 2, 6, 1)))
    assert lesions.found.tolist() == [[False, False, False]]
    assert lesions.false.tolist() == [1, 0, 0]


def test_marks_within_a_lesion_are_not_false():
    lesions = find(plane((2, 2, 4, 25), (10, 10, 4, 25)), plane((0, 0, 20, 1)))
    assert lesions.found.tolist() == [[False, False, False]]  # each is a twenty-fifth of it
    assert lesions.false.tolist() == [0, 0, 0]


def test_specks_are_neither_lesions_nor_marks():
    lesions = find(plane((30, 30, 1, 25)), plane((2, 2, 1, 1)))
    assert lesions.found.shape == (0, 3)
    assert lesions.marks.tolist() == [0, 0, 0]


def test_diagonal_neighbours_are_one_lesion():
    assert len(find(plane(), plane((2, 2, 4, 1), (6, 6, 4, 1))).share) == 1


def test_nothing_marked_and_nothing_changed():
    lesions = find(plane(), plane())
    assert lesions.found.shape == (0, 3)
    assert lesions.false.tolist() == [0, 0, 0]


def slowly(bins, changed, level):
    """Found lesions, false marks and marks at one level, mask by mask."""
    around = np.ones((3, 3))
    targets, marks = (
        [mask for mask in (labels == n for n in range(1, count + 1)) if mask.sum() >= 3]
        for labels, count in (ndimage.label(changed, around), ndimage.label(bins >= level, around))
    )
    touched = [[(t & m).sum() / (t | m).sum() >= 0.1 for m in marks] for t in targets]
    found = [any(row) for row in touched]
    hits = [any(row[index] for row in touched) for index in range(len(marks))]
    false = [not hit and 2 * (m & changed).sum() < m.sum() for hit, m in zip(hits, marks, strict=True)]
    return sum(found), sum(false), len(marks)


@pytest.mark.parametrize("seed", range(4))
def test_it_is_what_a_slow_count_finds(seed):
    rng = np.random.default_rng(seed)
    changed = ndimage.gaussian_filter(rng.normal(size=(64, 64)), 4) > 0.06
    bins = (ndimage.gaussian_filter(rng.normal(size=(64, 64)) + changed, 2) * 60).astype(int)
    lesions = find_lesions(bins, changed, changed.size, LEVELS)
    assert len(lesions.share)
    for place, level in enumerate(LEVELS):
        expected = slowly(bins, changed, level)
        counted = lesions.found[:, place].sum(), lesions.false[place], lesions.marks[place]
        assert counted == expected


def test_sensitivity_at_a_rate_is_the_best_that_keeps_to_it():
    found, false = np.array([9.0, 6.0, 3.0]), np.array([40.0, 10.0, 1.0])
    reached = sensitivities(found, np.array(10.0), false, np.array(10.0))
    # A threshold has 4 false marks a pair, the next 1, the last 0.1.
    assert reached == pytest.approx([0.3, 0.3, 0.3, 0.6, 0.6, 0.9, 0.9])
    assert len(RATES) == len(reached)
    assert np.isnan(sensitivities(found * 0, np.array(0.0), false, np.array(10.0))).all()
