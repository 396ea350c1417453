import pytest

from data import DataError
from data.base.atomic import remove_parts, whole, write_rows, write_text


def test_a_file_is_there_once_it_is_complete(tmp_path):
    path = tmp_path / "a.csv"
    with whole(path) as part:
        assert part.suffix == ".csv"
        part.write_text("half")
        assert not path.exists()
    assert path.read_text() == "half"
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_leaves_what_was_there(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "before")
    with pytest.raises(KeyError), whole(path) as part:
        part.write_text("half")
        raise KeyError
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(DataError, match=r"gone/a\.csv cannot be written \(No such file or directory\)"):
        write_rows(tmp_path / "gone" / "a.csv", [["x"]])


def test_cells_with_commas_and_lines_survive(tmp_path):
    write_rows(tmp_path / "a.csv", [["a", "b,c", 'd"e', "f\ng"]])
    assert (tmp_path / "a.csv").read_bytes() == b'a,"b,c","d""e","f\ng"\n'


def test_what_killed_runs_left_is_removed(tmp_path):
    for name in (".part-123-a.png", "a.png", "part-b.png"):
        (tmp_path / name).touch()
    remove_parts(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "part-b.png"]
