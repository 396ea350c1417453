"""One output folder for all commands: what is claimed, kept, gone on with, refused and removed."""

import json
import os

import pytest

from data.base import outputs
from data.base.errors import DataError
from data.base.outputs import OutputFolder, entries_of

SETTINGS = {"seed": 1, "findings": ("nodule",)}


def folder(path):
    return OutputFolder(path=path, state=".making", last="manifest.csv", files=("a/*.png", "private.csv"))


def claim(output, settings, **options):
    with output.claimed(settings, **options):
        pass


def made(path, *names, settings=None):
    """A folder with some finished pieces."""
    output = folder(path)
    claim(output, SETTINGS if settings is None else settings)
    for name in names:
        with output.piece(name) as (part, record):
            (part / "a").mkdir()
            (part / "a" / f"{name}.png").write_text(name)
            record["name"] = name
    return output


def contents(path):
    """All files but the lock."""
    files = {file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file()}
    return files - {".making/.lock", ".lock"}


STATE = {".making/settings.json", ".making/x.done.json", ".making/y.done.json"}


def test_pieces_and_their_records_are_there_once_they_are_finished(tmp_path):
    output = made(tmp_path / "deep" / "out", "y", "x")
    assert contents(output.path) == {*STATE, "a/x.png", "a/y.png"}
    assert output.records() == [{"name": "x"}, {"name": "y"}]
    assert output.record_of("y") == {"name": "y"}
    assert output.record_of("z") is None


def test_a_piece_is_seen_whole_or_not_at_all(tmp_path):
    output = made(tmp_path)
    with output.piece("x") as (part, record):
        for name in ("x0", "x1"):
            (part / "a").mkdir(exist_ok=True)
            (part / "a" / f"{name}.png").touch()
        record["name"] = "x"
        assert not (tmp_path / "a").exists() and not output.records()
    assert contents(tmp_path / "a") == {"x0.png", "x1.png"}


@pytest.mark.parametrize("end", ["error", "interrupt", "no record"])
def test_nothing_of_an_unfinished_piece_stays(end, tmp_path):
    output = made(tmp_path, "x")
    before = contents(tmp_path)
    errors = {"error": KeyError, "interrupt": KeyboardInterrupt}
    try:
        with output.piece("y") as (part, _):
            (part / "half.png").touch()
            if end in errors:
                raise errors[end]
    except (KeyError, KeyboardInterrupt):
        assert end in errors
    assert contents(tmp_path) == before
    assert entries_of(tmp_path) == [tmp_path / ".making", tmp_path / "a"]


def test_a_kill_while_a_piece_takes_its_place_leaves_it_unfinished(tmp_path, monkeypatch):
    """Also where an earlier piece of that name was finished: its record must not stand for other files."""
    output = made(tmp_path, "x")
    replace = type(tmp_path).replace

    def killed(self, target):
        if target.name == "x.done.json":
            raise KeyboardInterrupt
        return replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(type(tmp_path), "replace", killed)
        with pytest.raises(KeyboardInterrupt), output.piece("x") as (part, record):
            (part / "a").mkdir()
            (part / "a" / "x.png").write_text("other pixels")
            record["name"] = "x"
    assert (tmp_path / "a/x.png").read_text() == "other pixels"
    assert output.record_of("x") is None


def test_a_disk_that_is_full_is_said_with_the_folder_named(tmp_path):
    output = made(tmp_path / "out")
    with (
        pytest.raises(DataError, match=r"/out cannot be written \(No space left on device\); make room"),
        output.piece("x"),
    ):
        raise OSError(28, "No space left on device", "/secret/name")


def test_the_same_settings_go_on_and_leftovers_of_killed_runs_go(tmp_path):
    output = made(tmp_path, "x")
    before = (tmp_path / ".making/settings.json").stat().st_mtime_ns
    (tmp_path / ".part-7-y" / "a").mkdir(parents=True)
    (tmp_path / ".making" / ".part-7-settings.json").touch()
    claim(output, {"findings": ["nodule"], "seed": 1})
    assert contents(tmp_path) == {*STATE - {".making/y.done.json"}, "a/x.png"}
    assert not (tmp_path / ".part-7-y").exists()
    assert (tmp_path / ".making/settings.json").stat().st_mtime_ns == before


OTHER = {"seed": 2, "noise": 0.1}


@pytest.mark.parametrize("finished", ["a piece", "the whole"])
def test_other_settings_are_named_and_refused_where_something_is_finished(finished, tmp_path):
    output = made(tmp_path, *(["x"] if finished == "a piece" else []))
    if finished == "the whole":
        (tmp_path / "manifest.csv").touch()
    before = contents(tmp_path)
    message = (
        f"{tmp_path} was made with other settings (findings, noise, seed); name another folder, repeat its "
        "settings (.making/settings.json there) to go on with it"
    )
    with pytest.raises(DataError) as caught:
        claim(output, OTHER)
    assert str(caught.value) == message
    with pytest.raises(DataError) as caught:
        claim(output, OTHER, overwrite=False)
    assert str(caught.value) == message + ", or replace what it holds with --overwrite"
    assert contents(tmp_path) == before


