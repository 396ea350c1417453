import csv

import numpy as np
import pyarrow as pa
import pytest

from data.base.errors import DataError
from data.files.images import read_image, read_target
from data.manifests import writing
from data.manifests.folders import pairs_in_folder
from data.manifests.manifest import pairs_in_manifest
from data.manifests.writing import are_rows, flat_files, nested_files, write_manifest, write_pair


def row(number, **cells):
    return {"id": f"x_{number}", "patient_id": 'Müller, "M"', **flat_files(f"x_{number}"), **cells}


def read(path):
    if path.suffix == ".parquet":
        return pa.parquet.read_table(path).to_pylist()
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("name", ["manifest.csv", "manifest.parquet"])
def test_known_columns_come_first_and_others_are_kept(name, tmp_path):
    rows = [row(0, findings="", pose="3.5"), row(1, split="train", findings="nodule", size="small\nround")]
    write_manifest(tmp_path / name, rows)
    found = read(tmp_path / name)
    assert list(found[0]) == ["id", "patient_id", *flat_files(""), "split", "findings", "pose", "size"]
    for given, line in zip(rows, found, strict=True):
        assert {column: cell or "" for column, cell in line.items()} == dict.fromkeys(line, "") | given


@pytest.mark.parametrize("name", ["manifest.csv", "manifest.parquet"])
def test_what_is_written_is_what_is_read(name, tmp_path):
    rows = [row(number, split="train", findings=cell) for number, cell in enumerate(("", "a+b"))]
    write_manifest(tmp_path / name, rows)
    first, second = pairs_in_manifest(tmp_path / name, check_files=False)
    assert (first.id, first.patient_id, first.split) == ("x_0", 'Müller, "M"', "train")
    assert second.target_baseline == tmp_path / "target_baseline/x_1.png"
    assert (first.findings, second.findings) == ((), ("a", "b"))


def test_a_table_is_written_as_it_is(tmp_path):
    table = pa.table({"view": ["PA", None], "days": pa.array([None, 3], pa.int64())})
    write_manifest(tmp_path / "m.csv", table)
    assert (tmp_path / "m.csv").read_text() == '"view","days"\n"PA",\n,3\n'


@pytest.mark.parametrize("name", ["manifest.csv", "manifest.parquet"])
def test_a_manifest_is_written_whole_or_not_at_all(name, tmp_path, monkeypatch):
    write_manifest(tmp_path / name, [row(0)])
    before = (tmp_path / name).read_bytes()

    def full(_, file):
        file.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    for module, function in ((writing.csv, "write_csv"), (writing.parquet, "write_table")):
        monkeypatch.setattr(module, function, full)
    with pytest.raises(DataError, match=rf"{name} cannot be written \(No space left on device\)"):
        write_manifest(tmp_path / name, [row(1)])
    assert (tmp_path / name).read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def planes():
    rng = np.random.default_rng(0)
    signed = rng.uniform(-1, 1, (2, 12, 9)).astype(np.float32)
    films = rng.uniform(0, 1, (2, 12, 9)).astype(np.float32)
    return {"baseline": films[0], "followup": films[1], "target": signed[0], "target_baseline": signed[1]}


@pytest.mark.parametrize("change", ["magnitude", "signed"])
@pytest.mark.parametrize("files", [flat_files("ct1_000"), nested_files("ct1", "000")])
def test_a_pair_comes_back_by_its_layout_and_by_its_files(files, change, tmp_path):
    given = planes()
    write_pair(tmp_path, files, given, change)
    (pair,) = pairs_in_folder(tmp_path)
    assert pair.patient_id == "ct1"
    for role in ("baseline", "followup"):
        assert getattr(pair, role) == tmp_path / files[role]
        np.testing.assert_allclose(read_image(getattr(pair, role), "dicom"), given[role], atol=1 / 32767)
    for role in ("target", "target_baseline"):
        expected = given[role] if change == "signed" else np.abs(given[role])
        np.testing.assert_allclose(read_target(getattr(pair, role), change), expected, atol=1 / 32767)


@pytest.mark.parametrize(
    "damaged",
    [None, {}, [None], [{}], [{"id": "x"}], [row(0), row(1, baseline=3)], [row(0, target=None)]],
)
def test_rows_that_were_damaged_are_known(damaged):
    assert are_rows([row(0), row(1, findings="")])
    assert not are_rows(damaged)
