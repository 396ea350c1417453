"""Many pairs: nothing is predicted twice, nothing is missed, whatever comes in between."""

import csv
import itertools
import shutil

import numpy as np
import pytest
from skimage.io import imread

from data import read_target
from data.base.errors import DataError
from gan.predict.collection import Collection
from gan.predict.dicom import Algorithm
from gan.predict.ensemble import Ensemble
from gan.predict.options import PredictConfig
from gan.predict.writing import Writer
from gan.run.change_model import ChangeModel
from tests.gan.predict.models import Magnitude, model

ALGORITHM = Algorithm(name="Magnitude", version="1", weights="0", parameters={})


@pytest.fixture
def pairs(tmp_path, pairs_folder):
    return shutil.copytree(pairs_folder, tmp_path / "pairs")


@pytest.fixture
def looked_at(monkeypatch):
    """How many pairs went through the network."""
    counts, maps = [], ChangeModel.maps

    def counted(self, baseline, followup):
        counts.append(len(followup))
        return maps(self, baseline, followup)

    monkeypatch.setattr(ChangeModel, "maps", counted)
    return counts


def predict(path, out, *, threshold=0.1, **options):
    """Predict what is missing of a folder in this process."""
    config = PredictConfig(output=out, workers=0, batch_size=3, **{"align": False, **options})
    writer = Writer(change="magnitude", threshold=threshold, algorithm=ALGORITHM)
    ensemble = Ensemble({"a": model(Magnitude, size=32, align=config.align)}, config.passes, config.seed)
    records = Collection.records_of(path, config.on_error)
    Collection(records, ensemble, writer, config, ["0"]).predict()


def table(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_pair_gets_its_map_and_a_line(pairs, tmp_path, looked_at, capsys):
    out = tmp_path / "out"
    predict(pairs, out)
    assert sum(looked_at) == 16
    rows = table(out / "pairs.csv")
    assert [row["id"] for row in rows] == sorted(
        f"p{patient}_{pair}" for patient in range(8) for pair in (0, 1)
    )
    for row in rows:
        change = read_target(out / row["map"], "magnitude")
        target = read_target(pairs / "target" / f"{row['id']}.png", "magnitude")
        assert np.abs(change - 0.4 * target).max() < 1e-3  # what tests.micro.write_pairs adds to the followup
        assert imread(out / row["overlay"]).shape == (32, 32, 3)
    findings = table(out / "findings.csv")
    assert [row["id"] for row in findings] == [row["id"] for row in rows]
    assert {(row["area"], row["width"], row["mean"]) for row in findings} == {("64", "8", "0.1600")}
    assert "maps of 16 pairs" in capsys.readouterr().out


@pytest.mark.parametrize("call", [1, 7, 16])
def test_an_interrupted_folder_is_gone_on_with(pairs, tmp_path, looked_at, monkeypatch, call):
    out, write, calls = tmp_path / "out", Writer.write, itertools.count(1)

    def stopped(self, predicted, places):
        regions = write(self, predicted, places)
        if next(calls) == call:
            raise KeyboardInterrupt
        return regions

    monkeypatch.setattr(Writer, "write", stopped)
    with pytest.raises(KeyboardInterrupt):
        predict(pairs, out)
    monkeypatch.setattr(Writer, "write", write)
    finished = sorted(path.stem for path in (out / "maps").glob("*"))
    times = {name: (out / "maps" / f"{name}.png").stat().st_mtime_ns for name in finished}
    assert not (out / "pairs.csv").exists()
    looked_at.clear()
    predict(pairs, out)
    assert sum(looked_at) == 16 - len(finished)
    assert times == {name: (out / "maps" / f"{name}.png").stat().st_mtime_ns for name in finished}
    assert len(table(out / "pairs.csv")) == len(list((out / "maps").iterdir())) == 16
    assert not list(out.rglob(".part-*"))
    looked_at.clear()
    predict(pairs, out)
    assert not looked_at


def test_what_changed_or_went_is_made_again(pairs, tmp_path, looked_at):
    out = tmp_path / "out"
    predict(pairs, out)
    shutil.copy(pairs / "followup" / "p1_0.png", pairs / "followup" / "p0_0.png")
    (out / "maps" / "p2_0.png").unlink()
    looked_at.clear()
    predict(pairs, out)
    assert sum(looked_at) == 2
    with pytest.raises(DataError, match="made with other settings \\(threshold\\)"):
        predict(pairs, out, threshold=0.2)


def test_an_unreadable_pair_stops_or_is_left_out(pairs, tmp_path):
    (pairs / "followup" / "p3_1.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match="p3_1"):
        predict(pairs, tmp_path / "out")
    predict(pairs, tmp_path / "out", on_error="skip")
    assert len(table(tmp_path / "out" / "pairs.csv")) == 15
    assert "p3_1" in (tmp_path / "out" / "skipped.private.csv").read_text()
    shutil.copy(pairs / "followup" / "p3_0.png", pairs / "followup" / "p3_1.png")
    predict(pairs, tmp_path / "out", on_error="skip")
    assert len(table(tmp_path / "out" / "pairs.csv")) == 16
    assert not (tmp_path / "out" / "skipped.private.csv").exists()


def test_a_manifest_without_targets_and_with_names_that_are_no_files(pairs, tmp_path):
    lines = ["id,patient_id,baseline,followup,target"]
    names = ("../up", "a/b", "A", "a", "plain")
    lines += [f"{name},p{n},baseline/p{n}_0.png,followup/p{n}_0.png," for n, name in enumerate(names)]
    (pairs / "pairs.csv").write_text("\n".join(lines))
    predict(pairs / "pairs.csv", tmp_path / "out", passes=1, tiles=0, overlay=False)
    rows = table(tmp_path / "out" / "pairs.csv")
    assert [row["id"] for row in rows] == list(names)
    assert len({row["map"].lower() for row in rows}) == 5
    assert rows[-1]["map"] == "maps/plain.png"
    for row in rows:
        assert (tmp_path / "out" / row["map"]).parent == tmp_path / "out" / "maps"
        assert (tmp_path / "out" / row["uncertainty"]).is_file()
        assert not row["overlay"]


def test_how_well_baselines_fit_is_told(pairs, tmp_path):
    predict(pairs, tmp_path / "out", align=True)
    rows = table(tmp_path / "out" / "pairs.csv")
    assert {row["aligned"] for row in rows} <= {"yes", "no"}
    assert all(0 <= float(row["confidence"]) <= 1 for row in rows)


def test_single_images_are_no_pairs(pairs, tmp_path):
    with pytest.raises(DataError, match="holds single images"):
        predict(pairs / "followup", tmp_path / "out")


def test_a_full_disk_is_told_and_nothing_half_is_left(pairs, tmp_path, monkeypatch):
    write, calls = Writer.write, itertools.count(1)

    def full(self, predicted, places):
        if next(calls) == 4:
            raise OSError(28, "No space left on device")
        return write(self, predicted, places)

    monkeypatch.setattr(Writer, "write", full)
    with pytest.raises(DataError, match=r"out cannot be written \(No space left on device\); make room"):
        predict(pairs, tmp_path / "out")
    assert not list((tmp_path / "out").rglob(".part-*"))
    monkeypatch.setattr(Writer, "write", write)
    predict(pairs, tmp_path / "out")
    assert len(table(tmp_path / "out" / "pairs.csv")) == 16
