"""Trees of cases and pairs: pseudonyms, targets of both images, and what is left out."""

import os

import pytest

from data.base.errors import DataError, UserError
from data.index.indexer import index
from data.manifests.manifest import pairs_in_manifest
from tests.data.index.miniatures import nested, options, rows_of


@pytest.fixture
def run(tmp_path):
    def run(**changes):
        summary = index(options(tmp_path, key=tmp_path / "key", **changes))
        return summary, rows_of(tmp_path / "out/images.csv"), rows_of(tmp_path / "out/pairs.csv")

    return run


def test_a_key_is_required(tmp_path):
    nested(tmp_path / "data")
    with pytest.raises(UserError) as caught:
        index(options(tmp_path))
    assert str(caught.value) == (
        "--key is missing: cases get pseudonyms; name a file to keep the key in, apart from the data "
        "and from OUT"
    )


def test_images_and_both_targets_are_links_and_cases_are_not_named(run, tmp_path):
    nested(tmp_path / "data")
    summary, images, pairs = run()
    assert (summary.layout, len(images), len(pairs)) == ("nested", 8, 4)
    assert summary.splits == {"train": 1, "val": 1, "test": 1}
    assert not summary.refused
    sources = {"followup": "current", "target": "diff_map", "target_baseline": "diff_map_prior"}
    places = []
    for row in pairs:
        baseline = (tmp_path / "out" / row["baseline"]).resolve()
        assert baseline.name == "prior.nii.gz"
        places.append(str(baseline.parent.relative_to(tmp_path / "data")))
        for column, name in sources.items():
            if places[-1] == "anna/p2" and column != "followup":
                assert row[column] == ""
            else:
                assert (tmp_path / "out" / row[column]).resolve() == baseline.parent / f"{name}.nii.gz"
    assert sorted(places) == ["anna/p1", "anna/p2", "bert/p1", "carl/p1"]
    written = "".join((tmp_path / f"out/{name}.csv").read_text() for name in ("images", "pairs"))
    assert not [case for case in ("anna", "bert", "carl") if case in written]


def test_the_manifest_is_one_that_training_reads(run, tmp_path):
    nested(tmp_path / "data")
    run()
    records = list(pairs_in_manifest(tmp_path / "out/pairs.csv"))
    assert sum(record.target_baseline is not None for record in records) == 3


def test_incomplete_pairs_are_left_out_and_named_in_private_alone(run, tmp_path):
    root = tmp_path / "data"
    nested(root)
    (root / "bert").rename(root / "dora")
    nested(tmp_path / "more")
    (tmp_path / "more/bert").rename(root / "bert")
    (root / "anna/p2/current.nii.gz").unlink()
    (root / "anna/p1/prior.png").touch()
    (root / "anna/p3").mkdir()
    for name in ("prior", "current"):
        (root / f"anna/p3/{name}.nii.gz").symlink_to("nowhere")
    (root / "dora/notes").mkdir()
    summary, images, _ = run()
    assert len(images) == 6
    listed = {row["path"]: row["reason"] for row in rows_of(tmp_path / "out/refused.private.csv")}
    assert listed == {
        "anna/p1": "pair with two files of one name",
        "anna/p2": "pair without prior or current",
        "anna/p3": "pair with a file that cannot be opened",
    }
    assert summary.refused == dict.fromkeys(listed.values(), 1)


def test_a_tree_without_complete_pairs_is_an_error_that_counts_reasons(tmp_path):
    nested(tmp_path / "data")
    for file in (tmp_path / "data").rglob("current.*"):
        file.unlink()
    with pytest.raises(DataError, match="does not look like nested"):
        index(options(tmp_path, key=tmp_path / "key", layout="nested"))
    for file in (tmp_path / "data").rglob("prior.*"):
        (file.parent / "current.nii.gz").symlink_to(file)
        (file.parent / "current.png").symlink_to(file)
    with pytest.raises(DataError) as caught:
        index(options(tmp_path, key=tmp_path / "key"))
    assert str(caught.value) == (
        f"{tmp_path}/data holds no complete pair (pair with two files of one name: 4); name another folder"
    )


@pytest.mark.parametrize("locked", ["anna", "anna/p1"])
def test_a_folder_that_cannot_be_opened_is_left_out(locked, run, tmp_path, monkeypatch):
    nested(tmp_path / "data")
    nested(tmp_path / "data/more")
    for case in (tmp_path / "data/more").iterdir():
        case.rename(tmp_path / f"data/more_{case.name}")
    (tmp_path / "data/more").rmdir()
    scandir = os.scandir

    def refuse(folder):
        if str(folder) == str(tmp_path / "data" / locked):
            raise PermissionError(13, "Permission denied", folder)
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    summary, _, pairs = run()
    assert summary.refused == {"folder cannot be opened": 1}
    assert len(pairs) == (6 if locked == "anna" else 7)
    assert [row["path"] for row in rows_of(tmp_path / "out/refused.private.csv")] == [locked]


def test_names_need_not_be_utf8(run, tmp_path):
    nested(tmp_path / "data")
    (tmp_path / "data/anna").rename(tmp_path / "data" / os.fsdecode(b"J\xfcrgen"))
    _, images, pairs = run()
    assert len(images) == 8
    assert all((tmp_path / "out" / row["image"]).is_file() for row in images)
    assert sum((tmp_path / "out" / row["target"]).is_file() for row in pairs if row["target"]) == 3
