import math

import pytest
import torch
from torch.nn.functional import cross_entropy, normalize

from losses import contrastive_loss


def embeddings(count=6, width=5, seed=0):
    values = torch.randn(count, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return normalize(values)


def test_two_views_an_image_are_a_classification_among_all_others():
    """NT-Xent: each view names its partner among the 2N - 1 others."""
    rows, temperature = embeddings(6), 0.2
    groups = torch.arange(3).repeat(2)
    logits = (rows @ rows.T / temperature).masked_fill(torch.eye(6, dtype=torch.bool), -torch.inf)
    partner = torch.tensor([3, 4, 5, 0, 1, 2])
    torch.testing.assert_close(contrastive_loss(rows, groups, temperature), cross_entropy(logits, partner))


def test_larger_groups_follow_the_formula_of_supervised_contrast_term_by_term():
    rows, groups, temperature = embeddings(7), [0, 1, 0, 0, 2, 1, 3], 0.5
    terms = []
    for anchor in range(7):
        others = [row for row in range(7) if row != anchor]
        partners = [row for row in others if groups[row] == groups[anchor]]
        total = sum(math.exp(float(rows[anchor] @ rows[row]) / temperature) for row in others)
        if partners:
            logs = [float(rows[anchor] @ rows[row]) / temperature - math.log(total) for row in partners]
            terms.append(-sum(logs) / len(partners))
    assert len(terms) == 5, "two rows are alone"
    loss = contrastive_loss(rows, torch.tensor(groups), temperature)
    assert loss.item() == pytest.approx(sum(terms) / len(terms))


def test_the_gradient_draws_partners_together_and_others_apart():
    rows = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.6, -0.8]], requires_grad=True)
    contrastive_loss(rows, torch.tensor([0, 0, 1]), 0.5).backward()
    downhill = -rows.grad[0]
    assert downhill @ rows[1].detach() > 0
    assert downhill @ rows[2].detach() < 0


def test_without_a_partner_there_is_nothing_to_learn():
    rows = embeddings(3).requires_grad_()
    loss = contrastive_loss(rows, torch.arange(3), 0.1)
    assert loss == 0
    loss.backward()
    assert torch.equal(rows.grad, torch.zeros_like(rows))


def test_it_is_computed_in_float32_under_autocast():
    rows, groups = embeddings(4).bfloat16(), torch.tensor([0, 0, 1, 1])
    with torch.autocast("cpu", torch.bfloat16):
        loss = contrastive_loss(rows, groups, 0.05)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, contrastive_loss(rows.float(), groups, 0.05))
