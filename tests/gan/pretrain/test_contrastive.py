"""Two views, told apart from those of the others: which rows, which gradients, which groups."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from accelerate import Accelerator
from torch.nn.functional import normalize

from data import ImageBatch
from data.base.errors import UserError
from gan.pretrain.contrastive import ContrastiveStage, contrast
from gan.pretrain.options import PRESETS, ContrastConfig
from gan.run.learner import Learner
from gan.run.options import OptimConfig
from losses import contrastive_loss
from networks import NetworkConfig
from tests.micro import MICRO_SIZES


def config(**changes):
    return replace(PRESETS["tiny"], method="contrastive", network=NetworkConfig(**MICRO_SIZES), **changes)


def batch(count=4, **known):
    images = torch.rand(count, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    return ImageBatch(id=[f"image {k}" for k in range(count)], image=images, **known)


def stage(**contrast_options):
    options = config(contrast=ContrastConfig(**contrast_options))
    learner = Learner.prepare(
        Accelerator(cpu=True), ContrastiveStage.build_model(options), OptimConfig(warmup_steps=0)
    )
    loaders = SimpleNamespace(total_steps=10, splits={})
    return ContrastiveStage(options, learner, loaders, [], None)


def test_a_step_moves_every_parameter_and_says_the_loss_of_its_views():
    made = stage()
    before = [parameter.detach().clone() for parameter in made.learner.model.parameters()]
    views = made._views(batch(), 0)
    with torch.no_grad():
        embeddings = made.learner.model(torch.cat([view.image for view in views]))
    expected = contrastive_loss(embeddings, torch.arange(4).repeat(2), 0.1)
    terms = made.step([batch()], 0, 0)
    torch.testing.assert_close(terms["contrastive"], expected)
    moved = [not torch.equal(*pair) for pair in zip(before, made.learner.model.parameters(), strict=True)]
    assert all(moved)


def test_the_views_of_an_image_differ_and_follow_from_the_epoch_and_the_id():
    made = stage()
    first, second = made._views(batch(), 3)
    assert not torch.equal(first.image, second.image)
    alone = ImageBatch(id=["image 2"], image=batch().image[2:3])
    torch.testing.assert_close(made._views(alone, 3)[1].image[0], second.image[2])
    assert not torch.equal(made._views(batch(), 4)[0].image, first.image)


def test_the_gradients_of_the_processes_add_up_to_that_of_one_batch():
    """Each of two processes gathers all rows, and has the gradient of its own."""
    rows = normalize(torch.randn(8, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64))
    groups = torch.tensor([0, 1, 0, 1, 2, 3, 2, 3])
    whole = rows.clone().requires_grad_()
    expected = contrastive_loss(whole, groups, 0.2)
    expected.backward()
    for process, own in enumerate((slice(0, 4), slice(4, 8))):
        mine = rows[own].clone().requires_grad_()
        gathered = iter([torch.ones(8), groups, rows])  # which rows count comes first
        accelerator = SimpleNamespace(
            process_index=process,
            num_processes=2,
            pad_across_processes=lambda tensor: tensor,
            gather=lambda _, gathered=gathered: next(gathered),
        )
        learner = SimpleNamespace(accelerator=accelerator, model=lambda _, mine=mine: mine)
        views = (batch(2), batch(2))
        loss = contrast(learner, views, groups[own][:2], 0.2)
        loss.backward()
        torch.testing.assert_close(loss, expected)
        torch.testing.assert_close(mine.grad, whole.grad[own])


def test_what_belongs_together_is_an_image_a_patient_or_a_value_of_a_column():
    known = batch(
        4, patient_id=["a", "b", "a", "b"], columns=[{"group": name} for name in ("x", "x", "x", "y")]
    )
    equal = {
        together: [[int(a == b) for b in numbers] for a in numbers]
        for together in ("image", "patient", "group")
        if (numbers := stage(together=together)._groups(known).tolist())
    }
    assert equal["image"] == torch.eye(4, dtype=torch.int).tolist()
    assert equal["patient"] == [[1, 0, 1, 0], [0, 1, 0, 1]] * 2
    assert equal["group"] == [[1, 1, 1, 0]] * 3 + [[0, 0, 0, 1]]


def test_a_column_that_is_not_there_is_named():
    known = batch(2, columns=[{"group": "x"}, {}])
    with pytest.raises(UserError, match=r"--contrast.together group: .*for image 1; name a column"):
        stage(together="group")._groups(known)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"data": {"batch_size": 1}}, "data.batch_size is 1; it must be at least 2"),
        ({"augment": False}, "data.augment.enabled is False; it must be True"),
        ({"contrast": {"temperature": 0.0}}, "contrast.temperature is 0.0; it must be above 0"),
        ({"contrast": {"embedding": 0}}, "contrast.embedding is 0; it must be at least 1"),
    ],
)
def test_options_that_leave_nothing_to_contrast_are_refused(changes, words):
    data = PRESETS["tiny"].data
    with pytest.raises(ValueError, match=words):
        if "augment" in changes:
            data = replace(data, augment=replace(data.augment, enabled=False))
        data = replace(data, **changes.get("data", {}))
        config(data=data, contrast=ContrastConfig(**changes.get("contrast", {})))
