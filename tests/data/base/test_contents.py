import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from data.base import contents
from data.base.contents import Contents, look_at


@pytest.fixture
def paths(tmp_path):
    files = [tmp_path / "data" / str(number) for number in range(5)]
    files[0].parent.mkdir()
    for number, file in enumerate(files):
        file.write_bytes(bytes([number]) * 100_000)
    return list(map(str, files))


def replace(path, place, *, keep_time):
    """Change one byte."""
    times = Path(path).stat()
    with Path(path).open("r+b") as file:
        file.seek(place)
        file.write(b"\xff")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns + (not keep_time)))


@pytest.mark.parametrize("place", [0, 50_000, 99_999])
@pytest.mark.parametrize("keep_time", [True, False])
def test_a_replaced_file_is_named(paths, place, keep_time):
    before = look_at(paths)
    assert before.changed(look_at(paths)) == []
    replace(paths[3], place, keep_time=keep_time)
    now = look_at(paths)
    assert before.changed(now) == [paths[3]]
    assert before.fingerprint != now.fingerprint


def test_files_that_were_cut_or_are_missing_are_named(paths):
    before = look_at(paths)
    os.truncate(paths[0], 99_999)
    Path(paths[4]).unlink()
    assert before.changed(look_at(paths)) == [paths[0], paths[4]]


def test_files_that_were_moved_or_touched_are_the_same(paths, tmp_path):
    before = look_at(paths)
    os.utime(paths[1])
    assert before.changed(look_at(paths)) == []
    shutil.copytree(tmp_path / "data", tmp_path / "copy")
    copies = look_at([path.replace("/data/", "/copy/") for path in paths])
    assert before.changed(copies) == []
    assert copies.fingerprint == before.fingerprint


def test_of_many_files_some_are_looked_into_and_the_times_of_the_others_count(paths, monkeypatch):
    monkeypatch.setattr(contents, "LOOKED_INTO", 2)
    before = look_at(paths)
    assert np.flatnonzero(before.checksums).tolist() == [0, 2]
    replace(paths[1], 7, keep_time=False)
    assert before.changed(look_at(paths)) == [paths[1]]


def test_what_was_written_is_read_back(paths, tmp_path):
    before = look_at(paths)
    before.write(tmp_path / "files.parquet")
    again = Contents.read(tmp_path / "files.parquet")
    assert again.paths == before.paths
    assert again.fingerprint == before.fingerprint
    assert again.changed(before) == []


def test_other_files_are_all_named(paths):
    assert look_at(paths).changed(look_at(paths[1:])) == [paths[0]]