def test_overwriting_removes_what_the_command_wrote_and_nothing_else(tmp_path):
    output = made(tmp_path, "x", "y")
    for name in ("manifest.csv", "private.csv", "notes.txt", "a/mine.txt"):
        (tmp_path / name).write_text("mine")
    claim(output, OTHER, overwrite=True)
    assert contents(tmp_path) == {".making/settings.json", "notes.txt", "a/mine.txt"}
    assert json.loads((tmp_path / ".making/settings.json").read_text()) == OTHER


def test_what_was_begun_and_never_finished_makes_room(tmp_path):
    output = made(tmp_path)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "half.png").touch()
    (tmp_path / "private.csv").touch()
    claim(output, OTHER)
    assert contents(tmp_path) == {".making/settings.json"}
    assert not (tmp_path / "a").exists()


def test_clearing_keeps_the_claim(tmp_path):
    output = made(tmp_path, "x")
    output.clear()
    assert contents(tmp_path) == {".making/settings.json"}
    claim(output, SETTINGS)
    with pytest.raises(DataError, match="other files"):
        OutputFolder(path=tmp_path, state=".drawing", last="m.csv", files=()).claimed({}).__enter__()


@pytest.mark.parametrize("damage", ["", "{", "[]", "{}", "\xff"])
def test_a_damaged_record_is_of_an_unfinished_piece(damage, tmp_path):
    output = made(tmp_path, "x", "y")
    (tmp_path / ".making/y.done.json").write_text(damage, encoding="latin-1")
    assert output.records() == [{"name": "x"}]
    assert output.record_of("y") is None


def test_damaged_settings_are_other_settings(tmp_path):
    output = made(tmp_path, "x")
    (tmp_path / ".making/settings.json").write_text("{")
    with pytest.raises(DataError, match=r"made with other settings \(findings, seed\)"):
        claim(output, SETTINGS)


@pytest.mark.parametrize("overwrite", [None, False, True])
def test_a_folder_of_something_else_is_left_alone(overwrite, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "cat.png").touch()
    (tmp_path / "manifest.csv").touch()
    with pytest.raises(DataError, match=r"holds other files \(a\); name a new or an empty folder"):
        claim(folder(tmp_path), OTHER, overwrite=overwrite)
    assert contents(tmp_path) == {"a/cat.png", "manifest.csv"}


def test_empty_folders_are_what_a_full_disk_leaves(tmp_path):
    (tmp_path / ".making").mkdir()
    claim(folder(tmp_path), OTHER)
    assert contents(tmp_path) == {".making/settings.json"}


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("file", "file is no folder; name a new one"),
        ("file/out", r"file/out cannot be written \(Not a directory\); make room or name another folder"),
        ("closed", r"closed cannot be listed \(Permission denied\); name another folder"),
    ],
)
def test_a_place_that_cannot_be_a_folder_is_named(place, message, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    (tmp_path / "closed").mkdir()

    def refuse(path):
        raise PermissionError(13, os.strerror(13), str(path))

    monkeypatch.setattr(outputs.Path, "iterdir", refuse)
    with pytest.raises(DataError, match=message):
        claim(folder(tmp_path / place), OTHER)


def test_two_at_once_do_not_write_to_one_folder(tmp_path):
    output = made(tmp_path / "out", "x")
    with output.claimed(SETTINGS), output.piece("y") as (part, record):
        (part / "a").mkdir()
        (part / "a" / "y.png").touch()
        record["name"] = "y"
        for overwrite in (None, True):  # with its own settings as with others
            message = r"another process is writing to .*/out; let it end, or name another folder"
            with pytest.raises(DataError, match=message):
                claim(output, OTHER if overwrite else SETTINGS, overwrite=overwrite)
    assert contents(output.path) == {*STATE, "a/x.png", "a/y.png"}
    claim(output, SETTINGS)


def test_the_lock_is_free_when_the_block_fails(tmp_path):
    output = folder(tmp_path)
    with pytest.raises(KeyError), output.claimed(OTHER):
        raise KeyError
    claim(output, OTHER)


def test_overwriting_follows_no_link_out_of_the_folder(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "x.png").touch()
    output = made(tmp_path / "out", "y")
    (output.path / "a" / "y.png").unlink()
    (output.path / "a").rmdir()
    (output.path / "a").symlink_to(tmp_path / "elsewhere")
    claim(output, OTHER, overwrite=True)
    assert (tmp_path / "elsewhere" / "x.png").exists()
    assert not output.records()


def test_what_a_worker_left_behind_goes_at_the_end(tmp_path):
    """One that was killed on another machine, while others went on."""
    output = folder(tmp_path / "out")
    with output.claimed(SETTINGS):
        (output.path / ".part-4242-x").mkdir()
    assert not list(output.path.glob(".part-*"))


def test_a_piece_of_other_settings_comes_too_late(tmp_path):
    """A worker elsewhere that its command did not wait for."""
    output = folder(tmp_path / "out")
    claim(output, SETTINGS)
    with (
        pytest.raises(DataError, match="was begun anew with other settings"),
        output.piece("x") as (part, record),
    ):
        record["name"] = "x"
        (part / "x.png").touch()
        claim(output, OTHER)
        part.mkdir(exist_ok=True)
    assert not output.records()
