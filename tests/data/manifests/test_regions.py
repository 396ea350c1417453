"""Cells of masks, boxes and changes."""

import json

import numpy as np
import pytest

from data.base.errors import DataError
from data.manifests.regions import (
    FindingChange,
    box_in,
    boxes_cell,
    boxes_of,
    changes_cell,
    changes_of,
    is_place,
    lines_cell,
    mask_cell,
    mask_of,
)


def test_pixels_become_fractions_and_what_is_a_little_outside_is_clipped():
    assert box_in((10, 20, 30, 40), 100, 200) == (0.1, 0.1, 0.3, 0.2)
    assert box_in((-0.5, 0, 100.9, 200), 100, 200) == (0, 0, 1, 1)


@pytest.mark.parametrize(
    ("box", "reason"),
    [
        ((0, 0, 102, 50), "0, 0, 102, 50 lies outside its image of 100 x 200"),
        ((-5, 0, 50, 50), "outside"),
        ((50, 0, 50, 50), "empty; its edges are left, upper, right, lower"),
        ((float("nan"), 0, 50, 50), "empty"),
    ],
)
def test_boxes_outside_and_empty_ones(box, reason):
    with pytest.raises(ValueError, match=reason):
        box_in(box, 100, 200)


def test_columns_of_places():
    places = ["lungs", "followup_heart", "baseline_mask:edema", "boxes:nodule", "lines:ett", "changes"]
    assert [is_place(name) for name in places] == [True] * 6
    assert not any(map(is_place, ["progression", "findings", "pneumothorax", "mask", "followup_view"]))


def test_cells_are_read_as_they_are_written():
    mask = np.eye(3, 5, dtype=bool)
    assert (mask_of(mask_cell(mask), "x") == mask).all()
    assert (mask_of('{"size": [2, 2], "counts": [1, 1, 2]}', "x") == [[False, False], [True, False]]).all()
    boxes = ((0.1, 0.2, 0.3, 0.4), (0.0, 0.0, 1.0, 1.0))
    assert boxes_of(boxes_cell(boxes), "x") == boxes
    changes = (
        FindingChange(finding="edema", progression="worse", baseline=boxes[:1], followup=boxes),
        FindingChange(finding="pneumothorax", progression="stable"),
    )
    cell = changes_cell(changes)
    assert changes_of(cell, "x") == changes
    assert json.loads(cell)[1] == {"finding": "pneumothorax", "progression": "stable"}
    assert lines_cell([[(0.5, 0.123456), (1, 1)]]) == "[[[0.5,0.12346],[1,1]]]"


@pytest.mark.parametrize(
    ("read", "cell", "reason"),
    [
        (mask_of, "3 5", "lungs of image 'a' is no JSON"),
        (mask_of, '{"size": [3, 5]}', "not what it should be; a mask is"),
        (mask_of, '{"size": [3, 5], "counts": [1, 2]}', "counts 3 pixels, and an image of 3 x 5 has 15"),
        (boxes_of, "[[0.1, 0.2, 0.3]]", "lungs of image 'a'"),
        (boxes_of, "[[10, 20, 30, 40]]", "outside its image"),
        (changes_of, '[{"finding": "edema"}]', "not what it should be; changes are"),
        (changes_of, '[{"finding": "edema", "progression": "bad"}]', "'bad' is no progression"),
        (
            changes_of,
            '[{"finding": "e", "progression": "new", "followup": [[0, 0, 2, 1]]}]',
            "0, 0, 2, 1 lies outside its image of 1 x 1",
        ),
    ],
)
def test_a_cell_that_is_wrong_is_named_in_one_line(read, cell, reason):
    with pytest.raises(DataError, match="lungs of image 'a'") as error:
        read(cell, "lungs of image 'a'")
    assert reason in str(error.value)
    assert "\n" not in str(error.value)
