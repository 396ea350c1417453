import math

import pytest
import torch
from skimage.io import imread

from data import ImageBatch
from gan.classify.measures import draw_label_grid, known_bce, label_report, label_table

NAN = float("nan")


def test_cross_entropy_is_the_mean_over_what_is_known():
    logits = torch.tensor([[2.0, -1.0], [0.5, 30.0]])
    labels = torch.tensor([[1.0, 0.0], [NAN, 0.0]])
    expected = (math.log1p(math.exp(-2)) + math.log1p(math.exp(-1)) + 30) / 3
    assert known_bce(logits, labels).item() == pytest.approx(expected, rel=1e-6)


def test_what_is_unknown_has_no_gradient_and_nothing_known_is_0():
    logits = torch.zeros(1, 2, requires_grad=True)
    known_bce(logits, torch.tensor([[NAN, 1.0]])).backward()
    assert logits.grad.tolist() == [[0.0, -0.5]]
    assert known_bce(logits, torch.full((1, 2), NAN)) == 0


def report():
    logits = torch.tensor([[0.9, 0.1, 5.0], [0.8, 0.3, 1.0], [0.3, 0.2, 2.0], [0.1, 0.9, 3.0]])
    labels = torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, NAN], [1.0, NAN, NAN], [0.0, 1.0, 1.0]])
    return label_report(("nodule", "effusion", "device"), logits, labels)


def test_auroc_is_of_the_images_on_which_a_label_is_known():
    numbers = report()
    # nodule: of the four pairs of a positive and a negative, 0.3 against 0.8 is wrong.
    assert numbers["labels"]["nodule"] == {"auroc": pytest.approx(3 / 4), "positives": 2, "known": 4}
    assert numbers["labels"]["effusion"] == {"auroc": pytest.approx(1.0), "positives": 1, "known": 3}
    assert numbers["labels"]["device"] == {"auroc": None, "positives": 2, "known": 2}
    assert numbers["auroc"] == pytest.approx((3 / 4 + 1) / 2)
    assert numbers["images"] == 4


def test_the_table_has_a_row_a_label_and_the_mean():
    rows = [line.split() for line in label_table(report()).splitlines()]
    assert rows == [
        ["AUROC", "positives", "known"],
        ["nodule", "0.7500", "2", "4"],
        ["effusion", "1.0000", "1", "3"],
        ["device", "-", "2", "2"],
        ["mean", "0.8750"],
    ]


def test_the_grid_shows_each_radiograph_and_a_bar_for_every_label(tmp_path):
    labels = torch.tensor([[1.0, 0.0, NAN]])
    batch = ImageBatch(id=["a $x"], image=torch.full((1, 1, 8, 8), 0.5), labels=labels)
    draw_label_grid(tmp_path / "g.png", batch, ("a", "b", "c"), torch.tensor([[0.9, 0.6, 0.4]]))
    picture = imread(tmp_path / "g.png")[..., :3].astype(int)
    reds = (abs(picture - [214, 39, 40]).max(-1) < 12).sum()
    greys = (abs(picture - [127, 127, 127]).max(-1) < 12).sum()
    assert reds > 500, "the label that is present"
    assert greys > 500
