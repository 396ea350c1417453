import pytest
from torch.utils.data import BatchSampler

from gan.run.loaders import EpochSampler, NoneAlone


def batches(size, batch_size, epoch=3):
    order = EpochSampler(size, seed=5)
    order.epoch = epoch
    sampler = NoneAlone(order, batch_size, drop_last=False)
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
