from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage.io import imsave

from data import DataConfig, DataError, load_pairs
from data.config import SplitConfig
from tests.data.opened import images_of, pairs_of


def _square(value: int, height: int = 40, width: int = 40) -> np.ndarray:
    return np.full((height, width), value, dtype=np.uint8)


def _write_pairs(root: Path, patients: int = 12, height: int = 40, width: int = 40) -> Path:
    for folder in ("baseline", "followup", "target"):
        (root / folder).mkdir()
    for patient in range(patients):
        for pair in range(2):
            name = f"p{patient}_{pair}.png"
            for folder, value in (("baseline", 51), ("followup", 102), ("target", 204)):
                imsave(root / folder / name, _square(value, height, width), check_contrast=False)
    return root


def test_pairs_from_files(tmp_path):
    config = DataConfig(path=_write_pairs(tmp_path), image_size=32)
    datasets = {split: pairs_of(config, split) for split in ("train", "val", "test")}
    assert sum(len(dataset) for dataset in datasets.values()) == 24
    patients = [set(dataset.patients) for dataset in datasets.values()]
    assert sum(len(names) for names in patients) == len(set.union(*patients)) == 12
    sample = datasets["train"][0]
    record = datasets["train"].records[0]
    assert (sample.id, sample.patient_id) == (record.id, record.patient_id)
    assert record.split == "train"
    for image, value in ((sample.baseline, 0.2), (sample.followup, 0.4), (sample.target, 0.8)):
        assert image.shape == (1, 32, 32)
        assert image.dtype == torch.float32
        torch.testing.assert_close(image, torch.full_like(image, value))
    assert sample.target_baseline is None
    assert sample.valid.all()


def test_files_of_any_shape_share_one_geometry(tmp_path):
    config = DataConfig(path=_write_pairs(tmp_path, 3, 30, 60), image_size=32, align=False)
    sample = pairs_of(config, "train")[0]
    expected = torch.zeros(1, 32, 32)
    expected[:, 8:24] = 1
    assert torch.equal(sample.valid, expected)
    torch.testing.assert_close(sample.baseline, 0.2 * expected)
    torch.testing.assert_close(sample.target, 0.8 * expected)


def test_files_are_read_when_asked_for(tmp_path):
    dataset = pairs_of(DataConfig(path=_write_pairs(tmp_path), image_size=32), "train")
    dataset.records[0].followup.write_bytes(b"damaged")
    dataset[1]
    with pytest.raises(DataError, match=r"followup/p\d+_\d\.png cannot be read"):
        dataset[0]


def test_images_use_both_of_every_pair_and_the_same_split(tmp_path):
    config = DataConfig(path=_write_pairs(tmp_path), image_size=32)
    for split in ("train", "val", "test"):
        pairs, images = pairs_of(config, split), images_of(config, split)
        assert len(images) == 2 * len(pairs)
        assert images.patients == pairs.patients
    assert {round(images[i].image.mean().item(), 4) for i in range(len(images))} == {0.2, 0.4}


def test_signed_targets(tmp_path):
    _write_pairs(tmp_path)
    config = DataConfig(path=tmp_path, image_size=32, change="signed")
    assert pairs_of(config, "train")[0].target.mean().item() == pytest.approx((204 - 128) / 127)


def test_targets_in_the_geometry_of_the_baseline(tmp_path):
    _write_pairs(tmp_path)
    (tmp_path / "target_baseline").mkdir()
    for file in (tmp_path / "target").iterdir():
        imsave(tmp_path / "target_baseline" / file.name, _square(153), check_contrast=False)
    sample = pairs_of(DataConfig(path=tmp_path, image_size=32), "train")[0]
    assert sample.target_baseline.mean().item() == pytest.approx(0.6)


def test_a_target_of_another_size_than_its_radiograph_is_named(tmp_path):
    dataset = pairs_of(DataConfig(path=_write_pairs(tmp_path), image_size=32), "train")
    imsave(dataset.records[0].target, _square(0, 40, 50), check_contrast=False)
    message = r"target/.* is 40 x 50 but the followup .*followup/.* is 40 x 40; resample the target"
    with pytest.raises(DataError, match=message):
        dataset[0]


def test_two_radiographs_of_one_patient_may_differ_in_size(tmp_path):
    dataset = pairs_of(DataConfig(path=_write_pairs(tmp_path), image_size=32), "train")
    imsave(dataset.records[0].baseline, _square(51, 20, 40), check_contrast=False)
    sample = dataset[0]
    assert sample.baseline.shape == sample.followup.shape == (1, 32, 32)
    # Only where there is something of both is there anything to compare.
    assert torch.equal(sample.valid, (sample.baseline > 0.19).float())
    assert sample.valid.mean() == 0.5
    assert (sample.geometry.height, sample.geometry.width) == (40, 40)


@pytest.mark.parametrize("build", [pairs_of, images_of])
def test_an_unreadable_file_is_stood_in_for_by_another(tmp_path, build):
    config = DataConfig(path=_write_pairs(tmp_path), image_size=32, on_error="skip")
    training, validation = build(config, "train"), build(config, "val")
    for skipping in (training, validation):
        records = skipping.dataset.records
        path = records[0].followup if build is pairs_of else records[0].image
        path.write_bytes(b"damaged")
        sample = skipping[0]
        assert len(sample.skipped) == 1
        assert str(path) in sample.skipped[0]
        assert sample.id != records[0].id
        assert skipping[0].id == sample.id  # a function of the place
        assert skipping[1].skipped == ()
        assert sample.valid.any() == (skipping is training)  # in validation nothing counts twice


