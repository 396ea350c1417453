"""Prepared data give what the files give, whatever happened on the way."""

import csv
import json
import pickle
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image
from skimage.io import imsave

from data import DataConfig, DataError, load_images, load_pairs, settled
from data.base.processes import Processes
from data.prepare.writing import Recipe, prepare_records
from tests.calling import call
from tests.data.opened import images_of, pairs_of
from tests.micro import ROOT, command_environment, run, write_pairs

RECIPE = Recipe(size=None, bits=16, change="magnitude", intensity="dicom", framing="pad", on_error="raise")
SPLITS = ["train"] * 6 + ["val"] * 2 + ["test"] * 2


def write_manifest(root: Path, *, height: int = 40, width: int = 40, signed: bool = False) -> Path:
    """Ten patients of two pairs that share an image: noise of 16 bit; every second pair has two targets."""
    rng = np.random.default_rng(0)
    rows = [["patient_id", "baseline", "followup", "target", "target_baseline", "split", "findings", "days"]]
    for patient, split in enumerate(SPLITS):
        for name in ("0", "1", "2", "t1", "t2"):
            noise = rng.integers(1 if signed else 0, 65536, (height, width), dtype=np.uint16)
            imsave(root / f"p{patient}_{name}.png", noise, check_contrast=False)
        for pair in (1, 2):
            names = [f"p{patient}_{name}.png" for name in (pair - 1, pair, f"t{pair}")]
            second = f"p{patient}_t{pair}.png" if pair == 2 else ""
            rows.append([f"p{patient}", *names, second, split, "nodule+device" if pair == 1 else "", "30"])
    with (root / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return root / "manifest.csv"


def prepare(config: DataConfig, out: Path, recipe: Recipe = RECIPE, **options):
    return prepare_records(
        load_pairs(config.path, config), out, recipe, engine=Processes(1), progress=False, **options
    )


def assert_same(sample, expected, atol: float = 0.0) -> None:
    assert (sample.id, sample.patient_id, sample.geometry) == (
        expected.id,
        expected.patient_id,
        expected.geometry,
    )
    names = ("baseline", "followup", "target", "target_baseline", "valid", "image")
    for name in [name for name in names if hasattr(expected, name)]:
        one, other = getattr(sample, name), getattr(expected, name)
        assert (one is None) == (other is None)
        if one is not None:
            torch.testing.assert_close(one, other, atol=atol, rtol=0)


@pytest.mark.parametrize(("height", "width"), [(40, 40), (30, 40)])
@pytest.mark.parametrize("change", ["magnitude", "signed"])
def test_16_bit_values_survive_exactly_at_the_native_size(tmp_path, height, width, change):
    path = write_manifest(tmp_path, height=height, width=width, signed=change == "signed")
    files = DataConfig(path=path, image_size=40, change=change)
    prepare(files, tmp_path / "out", replace(RECIPE, change=change))
    prepared = DataConfig(prepared=str(tmp_path / "out"), image_size=40, change=change)
    for split in ("train", "val", "test"):
        one, other = pairs_of(prepared, split), pairs_of(files, split)
        assert len(one) == len(other) == 2 * SPLITS.count(split)
        assert one.patients == other.patients
        for index in range(len(other)):
            assert_same(one[index], other[index])
            assert one[index].findings == other[index].findings


@pytest.mark.parametrize("framing", ["pad", "crop", "stretch"])
@pytest.mark.parametrize(("bits", "atol"), [(16, 0.51 / 65535), (8, 0.51 / 255)])
def test_resized_values_are_rounded_once(tmp_path, framing, bits, atol):
    files = DataConfig(path=write_manifest(tmp_path, height=50, width=80), image_size=32, framing=framing)
    prepare(files, tmp_path / "out", replace(RECIPE, size=32, bits=bits, framing=framing))
    prepared = pairs_of(DataConfig(prepared=str(tmp_path / "out"), image_size=32, framing=framing), "val")
    expected = pairs_of(files, "val")
    for index in range(len(expected)):
        assert_same(prepared[index], expected[index], atol)


@pytest.mark.parametrize("framing", ["pad", "crop", "stretch"])
def test_a_smaller_size_can_be_trained_on(tmp_path, framing):
    files = DataConfig(path=write_manifest(tmp_path, height=48, width=96), image_size=96, framing=framing)
    rows, columns = np.mgrid[:48, :96]
    smooth = 0.5 + 0.45 * np.sin(rows / 7) * np.cos(columns / 9)
    for path in tmp_path.glob("p*.png"):
        imsave(path, np.round(smooth * 65535).astype(np.uint16), check_contrast=False)
    prepare(files, tmp_path / "out", replace(RECIPE, size=96, framing=framing))
    sample = pairs_of(DataConfig(prepared=str(tmp_path / "out"), image_size=32, framing=framing), "val")[0]
    expected = pairs_of(replace(files, image_size=32), "val")[0]
    assert torch.equal(sample.valid, expected.valid)
    inner = expected.valid.bool()
    shifted = expected.followup.roll(1, dims=-1)
    assert (sample.followup - expected.followup)[inner].abs().mean() < 0.005  # resized twice
    assert (shifted - expected.followup)[inner].abs().mean() > 0.03  # a pixel off would show


def write_tall_pixels(root: Path, densities: tuple[int, int]) -> DataConfig:
    """Three patients, whose files say that pixels are not square; each one's map does not."""
    path = write_pairs(root, patients=3, pairs=1, shape=(32, 32))
    for folder in ("baseline", "followup"):
        for file in (path / folder).glob("*.png"):
            with Image.open(file) as image:
                image.save(file, dpi=densities)
    return DataConfig(path=path, image_size=64)


@pytest.mark.parametrize("size", [None, 64])
@pytest.mark.parametrize("densities", [(200, 100), (100, 200), (100, 125)])
@pytest.mark.parametrize("framing", ["pad", "crop", "stretch"])
def test_pixels_that_are_not_square_are_squared_as_of_files(tmp_path, size, densities, framing):
    files = replace(write_tall_pixels(tmp_path / "pairs", densities), framing=framing, align=False)
    prepare(files, tmp_path / "out", replace(RECIPE, size=size, framing=framing))
    prepared = DataConfig(prepared=str(tmp_path / "out"), image_size=64, framing=framing, align=False)
    sample, expected = pairs_of(prepared, "val")[0], pairs_of(files, "val")[0]
    assert sample.geometry.pixel_aspect == pytest.approx(densities[0] / densities[1], rel=1e-3)
    assert_same(sample, expected, 0.51 / 65535)


def test_stores_from_before_pixels_had_an_aspect_are_read(tmp_path):
    files = DataConfig(path=write_manifest(tmp_path, height=30, width=40), image_size=40)
    prepare(files, tmp_path / "out")
    for path in (tmp_path / "out").rglob("*.arrow"):
        table = pa.ipc.open_stream(path.read_bytes()).read_all()
        columns = {name: table[name].to_pylist() for name in table.column_names}
        for cells in columns.values():
            for cell in cells:
                if isinstance(cell, dict):
                    del cell["pixel_aspect"]
        fields = []
        for field in table.schema:
            parts = list(field.type) if pa.types.is_struct(field.type) else []
            kept = pa.struct([part for part in parts if part.name != "pixel_aspect"])
            fields.append(field.with_type(kept) if parts else field)
        schema = pa.schema(fields)
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, schema) as writer:
            writer.write_table(pa.table(columns, schema))
    sample = pairs_of(DataConfig(prepared=str(tmp_path / "out"), image_size=40), "val")[0]
    assert_same(sample, pairs_of(files, "val")[0])


