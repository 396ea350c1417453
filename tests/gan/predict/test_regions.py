"""Regions of a map are where they are, as large as they are."""

import numpy as np
import pytest

from gan.predict.regions import COLUMNS, find_regions, rows_of


@pytest.fixture
def change():
    """Two rectangles, one of which turns the other way, and a speck."""
    change = np.zeros((40, 50), np.float32)
    change[4:8, 10:20] = 0.5
    change[5, 12] = 0.9
    change[30:36, 40:42] = -0.4
    change[20, 20] = 0.8
    return change


def test_a_region_is_told_by_place_size_and_direction(change):
    more, less = find_regions(change, 0.3, signed=True, spacing_mm=(2.0, 0.5))
    assert (more.direction, less.direction) == ("more", "less")
    assert (more.x, more.y, more.left, more.top, more.width, more.height) == (14.5, 5.5, 10, 4, 10, 4)
    assert (more.x_mm, more.y_mm, more.area, more.area_mm2) == (7.25, 11.0, 40, 40.0)
    assert more.mean == pytest.approx(0.51)
    assert more.largest == pytest.approx(0.9)
    assert (less.area, less.largest, less.mean) == (12, pytest.approx(-0.4), pytest.approx(-0.4))


def test_the_threshold_decides_and_magnitudes_have_no_direction(change):
    (region,) = find_regions(np.abs(change), 0.45, signed=False, spacing_mm=None)
    assert (region.direction, region.area, region.x_mm, region.area_mm2) == ("change", 40, None, None)
    assert len(find_regions(np.abs(change), 0.3, signed=False, spacing_mm=None)) == 2
    assert find_regions(change, 0.95, signed=True, spacing_mm=None) == []


def test_two_regions_of_opposite_directions_that_touch_are_two():
    change = np.zeros((20, 20), np.float32)
    change[:, :10], change[:, 10:] = 0.5, -0.5
    assert [region.area for region in find_regions(change, 0.1, signed=True, spacing_mm=None)] == [200, 200]


def test_a_line_has_a_cell_for_each_column(change):
    rows = rows_of(find_regions(change, 0.3, signed=True, spacing_mm=None))
    assert [len(row) for row in rows] == [len(COLUMNS)] * 2
    assert dict(zip(COLUMNS, rows[0], strict=True))["x_mm"] == ""
