"""Pairs and images that are rows of arrays."""

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from data import DataConfig, DataError, collate_pairs, open_images, open_pairs
from data.arrays.store import Arrays

PATIENTS = np.repeat([f"p{number}" for number in range(8)], 2)
N = len(PATIENTS)


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def pairs(**other):
    return {
        "baseline": noise(N, 40, 32),
        "followup": noise(N, 40, 32, seed=1),
        "target": noise(N, 40, 32, seed=2).astype(np.float32) / 255,
        "patient": PATIENTS,
        **other,
    }


def saved(folder: Path, arrays, save=np.savez) -> DataConfig:
    save(folder / "data.npz", **arrays)
    return DataConfig(path=folder / "data.npz", image_size=40)


def saved_folder(folder: Path, arrays) -> DataConfig:
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    return DataConfig(path=folder, image_size=40)


WAYS = {
    "plain": saved,
    "compressed": lambda folder, arrays: saved(folder, arrays, np.savez_compressed),
    "folder": saved_folder,
}


@pytest.mark.parametrize("way", WAYS)
def test_rows_are_pairs_and_no_patient_is_divided(way, tmp_path):
    arrays = pairs(site=np.arange(N), findings=np.array(["nodule+effusion", ""] * (N // 2)))
    splits = open_pairs(WAYS[way](tmp_path, arrays))
    patients = [set(split.patients) for split in splits.values()]
    assert set.union(*patients) == {*PATIENTS}
    assert sum(map(len, patients)) == len({*PATIENTS})
    assert sum(map(len, splits.values())) == N
    for split in splits.values():
        for sample in (split[index] for index in range(len(split))):
            row = int(sample.columns["site"])
            assert (sample.id, sample.patient_id) == (f"baseline/{row}", PATIENTS[row])
            assert sample.findings == (("nodule", "effusion"), ())[row % 2]
            for role in ("baseline", "followup"):
                stored = torch.from_numpy(arrays[role][row] / np.float32(255))
                torch.testing.assert_close(getattr(sample, role)[0, :, 4:36], stored)
            torch.testing.assert_close(sample.target[0, :, 4:36], torch.from_numpy(arrays["target"][row]))
            assert sample.valid.sum() == 40 * 32
            assert (sample.geometry.height, sample.geometry.width) == (40, 32)


def test_what_is_not_compressed_is_mapped_and_nothing_is_copied_to_a_loader(tmp_path):
    np.savez(tmp_path / "data.npz", **pairs(transposed=np.asfortranarray(noise(N, 5))))
    arrays = Arrays(tmp_path / "data.npz")
    for name, expected in pairs(transposed=noise(N, 5)).items():
        assert isinstance(arrays.named[name], np.memmap)
        np.testing.assert_array_equal(arrays.named[name], expected)
    train = open_pairs(DataConfig(path=tmp_path / "data.npz", image_size=40))["train"]
    assert len(pickle.dumps(train)) < 10_000
    again = pickle.loads(pickle.dumps(train))
    assert torch.equal(again[0].target, train[0].target)
    assert again.identity == train.identity
    assert len(next(iter(DataLoader(train, 4, collate_fn=collate_pairs)))) == 4


def test_the_baseline_is_laid_on_the_followup_where_that_is_asked_for(tmp_path):
    from scipy.ndimage import gaussian_filter

    film = gaussian_filter(np.random.default_rng(0).random((80, 80)), 3)
    film = np.uint8(255 * (film - film.min()) / np.ptp(film))
    shifted = {"baseline": film[None, 8:72, 8:72], "followup": film[None, 8:72, 5:69]}
    arrays = {name: np.repeat(images, N, 0) for name, images in shifted.items()}
    config = replace(
        saved(tmp_path, {**arrays, "target": np.zeros((N, 64, 64)), "patient": PATIENTS}), image_size=64
    )
    apart = []
    for align in (False, True):
        sample = open_pairs(replace(config, align=align))["train"][0]
        seen = sample.valid.bool()
        apart.append((sample.baseline - sample.followup)[seen].abs().mean())
    assert apart[1] < 0.2 * apart[0]


def test_images_of_pairs_are_both_of_each(tmp_path):
    images = open_images(saved(tmp_path, pairs()))
    assert sum(map(len, images.values())) == 2 * N
    first = images["train"][0]
    row = int(first.id.split("/")[1])
    torch.testing.assert_close(
        first.image[0, :, 4:36], torch.from_numpy(noise(N, 40, 32)[row] / np.float32(255))
    )


def test_collections_that_name_splits_bring_their_labels(tmp_path):
    """As MedMNIST ships them: images and labels of each split, patients unknown."""
    labels = np.array([[1, 0], [0, 1]] * 3)
    arrays = {f"{name}_images": noise(6, 28, 28, seed=i) for i, name in enumerate(("train", "val", "test"))}
    arrays |= {f"{name}_labels": labels for name in ("train", "val", "test")}
    config = saved(tmp_path, arrays, np.savez_compressed)
    images = open_images(replace(config, labels=("labels_1", "labels_0")))
    assert [len(split) for split in images.values()] == [6, 6, 6]
    assert images["val"][1].labels.tolist() == [1, 0]
    assert images["val"][1].id == "val_images/1"
    with pytest.raises(DataError, match=r"data.npz has no label column 'mass' \(found labels_0, labels_1\)$"):
        open_images(replace(config, labels=("mass",)))
    with pytest.raises(DataError, match=r"holds no pairs in arrays baseline and followup \(found test"):
        open_pairs(config)


def test_axes_of_one_and_equal_channels_are_grey(tmp_path):
    grey = noise(6, 32, 32)
    for shaped in (grey[..., None], grey[:, None], np.repeat(grey[..., None], 3, axis=-1)):
        config = saved(tmp_path, {"image": shaped, "patient": np.arange(6)})
        image = open_images(replace(config, image_size=32))["train"]
        row = int(image[0].id.split("/")[1])
        torch.testing.assert_close(image[0].image[0], torch.from_numpy(grey[row] / np.float32(255)))


def test_splits_of_the_data_hold_and_targets_may_be_missing_where_none_is_asked_for(tmp_path):
    split = np.array(["train"] * 12 + ["val"] * 2 + ["test"] * 2)
    arrays = pairs(split=split)
    del arrays["target"]
    config = saved(tmp_path, arrays)
    assert open_pairs(config, ["val"], with_targets=False)["val"].patients == ["p6"]
    with pytest.raises(DataError, match="has no array target; add what changed in every pair"):
        open_pairs(config)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"patient": None}, "says neither whose its images are nor of which split: add an array patient"),
        ({"patient": PATIENTS[:-1]}, r"patient is \(15,\), and baseline has 16 rows"),
        ({"followup": noise(9, 40, 32)}, r"followup is \(9, 40, 32\), and baseline has 16 rows"),
        ({"split": np.array(["train", "val"] * 8)}, "patient 'p0' is in the splits train and val"),
        ({"split": np.array(["dev"] * N)}, "the array split has 'dev'; it must be one of train, val, test"),
        ({"id": np.array(["same"] * N)}, "values of the array id repeat"),
        ({"patient": np.array([""] * N)}, "a value is missing in the array patient"),
        ({"patient": PATIENTS.astype(object)}, "cannot be read as arrays .*objects"),
        ({"target": noise(N, 20, 16)}, "target/.* has another size than the followup; resample it"),
        ({"target": np.full((N, 40, 32), 2.0)}, "target/.* ranges over .* must lie in"),
        ({"baseline": noise(N, 40, 32, 3)}, "baseline/.* is in colour"),
        ({"baseline": noise(N, 40)}, "baseline/.*no image of rows and columns"),
    ],
)
def test_mistakes_are_one_line_that_names_the_array(changes, complaint, tmp_path):
    arrays = {name: array for name, array in pairs(**changes).items() if array is not None}
    config = saved(tmp_path, arrays)
    with pytest.raises(DataError, match=complaint) as error:
        open_pairs(config)["train"][0]
    assert "data.npz" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_damaged_file_is_one_line(tmp_path):
    config = saved(tmp_path, pairs())
    whole = config.path.read_bytes()
    config.path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"data\.npz cannot be read as arrays") as error:
        open_pairs(config)
    assert "\n" not in str(error.value)
    with pytest.raises(DataError, match=r"absent\.npz does not exist"):
        open_pairs(replace(config, path=tmp_path / "absent.npz"))


def test_a_row_that_cannot_be_used_is_left_out_where_that_is_asked_for(tmp_path):
    target = np.zeros((N, 40, 32), np.float32)
    target[::2] = 2
    config = replace(saved(tmp_path, pairs(target=target)), on_error="skip")
    train = open_pairs(config)["train"]
    skipped = [train[index].skipped for index in range(len(train))]
    assert any(skipped) and not all(skipped)
