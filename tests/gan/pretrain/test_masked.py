"""A step is judged by which parameters moved."""

import torch
from accelerate import Accelerator
from torch import nn

from data import ImageBatch
from gan.pretrain.masked import masked_step
from gan.run.learner import Learner
from gan.run.options import OptimConfig


class Reconstruction(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(1, 1, 3, padding=1)

    def forward(self, image, mask):
        return self.layer(torch.where(mask, 0.5, image))


def test_pretraining_learns_from_hidden_pixels_only():
    accelerator = Accelerator(cpu=True)
    model = Reconstruction()
    model, optimizer = accelerator.prepare(model, torch.optim.SGD(model.parameters(), lr=0.1))
    learner = Learner(accelerator, model, optimizer, OptimConfig(clip_norm=0))
    image = torch.rand(2, 1, 8, 8)
    mask = torch.zeros_like(image, dtype=torch.bool)
    mask[..., 2:4] = True
    expected = (model(image, mask) - image).abs()[mask].mean().detach()
    before = [parameter.detach().clone() for parameter in model.parameters()]
    terms = masked_step(learner, [ImageBatch(id=["a", "b"], image=image)], lambda _: mask)
    torch.testing.assert_close(terms["masked_l1"], expected)
    assert not any(map(torch.equal, before, model.parameters()))