def test_stand_ins_are_spread_out_and_bad_files_read_once(tmp_path, monkeypatch):
    data = images_of(DataConfig(path=_write_pairs(tmp_path, 40), image_size=32, on_error="skip"), "train")
    bad = range(len(data) // 2)
    for index in bad:
        data.dataset.records[index].image.write_bytes(b"damaged")
    calls = []
    read = type(data.dataset).__getitem__
    monkeypatch.setattr(type(data.dataset), "__getitem__", lambda self, i: calls.append(i) or read(self, i))
    stand_ins = Counter(data[index].id for index in bad)
    assert max(stand_ins.values()) <= 6  # of about one each
    assert all(calls.count(index) == 1 for index in bad)


def test_when_nothing_can_be_read_that_is_said(tmp_path):
    dataset = pairs_of(DataConfig(path=_write_pairs(tmp_path), image_size=32, on_error="skip"), "val")
    for file in (tmp_path / "baseline").iterdir():
        file.write_bytes(b"damaged")
    with pytest.raises(
        DataError, match=rf"none of the {len(dataset)} samples can be read; one of them: .*baseline"
    ):
        dataset[0]


def test_a_target_out_of_range_is_named(tmp_path):
    _write_pairs(tmp_path)
    for file in list((tmp_path / "target").iterdir()):
        np.save(file.with_suffix(".npy"), np.full((40, 40), 300.0))
        file.unlink()
    with pytest.raises(DataError, match=r"target/.*\.npy ranges over \[300, 300\]; .* must lie in \[0, 1\]"):
        pairs_of(DataConfig(path=tmp_path, image_size=32), "train")[0]


def test_a_pair_without_target_is_named(tmp_path):
    _write_pairs(tmp_path)
    config = DataConfig(path=tmp_path, image_size=32)
    record = pairs_of(config, "val").records[0]
    record.target.unlink()
    with pytest.raises(DataError, match=rf"pair '{record.id}' has no target; add one or remove the pair"):
        pairs_of(config, "val")
    assert len(images_of(config, "val")) > 0
    assert len(pairs_of(config, "train")) > 0


def _manifest(root: Path, rows: str) -> DataConfig:
    for name in ("a", "b", "c"):
        imsave(root / f"{name}.png", _square(1), check_contrast=False)
    (root / "m.csv").write_text("patient_id,image,split\n" + rows)
    return DataConfig(path=root / "m.csv", image_size=32)


def test_named_splits_are_kept(tmp_path):
    config = _manifest(tmp_path, "x,a.png,train\ny,b.png,val\nz,c.png,test\n")
    for split, patient in (("train", "x"), ("val", "y"), ("test", "z")):
        assert images_of(config, split).patients == [patient]


def test_a_patient_in_two_splits_is_named(tmp_path):
    config = _manifest(tmp_path, "x,a.png,train\ny,b.png,val\nx,c.png,test\n")
    with pytest.raises(DataError, match=r"m\.csv: patient 'x' is in the splits train and test"):
        images_of(config, "val")


def test_an_absent_split_is_named(tmp_path):
    config = _manifest(tmp_path, "x,a.png,train\ny,b.png,train\nz,c.png,test\n")
    with pytest.raises(DataError, match=r"nothing in the split val \(found test 1, train 2\)"):
        images_of(config, "val")


def test_unknown_split(tmp_path):
    with pytest.raises(ValueError, match="'dev' is no split; it must be one of train, val, test"):
        images_of(_manifest(tmp_path, "x,a.png,train\n"), "dev")


def test_too_few_patients_to_split(tmp_path):
    with pytest.raises(DataError, match=r"2 patient\(s\) cannot be split"):
        pairs_of(DataConfig(path=_write_pairs(tmp_path, patients=2)), "train")


@pytest.mark.parametrize("build", [pairs_of, images_of])
def test_missing_and_empty_folders(tmp_path, build):
    with pytest.raises(DataError, match="gone does not exist"):
        build(DataConfig(path=tmp_path / "gone"), "train")
    with pytest.raises(DataError, match=r"holds no (pairs|images)"):
        build(DataConfig(path=tmp_path), "train")


def test_the_drawn_split_follows_the_seed(tmp_path):
    _write_pairs(tmp_path)
    drawn = [
        {record.id: record.split for record in load_pairs(tmp_path, SplitConfig(split_seed=seed))}
        for seed in (0, 0, 1)
    ]
    assert drawn[0] == drawn[1] != drawn[2]


def test_a_longitudinal_pipeline_of_nifti(tmp_path):
    nibabel = pytest.importorskip("nibabel")
    followup = np.zeros((40, 40), dtype=np.float32)
    followup[:10] = 0.5  # the upper quarter
    for case in range(3):
        folder = tmp_path / f"ct{case}" / "pair_0"
        folder.mkdir(parents=True)
        for name in ("prior", "current", "diff_map"):
            nibabel.save(nibabel.Nifti1Image(followup.T, np.eye(4)), folder / f"{name}.nii.gz")
    sample = pairs_of(DataConfig(path=tmp_path, image_size=40), "test")[0]
    assert sample.id.endswith("/pair_0")
    assert torch.equal(sample.followup[0], torch.from_numpy(followup))
    assert torch.equal(sample.target[0], torch.from_numpy(followup))
