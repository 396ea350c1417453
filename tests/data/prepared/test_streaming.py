"""Prepared data at an address, read as `datasets` streams it."""

import shutil
from dataclasses import replace

import pytest
import torch
from torch.utils.data import DataLoader

from data import DataConfig, DataError, collate_pairs
from tests.data.opened import images_of, pairs_of
from tests.data.prepared.test_prepared import RECIPE, assert_same, prepare, write_manifest


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    root = tmp_path_factory.mktemp("streamed")
    prepare(DataConfig(path=write_manifest(root)), root / "out", RECIPE)
    return root / "out"


def config_of(out, tmp_path, **options) -> DataConfig:
    address = f"file://{out}"
    return DataConfig(prepared=address, image_size=40, batch_size=2, cache_dir=tmp_path, **options)


def test_an_epoch_holds_every_sample_once_as_it_was_stored(out, tmp_path):
    stored = pairs_of(DataConfig(prepared=str(out), image_size=40), "train")
    expected = {stored[index].id: stored[index] for index in range(len(stored))}
    streamed = pairs_of(config_of(out, tmp_path), "train")
    samples = list(streamed)
    assert len(samples) == len(streamed) == len(stored) == 12
    assert {sample.id for sample in samples} == set(expected)
    for sample in samples:
        assert_same(sample, expected[sample.id])
    assert streamed.patients is None


def test_the_order_follows_from_seed_and_epoch(out, tmp_path):
    def order(seed: int, epoch: int) -> list[str]:
        streamed = pairs_of(config_of(out, tmp_path), "train")
        streamed.configure(rank=0, world=1, seed=seed)
        streamed.epoch = epoch
        return [sample.id for sample in streamed]

    assert order(0, 0) == order(0, 0)
    assert order(0, 0) != order(0, 1)
    assert order(0, 0) != order(1, 0)


@pytest.mark.parametrize("world", [2, 3])
def test_processes_share_the_samples_out_evenly(out, tmp_path, world):
    parts = []
    for rank in range(world):
        streamed = pairs_of(config_of(out, tmp_path), "train")
        streamed.configure(rank=rank, world=world, seed=0)
        parts.append([sample.id for sample in streamed])
        assert len(parts[-1]) == len(streamed)
        assert len(streamed) % 2 == 0
    assert len({len(part) for part in parts}) == 1
    together = [name for part in parts for name in part]
    assert len(set(together)) == len(together)


def test_uneven_shards_cost_little(out, tmp_path):
    """Where files were skipped, what a process may get at worst counts, not the smallest shard."""
    streamed = pairs_of(config_of(out, tmp_path), "train")
    for shards, expected in (([10, 5, 10, 10], 14), ([0, 10, 10, 10], 10), ([10] * 4, 20)):
        info = replace(streamed.reader.info, shards={"train": shards})
        streamed.reader = replace(streamed.reader, info=info)
        streamed.configure(rank=0, world=2, seed=0)
        assert len(streamed) == expected


def test_a_loader_process_that_lives_on_sees_the_epoch(out, tmp_path):
    streamed = pairs_of(config_of(out, tmp_path), "train")
    loader = DataLoader(
        streamed, batch_size=2, num_workers=1, persistent_workers=True, collate_fn=collate_pairs
    )
    orders = []
    for epoch in (0, 1, 0):
        streamed.epoch = epoch
        orders.append([name for batch in loader for name in batch.id])
    assert sorted(orders[0]) == sorted(orders[1])
    assert orders[0] != orders[1]
    assert orders[2] == orders[0]


def test_images_of_streamed_pairs(out, tmp_path):
    streamed = images_of(config_of(out, tmp_path), "train")
    names = [sample.id for sample in streamed]
    assert len(names) == len(streamed) == 24
    assert names[0].endswith("/baseline")
    assert names[1].endswith("/followup")


def test_validation_is_copied_once(out, tmp_path):
    copy = tmp_path / "remote"
    shutil.copytree(out, copy)
    config = DataConfig(prepared=f"file://{copy}", image_size=40, cache_dir=tmp_path / "cache")
    stored = pairs_of(DataConfig(prepared=str(out), image_size=40), "val")
    fetched = pairs_of(config, "val")
    assert_same(fetched[0], stored[0])
    shutil.rmtree(copy / "val")
    assert torch.equal(pairs_of(config, "val")[1].followup, stored[1].followup)


def test_what_is_wrong_with_an_address_is_said(out):
    with pytest.raises(DataError, match=r"absent/prepared\.json cannot be read"):
        pairs_of(DataConfig(prepared="file:///absent", image_size=40), "train")
    with pytest.raises(DataError, match="cannot be read"):
        pairs_of(DataConfig(prepared="nosuchstorage://bucket/out", image_size=40), "train")
    with pytest.raises(DataError, match="too few samples in train for a batch of 16 in each of 1 processes"):
        pairs_of(DataConfig(prepared=f"file://{out}", image_size=40, batch_size=16), "train")
