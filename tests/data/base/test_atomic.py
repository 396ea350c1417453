import errno
import os
import threading

import pytest

from data import DataError
from data.base import atomic
from data.base.atomic import remove_parts, whole, whole_folder, write_rows, write_text


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
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"file/a\.csv cannot be written \(Not a directory\); make room"):
        write_rows(tmp_path / "file" / "a.csv", [["x"]])


def test_a_message_names_what_was_to_be_there_and_not_where_it_was_made(tmp_path):
    with (
        pytest.raises(DataError, match=r"/out/deep/a\.txt cannot be written \(No space"),
        whole_folder(tmp_path / "out") as part,
        whole(part / "deep" / "a.txt"),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_folders_above_a_file_are_made(tmp_path):
    write_text(tmp_path / "new" / "er" / "a.txt", "a")
    assert (tmp_path / "new/er/a.txt").read_text() == "a"


def test_a_private_file_is_its_owners_and_holds_any_path(tmp_path):
    (tmp_path / f".part-{os.getpid()}-a.csv").touch()  # of a killed process that had the same number
    write_rows(tmp_path / "a.csv", [["M\udcfcller"]], private=True)
    assert (tmp_path / "a.csv").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "a.csv").read_bytes() == b"M\xfcller\n"


def test_cells_with_commas_and_lines_survive(tmp_path):
    write_rows(tmp_path / "a.csv", [["a", "b,c", 'd"e', "f\ng"]])
    assert (tmp_path / "a.csv").read_bytes() == b'a,"b,c","d""e","f\ng"\n'


def test_what_killed_runs_left_is_removed(tmp_path):
    for name in (".part-123-a.png", "a.png", "part-b.png"):
        (tmp_path / name).touch()
    remove_parts(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "part-b.png"]


@pytest.mark.parametrize("there_is_an_older_one", [False, True])
def test_a_folder_is_there_once_it_is_complete(there_is_an_older_one, tmp_path):
    path = tmp_path / "new" / "best"
    if there_is_an_older_one:
        path.mkdir(parents=True)
        (path / "old.txt").touch()
    with whole_folder(path) as part:
        assert part.parent == path.parent
        assert part.name.startswith(".")
        (part / "deep").mkdir()
        (part / "deep/a.txt").write_text("a")
        assert not (path / "deep").exists()
    assert [file.relative_to(path).as_posix() for file in path.rglob("*")] == ["deep", "deep/a.txt"]
    assert list(path.parent.iterdir()) == [path]


def test_an_error_leaves_the_folder_that_was_there(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/before.txt").touch()
    with pytest.raises(KeyError), whole_folder(tmp_path / "a") as part:
        (part / "half.txt").touch()
        raise KeyError
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "before.txt"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_folder_that_cannot_take_its_place_gives_it_back(error, tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/before.txt").touch()
    replace = type(tmp_path).replace

    def fail(self, target):
        if self.name.startswith(".part-"):
            raise error
        return replace(self, target)

    monkeypatch.setattr(type(tmp_path), "replace", fail)
    expected = KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else DataError
    with pytest.raises(expected), whole_folder(tmp_path / "a") as part:
        (part / "after.txt").touch()
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "before.txt"]


def test_a_folder_is_on_the_disk_before_its_name_is(tmp_path, monkeypatch):
    order = []
    fsync, replace = os.fsync, type(tmp_path).replace

    def note_sync(descriptor):
        order.append(("sync", os.fstat(descriptor).st_ino))
        fsync(descriptor)

    def note_move(self, target):
        order.append(("move", target.name))
        return replace(self, target)

    monkeypatch.setattr(atomic.os, "fsync", note_sync)
    monkeypatch.setattr(type(tmp_path), "replace", note_move)
    with whole_folder(tmp_path / "a") as part:
        (part / "deep").mkdir()
        (part / "deep/weights").write_text("w")
        (part / "link").symlink_to("nowhere")
    inodes = [(tmp_path / name).stat().st_ino for name in ("a", "a/deep", "a/deep/weights")]
    assert sorted(order[:3]) == sorted(("sync", inode) for inode in inodes)
    assert order[3:] == [("move", "a"), ("sync", tmp_path.stat().st_ino)]


def test_processes_fill_one_folder_together(tmp_path):
    barrier, seen = threading.Barrier(2, timeout=20), []

    def fill(number):
        with whole_folder(tmp_path / "a", wait=barrier.wait, leads=number == 0) as part:
            (part / f"{number}.txt").touch()
        seen.append((tmp_path / "a/0.txt").exists())  # whoever goes on finds the folder in its place

    other = threading.Thread(target=fill, args=(1,))
    other.start()
    fill(0)
    other.join()
    assert seen == [True, True]
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["0.txt", "1.txt", "a"]


@pytest.mark.parametrize("clean", [remove_parts, lambda folder: whole_folder(folder / "b").__enter__()])
def test_a_folder_moved_away_when_a_kill_came_is_put_back(clean, tmp_path):
    for name in (".part-7-b/half", ".before-b/whole", ".before-c/older", "c/newer"):
        (tmp_path / name).mkdir(parents=True)
    clean(tmp_path)
    assert (tmp_path / "b/whole").is_dir()
    assert (tmp_path / "c/newer").is_dir()
    remove_parts(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b", "c"]


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(DataError, match=r"file/a cannot be written \(Not a directory\); make room"),
        whole_folder(tmp_path / "file" / "a"),
    ):
        pass
