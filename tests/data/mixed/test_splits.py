"""Shares, order and repetitions of a mix, by arithmetic on sources of a few pixels."""

from collections import Counter

import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset

from data import AugmentConfig, DataError, ImageSample, PairSample, augment_pairs, collate_pairs
from data.mixed.splits import MixedStream, Mixture, OfSource


class Numbered:
    """Pairs of grey that are their number."""

    labels = ()

    def __init__(self, size, columns=None):
        self.size, self.columns = size, columns or {}
        self.patients = [f"patient {number}" for number in range(size)]
        self.identity = f"{size} numbers"

    def __len__(self):
        return self.size

    def __getitem__(self, index):
        grey = torch.full((1, 32, 32), 0.5)
        who = f"patient {index}"
        return PairSample(id=str(index), patient_id=who, baseline=grey, followup=grey, columns=self.columns)


class Stream(Numbered, IterableDataset):
    """The same, iterated by the process that is told to, in an order that follows from the epoch."""

    rank, world, epoch = 0, 1, 0

    def configure(self, *, rank, world, seed):  # noqa: ARG002
        self.rank, self.world = rank, world

    def __len__(self):
        return self.size // self.world

    def __iter__(self):
        order = torch.randperm(self.size, generator=torch.Generator().manual_seed(self.epoch))
        for index in order.tolist()[self.rank :: self.world][: len(self)]:
            yield self[index]


def parts_of(**splits):
    return [OfSource(name, number, split, ()) for number, (name, split) in enumerate(splits.items())]


def mixture(sizes, weights, names="abc"):
    return Mixture(
        parts_of(**{name: Numbered(size) for name, size in zip(names, sizes, strict=False)}), weights
    )


def stream(sizes=(5, 8), weights=(1, 2), batch_size=2, held_out=None, **place):
    parts = parts_of(files=Numbered(sizes[0]), streamed=Stream(sizes[1]))
    mixed = MixedStream(parts, weights, batch_size, held_out or {})
    mixed.configure(**({"rank": 0, "world": 1, "seed": 0} | place))
    return mixed


def sources_of(mixed, indices):
    return Counter(mixed[index].columns["source"] for index in indices)


@pytest.mark.parametrize(
    ("sizes", "weights", "counts"),
    [
        ((10, 30), (1, 1), [20, 20]),
        ((10, 30), (3, 1), [30, 10]),
        ((864, 228, 17), (1, 2, 0.5), [317, 634, 158]),
        ((7,), (0.1,), [7]),
    ],
)
def test_a_source_has_the_share_of_its_weight_in_every_epoch(sizes, weights, counts):
    mixed = mixture(sizes, weights)
    assert len(mixed) == sum(sizes) == sum(counts)
    assert all(
        abs(count - len(mixed) * weight / sum(weights)) <= 1
        for count, weight in zip(counts, weights, strict=True)
    )
    for epoch in (0, 3):
        order = mixed.order(5, epoch)
        assert len(set(order)) == len(order)
        assert list(sources_of(mixed, sorted(order, key=lambda i: i % len(mixed))).values()) == counts


def test_all_samples_of_a_source_are_seen_equally_often_over_epochs():
    mixed = mixture((10, 30), (3, 1))
    for epochs in (1, 2, 5):
        seen = Counter(mixed[index].id for epoch in range(epochs) for index in mixed.order(0, epoch))
        for name, size, count in (("a", 10, 30), ("b", 30, 10)):
            times = [seen[f"{name}:{number}"] for number in range(size)]
            assert sum(times) == epochs * count
            assert max(times) - min(times) <= 1


def test_the_order_follows_from_seed_and_epoch_and_is_mixed():
    mixed = mixture((40, 40), (1, 1))
    assert mixed.order(0, 2) == mixture((40, 40), (1, 1)).order(0, 2)
    assert mixed.order(0, 2) != mixed.order(0, 1)
    assert mixed.order(0, 2) != mixed.order(1, 2)
    half = sources_of(mixed, mixed.order(0, 0)[:40])
    assert 10 < half["a"] < 30
    # Two sources of one size are not read in step.
    walks = [[i % 40 for i in mixed.order(0, 0) if (i >= 40) == second] for second in (False, True)]
    assert walks[0] != walks[1]


