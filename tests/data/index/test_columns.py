"""Columns of official tables: dates, times, numbers, views, files."""

import datetime

import numpy as np
import pyarrow as pa
import pytest

from data.index.catalogue import UNDATED
from data.index.files import exist, locate
from data.index.tables import find_table, moments, numbers_in, views_of
from data.index.views import VIEWS, normalise_view, view_in_description


def test_moments_are_milliseconds_since_1970():
    dates = pa.array(["20140915", "18500101", "20140915", "", "20149999", "unknown"])
    times = pa.array(["80556.875", "", "235959.999", "1", "2", "3"])
    epoch = datetime.datetime(1970, 1, 1)
    expected = [
        (datetime.datetime(2014, 9, 15, 8, 5, 56, 875000) - epoch) / datetime.timedelta(milliseconds=1),
        (datetime.datetime(1850, 1, 1) - epoch) / datetime.timedelta(milliseconds=1),
        (datetime.datetime(2014, 9, 15, 23, 59, 59, 999000) - epoch) / datetime.timedelta(milliseconds=1),
    ]
    assert moments(dates, times).tolist() == [*expected, UNDATED, UNDATED, UNDATED]
    assert moments(dates)[0] == moments(pa.array(["20140915"]), pa.array(["no time"]))[0]


def test_numbers_are_the_last_ones():
    found = numbers_in(pa.array(["study1", "study10", "12", "007", "none", "v2 study3b"]))
    assert found.tolist() == [1, 10, 12, 7, UNDATED, 3]


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_is_its_own_name(view):
    assert normalise_view(view) == view


@pytest.mark.parametrize(
    ("text", "view"),
    [
        *(
            ("pa", "PA"),
            ("L", "LATERAL"),
            ("LL", "LATERAL"),
            ("RL", "RIGHT_LATERAL"),
            ("left lateral", "LATERAL"),
        ),
        *(
            ("AP_horizontal", "AP_HORIZONTAL"),
            ("postero-anterior", "PA"),
            ("R-10206", "AP"),
            ("AP AXIAL", "AP_AXIAL"),
        ),
        *(("", "unknown"), ("XTABLE LATERAL", "XTABLE_LATERAL"), ("Doe^Jane", "unknown")),
    ],
)
def test_official_spellings_of_views(text, view):
    assert normalise_view(text) == view
    assert views_of(pa.array([text, "PA", text])).to_pylist() == [view, "PA", view]


def test_views_in_free_text():
    assert view_in_description("CHEST_AP_PORTABLE") == "AP"
    assert view_in_description("PA/PA") == "PA"
    assert view_in_description("APPLE") == "unknown"


def test_existence_of_files_in_many_folders(tmp_path):
    rng = np.random.default_rng(0)
    paths, there = [], []
    for number in range(700):
        path = tmp_path / f"{number % 300}/{number}.png"
        paths.append(f"{number % 300}/{number}.png")
        there.append(bool(rng.random() < 0.5))
        if there[-1]:
            path.parent.mkdir(exist_ok=True)
            path.touch()
    (tmp_path / "top.png").touch()
    found = exist(tmp_path, pa.array([*paths, "top.png", None, "absent.png"]))
    assert found.tolist() == [*there, True, False, False]


def test_files_known_by_name_are_located_in_the_first_folder_that_holds_them(tmp_path):
    for path in ("a/1.png", "b/1.png", "b/2.png", "3.png"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).touch()
    names = pa.array(["1.png", "2.png", "3.png", "4.png"])
    assert locate(tmp_path, ["a", "b", "", "c"], names).to_pylist() == ["a/1.png", "b/2.png", "3.png", None]


def test_the_latest_version_of_a_table_is_taken(tmp_path):
    for name in ("t-2.0.0-x.csv", "t-2.1.0-x.csv", "t-3-y.csv.gz"):
        (tmp_path / name).touch()
    assert find_table(tmp_path, "t-2.*-x.csv").name == "t-2.1.0-x.csv"
    assert find_table(tmp_path, "t-*-y.csv").name == "t-3-y.csv.gz"
    assert find_table(tmp_path, "u.csv") is None
