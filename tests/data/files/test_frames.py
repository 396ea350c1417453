"""Sizes and turns from headers, and places that are turned with the pixels."""

import itertools

import numpy as np
import pytest
from PIL import Image

from data import DataError, read_image
from data.files.frames import frame_of
from data.files.orientation import AS_STORED, TURN_OF_EXIF, Turn
from tests.data.index.miniatures import write_dicom

TURNS = [Turn(*flags) for flags in itertools.product((False, True), repeat=3)]


@pytest.mark.parametrize("turn", TURNS)
def test_a_place_is_seen_where_its_pixel_is_seen(turn):
    stored = np.zeros((4, 10))
    stored[1, 7] = 1
    ((row, column),) = np.argwhere(turn.seen(stored))
    height, width = turn.seen(stored).shape
    assert turn.point(7.5 / 10, 1.5 / 4) == pytest.approx(((column + 0.5) / width, (row + 0.5) / height))


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_frames_of_pictures(tmp_path, orientation):
    exif, path = Image.Exif(), tmp_path / "image.png"
    exif[274] = orientation
    Image.fromarray(np.arange(24, dtype=np.uint8).reshape(4, 6)).save(path, exif=exif)
    frame = frame_of(path)
    assert (frame.height, frame.width) == (4, 6)
    assert frame.turn == TURN_OF_EXIF.get(orientation, AS_STORED)
    assert frame.turn.pair(4, 6) == read_image(path).shape


def test_frames_of_dicom_files(tmp_path):
    write_dicom(tmp_path / "a.dcm", Rows=4, Columns=16, PatientOrientation=["A", "F"])
    assert frame_of(tmp_path / "a.dcm").height == 4
    write_dicom(tmp_path / "b.dcm", PatientOrientation=["H", "L"])
    assert frame_of(tmp_path / "b.dcm").turn == Turn(transpose=True, flip_rows=True)


@pytest.mark.parametrize("name", ["missing.png", "damaged.png", "damaged.dcm"])
def test_a_file_without_a_size_is_named(tmp_path, name):
    if name.startswith("damaged"):
        (tmp_path / name).write_bytes(bytes(200))
    with pytest.raises(DataError, match=f"{name} names no size") as error:
        frame_of(tmp_path / name)
    assert "\n" not in str(error.value)
