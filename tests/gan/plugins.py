"""Classes and functions that the tests name on a command line."""

import torch
from torch import nn


class Generator(nn.Module):
    """The smallest change model: one convolution over both images."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(2, 1, 3, padding=1)

    def forward(self, baseline, followup):
        """Change map in [0, 1]."""
        return torch.sigmoid(self.layer(torch.cat([baseline, followup], dim=1)))


class Tied(Generator):
    """Two names for one layer."""

    def __init__(self):
        super().__init__()
        self.same = self.layer


class Discriminator(nn.Module):
    """The smallest discriminator: one convolution over the three images."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(3, 1, 4, stride=2)

    def forward(self, baseline, followup, change):
        """Logits."""
        return self.layer(torch.cat([baseline, followup, change], dim=1))


class NeedsArguments(nn.Module):
    """Cannot be built by name."""

    def __init__(self, width):
        super().__init__()
        self.width = width


def total_variation(prediction, target):
    """Mean absolute difference of neighbours."""
    del target
    return prediction.diff(dim=-1).abs().mean() + prediction.diff(dim=-2).abs().mean()


def unreduced(prediction, target):
    """Not a scalar."""
    return (prediction - target).abs()


NOT_A_CLASS = 3
