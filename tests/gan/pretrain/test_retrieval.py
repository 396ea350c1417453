import pytest
import torch
from torch.nn.functional import normalize

from data import ImageBatch
from gan.pretrain import retrieval
from gan.pretrain.retrieval import draw_retrieval_grid, recall, retrieval_table
from tests.gan.pictures.panels import panel_is_there


def test_recall_counts_the_other_view_among_the_closest():
    first = torch.eye(8)
    second = torch.eye(8)
    second[[0, 1]] = second[[1, 0]]  # two views are exchanged, so each is second to its own
    second[0] += 0.5 * torch.eye(8)[0]
    second[1] += 0.5 * torch.eye(8)[1]
    assert recall(first, second) == {"recall_at_1": 6 / 8, "recall_at_5": 1.0}


def test_features_that_are_all_the_same_find_nothing():
    same = torch.ones(10, 3)
    assert recall(same, same) == {"recall_at_1": 0.0, "recall_at_5": 0.0}


def test_recall_is_the_same_whatever_is_compared_at_once(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    first = torch.randn(37, 4, generator=generator)
    second = first + 0.8 * torch.randn(37, 4, generator=generator)
    whole = recall(first, second)
    ranks = (normalize(first) @ normalize(second).T).argsort(dim=1, descending=True)
    at_1 = (ranks[:, 0] == torch.arange(37)).float().mean().item()
    assert whole["recall_at_1"] == pytest.approx(at_1)
    monkeypatch.setattr(retrieval, "_QUERIES_AT_ONCE", 5)
    assert recall(first, second) == whole


def test_the_table_shows_trained_untrained_and_chance():
    numbers = {"recall_at_1": 0.5, "recall_at_5": 0.75}
    rows = [line.split() for line in retrieval_table(numbers, numbers, 20).splitlines()]
    assert rows[1:] == [
        ["trained", "0.5000", "0.7500"],
        ["untrained", "0.5000", "0.7500"],
        ["chance", "0.0500", "0.2500"],
    ]


def test_the_grid_shows_the_views_and_whose_second_view_is_closest(tmp_path):
    from skimage.io import imread

    greys = torch.tensor([0.2, 0.5, 0.8]).view(3, 1, 1, 1)
    batch = ImageBatch(id=["a", "b", "c"], image=greys.expand(3, 1, 8, 8))
    second = ImageBatch(id=batch.id, image=batch.image + 0.1)
    features = torch.eye(3)
    draw_retrieval_grid(tmp_path / "grid.png", batch, (batch, second), features, features[[1, 0, 2]])
    picture = imread(tmp_path / "grid.png")
    for row, (own, found) in enumerate([(0.2, 0.6), (0.5, 0.3), (0.8, 0.9)]):
        assert panel_is_there(picture, 0, row, 3, [own] * 3)
        assert panel_is_there(picture, 2, row, 3, [own + 0.1] * 3)
        assert panel_is_there(picture, 3, row, 3, [found] * 3), "the closest second view"
