import pytest
import torch
from torch.utils.data import BatchSampler

from data.batch import ImageSample, collate_images
from gan.run.loaders import EpochSampler, StepSampler, WithStandIns
from gan.run.loop import in_groups


def batches(size, batch_size, epoch=3):
    order = EpochSampler(size, seed=5)
    order.epoch = epoch
    sampler = StepSampler(order, batch_size)
    found = list(sampler)
    assert len(found) == len(sampler)
    return found, list(order)


@pytest.mark.parametrize(
    ("size", "batch_size", "lengths"),
    [
        (9, 4, [4, 5]),
        (5, 2, [2, 3]),
        (8, 4, [4, 4]),
        (10, 4, [4, 4, 2]),
        (3, 4, [3]),
        (1, 4, [1]),  # there is no batch to join
        (3, 1, [1, 1, 1]),  # asked for
        (0, 4, []),
    ],
)
def test_no_sample_is_left_alone(size, batch_size, lengths):
    found, order = batches(size, batch_size)
    assert [len(batch) for batch in found] == lengths
    assert [index for batch in found for index in batch] == order


@pytest.mark.parametrize(("size", "batch_size"), [(8, 4), (10, 4), (3, 1)])
def test_other_batches_are_what_they_would_be(size, batch_size):
    found, _ = batches(size, batch_size)
    order = EpochSampler(size, seed=5)
    order.epoch = 3
    assert found == list(BatchSampler(order, batch_size, drop_last=False))


@pytest.mark.parametrize("size", [1, 2, 3, 15, 16, 17, 18, 19, 31, 33, 40])
@pytest.mark.parametrize(
    ("batch_size", "accumulation", "processes"),
    [(8, 1, 1), (4, 2, 1), (1, 8, 1), (4, 1, 2), (2, 2, 2), (1, 4, 2), (2, 1, 4), (1, 1, 8)],
)
def test_steps_are_the_same_however_many_processes_share_them(size, batch_size, accumulation, processes):
    order = EpochSampler(size, seed=5)
    shared = [
        StepSampler(order, batch_size, accumulation=accumulation, process=process, processes=processes)
        for process in range(processes)
    ]
    found = [list(sampler) for sampler in shared]
    assert {len(batches) for batches in found} == {len(sampler) for sampler in shared}
    grouped = [list(in_groups(batches, accumulation)) for batches in found]
    steps = [
        [index for batches in step for batch in batches for index in batch if index >= 0]  # not stand-ins
        for step in zip(*grouped, strict=True)
    ]
    whole = [step for (step,) in in_groups(StepSampler(order, 8), 1)]
    assert [sorted(step) for step in steps] == [sorted(step) for step in whole]
    sizes = [len(batch) for batches in found for batch in batches]
    assert max(sizes) <= batch_size + 1


def test_of_a_stand_in_nothing_counts():
    sample = ImageSample(id="a", patient_id="p", image=torch.ones(1, 2, 2), labels=torch.ones(3))
    split = WithStandIns([sample])
    assert split[0] is sample
    stand_in = collate_images([split[~0]])
    assert not stand_in.counted.any()
    assert stand_in.labels.isnan().all()
    assert collate_images([sample]).counted.all()