def test_images_of_pairs_are_used_once(tmp_path):
    files = DataConfig(path=write_manifest(tmp_path), image_size=40)
    prepare(files, tmp_path / "out")
    images, expected = (
        images_of(DataConfig(prepared=str(tmp_path / "out"), image_size=40), "train"),
        images_of(files, "train"),
    )
    assert len(images) == len(expected) == 3 * SPLITS.count("train")
    assert {images[index].id for index in range(len(images))} == {
        expected[i].id for i in range(len(expected))
    }
    by_id = {expected[index].id: expected[index] for index in range(len(expected))}
    for index in range(len(images)):
        assert_same(images[index], by_id[images[index].id])


def test_single_images(tmp_path):
    write_manifest(tmp_path)
    rows = [["id", "patient_id", "image", "split", "view"]]
    rows += [
        [f"i{patient}", f"p{patient}", f"p{patient}_0.png", split, "PA"]
        for patient, split in enumerate(SPLITS)
    ]
    with (tmp_path / "images.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    files = DataConfig(path=tmp_path / "images.csv", image_size=40)
    prepare_records(
        load_images(files.path, files), tmp_path / "out", RECIPE, engine=Processes(1), progress=False
    )
    prepared = DataConfig(prepared=str(tmp_path / "out"), image_size=40)
    images, expected = images_of(prepared, "test"), images_of(files, "test")
    for index in range(len(expected)):
        assert_same(images[index], expected[index])
    with pytest.raises(DataError, match=r"out holds single images, no pairs; prepare a manifest"):
        pairs_of(prepared, "test")


def test_others_can_read_it_with_datasets_alone(tmp_path):
    import datasets

    prepare(DataConfig(path=write_manifest(tmp_path)), tmp_path / "out")
    rows = datasets.load_dataset(
        "arrow",
        data_files={"val": [str(path) for path in sorted((tmp_path / "out" / "val").glob("*.arrow"))]},
        split="val",
        cache_dir=str(tmp_path / "cache"),
    )
    first = rows[0]
    assert (first["patient_id"], first["findings"], first["days"]) == ("p6", "nodule+device", "30")
    pixels = np.frombuffer(first["followup"]["pixels"], "<u2").reshape(40, 40)
    from skimage.io import imread

    assert (pixels == imread(tmp_path / "p6_1.png")).all()


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_several_processes_write_the_same_bytes(tmp_path):
    records = load_pairs(write_manifest(tmp_path), DataConfig())
    for name, workers in (("one", 1), ("two", 2)):
        prepare_records(records, tmp_path / name, RECIPE, engine=Processes(workers), progress=False)
    assert tree(tmp_path / "one") == tree(tmp_path / "two")


def test_a_cluster_writes_the_same_bytes(tmp_path, cluster):
    write_manifest(tmp_path)
    where = {"one": ("--workers", "1"), "many": ("--cluster", cluster.scheduler_address)}
    for name, option in where.items():
        done = call("data.prepare", "manifest.csv", name, "--size", "40", *option, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "preparing: 100%" in done.stderr
    assert tree(tmp_path / "one") == tree(tmp_path / "many")
    (tmp_path / "p3_1.png").write_bytes(b"no picture")
    done = call("data.prepare", "manifest.csv", "damaged", *where["many"], cwd=tmp_path)
    assert done.returncode == 2
    (line,) = (line for line in done.stderr.splitlines() if "error" in line)
    assert line.startswith("error: p3_1.png cannot be read")


def test_a_killed_run_goes_on_where_it_stopped(tmp_path):
    """A real process, killed while it writes; what was finished is not written again."""
    manifest, out = write_manifest(tmp_path, height=300, width=300), tmp_path / "out"
    command = ("data.prepare", manifest, out, "--workers", "1")
    kill = (int(signal.SIGKILL), "data.prepare.writing._row", 5)
    killed = run("tests.stopping", *kill, *command, cwd=ROOT)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    notes = [note.name.removesuffix(".done.json") for note in out.glob(".preparing/train-*.done.json")]
    shards = [out / name.replace("-", "/", 1) for name in notes]
    finished = {path: path.stat().st_mtime_ns for path in shards}
    assert 0 < len(finished) < 5
    assert not (out / "prepared.json").exists()
    with pytest.raises(DataError, match="is not finished"):
        pairs_of(DataConfig(prepared=str(out), image_size=64), "train")
    done = call(*command, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    prepare(DataConfig(path=manifest), tmp_path / "whole", replace(RECIPE, size=512, align=True))
    assert tree(out) == tree(tmp_path / "whole")
    assert not list(out.rglob(".part-*"))
    again = run(*command, cwd=ROOT)
    assert again.returncode == 0
    assert "0 of them written now" in again.stdout


def test_other_settings_and_other_files_are_not_mixed_in(tmp_path):
    config = DataConfig(path=write_manifest(tmp_path))
    prepare(config, tmp_path / "out")
    before = tree(tmp_path / "out")
    with pytest.raises(DataError, match=r"out was made with other settings \(bits, size\); name"):
        prepare(config, tmp_path / "out", replace(RECIPE, size=32, bits=8))
    (tmp_path / "manifest.csv").write_text((tmp_path / "manifest.csv").read_text().replace("p9,", "q9,"))
    with pytest.raises(DataError, match=r"made with other settings \(manifest\);"):
        prepare(config, tmp_path / "out")
    assert tree(tmp_path / "out") == before
    assert prepare(config, tmp_path / "out", overwrite=True).written == 20
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").touch()
    for overwrite in (False, True):
        with pytest.raises(DataError, match=r"mine holds other files \(thesis.txt\); name a new or an empty"):
            prepare(config, tmp_path / "mine", overwrite=overwrite)
    assert (tmp_path / "mine" / "thesis.txt").exists()


def test_an_unreadable_file_stops_or_is_named(tmp_path):
    config = DataConfig(path=write_manifest(tmp_path))
    (tmp_path / "p6_1.png").write_bytes(b"damaged")
    with pytest.raises(DataError, match=r"p6_1\.png"):
        prepare(config, tmp_path / "out")
    done = prepare(config, tmp_path / "skipping", replace(RECIPE, on_error="skip"))
    assert done.skipped == 2
    assert done.info.count("val") == 2
    with (tmp_path / "skipping" / "skipped.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["id", "reason"]
    assert len(rows) == 2
    assert all("p6_1.png" in reason for _, reason in rows)
    prepared = DataConfig(prepared=str(tmp_path / "skipping"), image_size=40)
    assert pairs_of(prepared, "val").patients == ["p7"]
    for path in tmp_path.glob("p*.png"):
        path.write_bytes(b"damaged")
    with pytest.raises(DataError, match=r"none of the files could be read; the first: .*p0_0"):
        prepare(config, tmp_path / "none", replace(RECIPE, on_error="skip"))


def test_after_a_bad_file_the_same_command_can_go_on_without_it(tmp_path):
    config = DataConfig(path=write_manifest(tmp_path))
    (tmp_path / "p6_1.png").write_bytes(b"damaged")
    with pytest.raises(DataError):
        prepare(config, tmp_path / "out")
    assert list((tmp_path / "out" / "train").glob("data-*.arrow"))
    done = prepare(config, tmp_path / "out", replace(RECIPE, on_error="skip"))
    assert 0 < done.written < 18
    assert done.info.count("train") == 12


def test_a_run_killed_before_a_shard_was_in_place_leaves_nothing_wrong(tmp_path):
    config = DataConfig(path=write_manifest(tmp_path))
    skipping = replace(RECIPE, on_error="skip")
    out = tmp_path / "out"
    (tmp_path / "p6_1.png").write_bytes(b"damaged")
    prepare(config, out, skipping)
    whole = tree(out)
    (out / "prepared.json").unlink()
    for note in out.glob(".preparing/*.done.json"):  # as if the shards had been taken away
        note.write_text(json.dumps({"rows": 1, "skipped": [["x", "stale"]], "digest": "stale"}))
    for shard in out.glob("*/data-*.arrow"):
        shard.unlink()
    prepare(config, out, skipping)
    assert tree(out) == whole


def test_the_options_of_a_run_are_those_of_its_prepared_data(tmp_path):
    recipe = replace(RECIPE, intensity="percentile", framing="crop")
    prepare(DataConfig(path=write_manifest(tmp_path)), tmp_path / "out", recipe)
    asked = DataConfig(prepared=str(tmp_path / "out"), image_size=40)
    assert settled(asked) == replace(asked, intensity="percentile", framing="crop")
    assert settled(DataConfig()) == DataConfig()


def test_loader_processes_map_the_files_again_instead_of_copying_them(tmp_path):
    prepare(DataConfig(path=write_manifest(tmp_path, height=200, width=200)), tmp_path / "out")
    pairs = pairs_of(DataConfig(prepared=str(tmp_path / "out"), image_size=40), "train")
    pickled = pickle.dumps(pairs)
    assert len(pickled) < 5000
    assert_same(pickle.loads(pickled)[3], pairs[3])


def test_what_does_not_fit_is_refused(tmp_path):
    path = write_manifest(tmp_path)
    prepare(DataConfig(path=path), tmp_path / "out", replace(RECIPE, size=40, intensity="percentile"))
    out = str(tmp_path / "out")
    for config, message in (
        (DataConfig(prepared=out, image_size=64), "prepared at 40 px, less than --data.image-size 64"),
        (DataConfig(prepared=out, image_size=40, change="signed"), "--change magnitude, not signed"),
        (DataConfig(prepared=out, image_size=40, intensity="range"), "--intensity percentile, not range"),
        (DataConfig(prepared=out, image_size=40, framing="crop"), "--framing pad, not crop"),
        (DataConfig(prepared=out, path=path, image_size=40), "exclude each other"),
        (
            DataConfig(prepared=str(tmp_path / "gone"), image_size=40),
            "gone is no folder; make one with data.prepare",
        ),
    ):
        with pytest.raises(DataError, match=message):
            pairs_of(config, "train")
    assert len(images_of(DataConfig(prepared=out, image_size=40, change="signed"), "train"))


def test_a_missing_or_damaged_shard_is_named(tmp_path):
    prepare(DataConfig(path=write_manifest(tmp_path)), tmp_path / "out")
    config = DataConfig(prepared=str(tmp_path / "out"), image_size=40)
    shard = sorted((tmp_path / "out" / "val").glob("*.arrow"))[1]
    shard.write_bytes(shard.read_bytes()[:100])
    with pytest.raises(DataError, match=rf"{shard.name} is damaged; prepare the data again"):
        pairs_of(config, "val")
    shard.unlink()
    with pytest.raises(DataError, match=rf"{shard.name} is missing"):
        pairs_of(config, "val")
    info = json.loads((tmp_path / "out" / "prepared.json").read_text())
    (tmp_path / "out" / "prepared.json").write_text(json.dumps(info | {"format": 99}))
    with pytest.raises(DataError, match="is of format 99, this version reads 1"):
        pairs_of(config, "val")


def test_pairs_without_targets_can_be_prepared_but_not_trained_on(tmp_path):
    path = write_manifest(tmp_path)
    lines = path.read_text().splitlines()
    first = lines[1].split(",")
    first[3] = ""
    path.write_text("\n".join([lines[0], ",".join(first), *lines[2:]]))
    prepare(DataConfig(path=path), tmp_path / "out")
    config = DataConfig(prepared=str(tmp_path / "out"), image_size=40)
    with pytest.raises(DataError, match="pair 'p0_1' has no target"):
        pairs_of(config, "train")
    assert len(images_of(config, "train")) == 18


def test_training_on_prepared_data_needs_no_reader_of_files(tmp_path):
    """No DICOM, CT or rendering library is imported."""
    prepare(DataConfig(path=write_manifest(tmp_path)), tmp_path / "out")
    code = (
        "import sys; from data import DataConfig, open_pairs, open_images\n"
        f"config = DataConfig(prepared={str(tmp_path / 'out')!r}, image_size=40)\n"
        "open_pairs(config)['train'][0], open_images(config)['train'][0]\n"
        "names = {'pydicom', 'imagecodecs', 'nibabel', 'torchio', 'nanodrr', 'skimage', 'tifffile'}\n"
        "print(sorted(names & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=command_environment(), capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("absent.csv out", ["absent.csv does not exist"]),
        ("{manifest} out --size 8", ["image_size is 8; it must be at least 32, or native"]),
        ("{manifest} {manifest}", ["is no folder; name a new one"]),
        ("{manifest} out --bits 12", ["--bits"]),
    ],
)
def test_a_mistake_gets_one_line(tmp_path, arguments, words):
    manifest = write_manifest(tmp_path)
    done = call("data.prepare", *arguments.format(manifest=manifest).split(), cwd=tmp_path)
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert all(word in line for word in words), line