def test_the_first_indices_are_every_sample_once():
    mixed = mixture((3, 2), (1, 5))
    assert [mixed[i].id for i in range(len(mixed))] == ["a:0", "a:1", "a:2", "b:0", "b:1"]
    assert [mixed[i + len(mixed)].id for i in range(len(mixed))] == [mixed[i].id for i in range(len(mixed))]


def test_what_comes_again_in_an_epoch_is_augmented_otherwise():
    mixed = mixture((1, 4), (4, 1))
    again = [mixed[index] for index in mixed.order(0, 0) if mixed[index].id == "a:0"]
    assert len(again) == len({sample.key for sample in again}) == 4
    batch = augment_pairs(collate_pairs(again), AugmentConfig(), seed=0, epoch=0)
    assert len({film.numpy().tobytes() for film in batch.followup}) == 4
    repeated = augment_pairs(collate_pairs(again[::-1]), AugmentConfig(), seed=0, epoch=0)
    torch.testing.assert_close(repeated.followup.flip(0), batch.followup)


def test_a_sample_names_its_source_and_moved_data_are_augmented_as_before():
    kept = {"site": "north", "source": "scanner 3"}
    (part,) = parts_of(mine=Numbered(2, kept))
    assert part[1].id == "mine:1"
    assert part[1].columns == {"site": "north", "source": "mine", "own_source": "scanner 3"}
    (moved,) = parts_of(elsewhere=Numbered(2))
    assert moved[1].key == part[1].key
    assert Mixture([moved], [1.0]).identity == Mixture([part], [1.0]).identity
    assert Mixture([moved], [2.0]).identity != Mixture([part], [1.0]).identity


def test_labels_that_not_all_sources_have_are_none():
    class Labelled(Numbered):
        def __getitem__(self, index):
            return ImageSample(
                id="", patient_id="", image=torch.zeros(1, 32, 32), labels=torch.zeros(2), columns={}
            )

    for labels, expected in (((), None), (("a", "b"), 2)):
        found = OfSource("x", 0, Labelled(1), labels)[0].labels
        assert (found is None) if expected is None else len(found) == expected


def test_a_weight_that_gives_no_sample_is_refused():
    with pytest.raises(DataError, match="the weight of a gives it none of the 40 samples of an epoch"):
        mixture((10, 30), (0.001, 1)).require_shares()
    mixture((10, 30), (0.1, 1)).require_shares()
    with pytest.raises(DataError, match=r"too few samples for a batch of 4 in each of 4 processes"):
        stream((5, 8), batch_size=4, world=4)


@pytest.mark.parametrize("world", [1, 2, 3])
def test_processes_share_a_mix_with_a_stream_out(world):
    """Sixty samples, of which a third is of files; what is left over fills no batch in every process."""
    parts = [list(stream((30, 30), (1, 2), rank=rank, world=world, batch_size=4)) for rank in range(world)]
    assert {len(part) for part in parts} == {60 // world // 4 * 4}
    together = [(sample.id, sample.key) for part in parts for sample in part]
    assert len(set(together)) == len(together)
    files = sum(name.startswith("files") for name, _ in together)
    assert abs(files - len(together) / 3) <= 60 - len(together)
    streamed = Counter(name for name, _ in together if name.startswith("streamed"))
    assert max(streamed.values()) <= 2


def test_a_mix_with_a_stream_follows_from_seed_and_epoch():
    def order(seed, epoch):
        mixed = stream(seed=seed)
        mixed.epoch = epoch
        return [(sample.id, sample.key) for sample in mixed]

    assert order(0, 1) == order(0, 1)
    assert order(0, 1) != order(0, 0)
    assert order(0, 1) != order(1, 1)
    assert len(order(0, 0)) == 12


def test_a_loader_process_that_lives_on_sees_the_epoch_of_a_mix():
    mixed = stream()
    loader = DataLoader(mixed, batch_size=2, num_workers=1, persistent_workers=True, collate_fn=collate_pairs)
    orders = []
    for epoch in (0, 1, 0):
        mixed.epoch = epoch
        orders.append([key for batch in loader for key in batch.keys])
    assert orders[0] == orders[2] != orders[1]


def test_a_streamed_patient_who_is_held_out_elsewhere_is_refused():
    with pytest.raises(
        DataError, match="'patient 3' is in train of streamed and in val of files; put everything"
    ):
        list(stream(held_out={"patient 3": "val of files"}))
