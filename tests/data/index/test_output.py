"""OUT appears whole, replaces only what an index made, and paths in it lead to the data."""

import pytest

from data.base.errors import DataError, UserError
from data.index import indexer
from data.index.indexer import index
from tests.data.index.miniatures import MINIATURES, dicom, options, rows_of


def names_in(folder):
    return sorted(file.name for file in folder.iterdir())


def test_manifests_that_are_there_are_kept_unless_asked(tmp_path):
    MINIATURES["padchest"](tmp_path / "data")
    index(options(tmp_path))
    with pytest.raises(DataError, match="holds manifests already; name another folder, or add --overwrite"):
        index(options(tmp_path))
    index(options(tmp_path, overwrite=True, format="parquet"))
    assert names_in(tmp_path / "out") == ["images.parquet", "pairs.parquet"]
    assert names_in(tmp_path) == ["data", "out"]


@pytest.mark.parametrize("overwrite", [True, False])
def test_other_files_are_never_replaced(overwrite, tmp_path):
    MINIATURES["padchest"](tmp_path / "data")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/images.csv").touch()
    (tmp_path / "out/thesis.txt").write_text("years of work")
    with pytest.raises(DataError, match=r"holds other files \(thesis\.txt\)"):
        index(options(tmp_path, overwrite=overwrite))
    assert (tmp_path / "out/thesis.txt").read_text() == "years of work"


def test_a_folder_called_files_is_replaced_only_if_it_holds_links(tmp_path):
    dicom(tmp_path / "data")
    index(options(tmp_path, key=tmp_path / "key"))
    index(options(tmp_path, key=tmp_path / "key", overwrite=True))
    place = next((tmp_path / "out/files").iterdir())
    (place / "mine.png").write_text("mine")
    with pytest.raises(DataError, match=r"holds other files \(files\)"):
        index(options(tmp_path, key=tmp_path / "key", overwrite=True))
    assert (place / "mine.png").read_text() == "mine"


def test_a_folder_of_files_alone_is_not_an_index(tmp_path):
    MINIATURES["padchest"](tmp_path / "data")
    (tmp_path / "out/files").mkdir(parents=True)
    with pytest.raises(DataError, match=r"holds other files \(files\)"):
        index(options(tmp_path, overwrite=True))


@pytest.mark.parametrize("kind", ["file", "link"])
def test_out_must_be_a_folder(kind, tmp_path):
    MINIATURES["padchest"](tmp_path / "data")
    if kind == "file":
        (tmp_path / "out").touch()
    else:
        (tmp_path / "out").symlink_to(tmp_path / "data")
    with pytest.raises(DataError, match="out is no folder; name a new one"):
        index(options(tmp_path))


@pytest.mark.parametrize("overwrite", [True, False])
def test_a_failure_leaves_nothing_behind(overwrite, tmp_path, monkeypatch):
    MINIATURES["padchest"](tmp_path / "data")
    if overwrite:
        index(options(tmp_path))
        before = (tmp_path / "out/images.csv").read_text()

    def fail(path, _):
        if path.name == "pairs.csv":
            raise OSError(28, "No space left on device", "/secret/DOE_JANE")

    monkeypatch.setattr(indexer, "write_manifest", fail)
    with pytest.raises(DataError) as caught:
        index(options(tmp_path, overwrite=overwrite))
    assert str(caught.value) == (
        f"{tmp_path}/out cannot be written (No space left on device); make room or name another folder"
    )
    assert names_in(tmp_path) == (["data", "out"] if overwrite else ["data"])
    if overwrite:
        assert (tmp_path / "out/images.csv").read_text() == before


@pytest.mark.parametrize(
    ("out", "start"),
    [("out", "../data/0/"), ("a/out", "../../data/0/"), ("data/out", "../0/"), ("a/b/c/d/e/f/out", None)],
)
def test_paths_are_relative_where_that_is_shorter(out, start, tmp_path, monkeypatch):
    base = tmp_path / ("x" * 30)
    MINIATURES["padchest"](base / "data")
    monkeypatch.chdir(base)
    index(options(base, root=base / "data", out=base / out))
    image = rows_of(base / out / "images.csv")[0]["image"]
    assert image.startswith(start or "../" * 7 + "data/0/")
    assert (base / out / image).is_file()


def test_paths_are_absolute_where_the_data_is_far_away(tmp_path):
    MINIATURES["padchest"](tmp_path / "data")
    deep = tmp_path.joinpath(*["d"] * 60)
    index(options(tmp_path, out=deep / "out"))
    assert rows_of(deep / "out/images.csv")[0]["image"] == f"{tmp_path}/data/0/2168_a.png"


def test_a_link_on_the_way_to_out_does_not_mislead_relative_paths(tmp_path):
    dicom(tmp_path / "data")
    (tmp_path / "deep/er").mkdir(parents=True)
    (tmp_path / "short").symlink_to(tmp_path / "deep/er")
    index(options(tmp_path, out=tmp_path / "short/out", key=tmp_path / "key"))
    for row in rows_of(tmp_path / "short/out/images.csv"):
        assert (tmp_path / "short/out" / row["image"]).is_file()


def test_a_key_that_cannot_be_made_is_said_before_the_headers_are_read(tmp_path):
    dicom(tmp_path / "data")
    with pytest.raises(UserError, match="absent/key cannot be made there; name a file in a folder"):
        index(options(tmp_path, key=tmp_path / "absent/key"))


@pytest.mark.parametrize("fault", ["images.csv", "pairs.csv", "refused"])
def test_a_run_that_fails_leaves_no_key(fault, tmp_path, monkeypatch):
    dicom(tmp_path / "data")
    write = indexer.write_manifest

    def fail(path, *rest, **_):
        if fault == "refused" or path.name == fault:
            raise OSError(28, "No space left on device", "/secret/DOE_JANE")
        write(path, *rest)

    (tmp_path / "data/notes.txt").touch()
    monkeypatch.setattr(indexer, "write_rows" if fault == "refused" else "write_manifest", fail)
    with pytest.raises(DataError, match="out cannot be written"):
        index(options(tmp_path, key=tmp_path / "key"))
    assert names_in(tmp_path) == ["data"]


def test_a_key_that_appeared_meanwhile_is_not_replaced_and_nothing_is_written(tmp_path, monkeypatch):
    dicom(tmp_path / "data")
    write = indexer.write_manifest

    def interfere(path, table):
        (tmp_path / "key").write_text("another run's")
        write(path, table)

    monkeypatch.setattr(indexer, "write_manifest", interfere)
    with pytest.raises(DataError, match=r"key cannot be written \(File exists\)"):
        index(options(tmp_path, key=tmp_path / "key"))
    assert names_in(tmp_path) == ["data", "key"]
    assert (tmp_path / "key").read_text() == "another run's"


def test_an_out_that_cannot_be_listed_is_one_line(tmp_path, monkeypatch):
    MINIATURES["padchest"](tmp_path / "data")
    (tmp_path / "out").mkdir()

    def refuse(folder):
        raise PermissionError(13, "Permission denied", folder)

    monkeypatch.setattr(type(tmp_path), "iterdir", refuse)
    with pytest.raises(DataError) as caught:
        index(options(tmp_path))
    assert str(caught.value) == (f"{tmp_path}/out cannot be listed (Permission denied); name another folder")


def test_a_key_inside_out_is_refused(tmp_path):
    dicom(tmp_path / "data")
    with pytest.raises(UserError, match="lies in OUT, which may be passed on; keep it elsewhere"):
        index(options(tmp_path, key=tmp_path / "out/key"))
