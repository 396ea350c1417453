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


class Small(nn.Module):
    """Half the size."""

    def forward(self, baseline, followup):
        """A map that is too small."""
        return nn.functional.avg_pool2d(baseline + followup, 2)


class Faulty(nn.Module):
    """Fails whatever it sees."""

    def forward(self, *images):
        """Nothing."""
        del images
        raise RuntimeError("no luck")


class TwoChannels(nn.Module):
    """No logit map."""

    def forward(self, *images):
        """Two channels."""
        return torch.cat(images[1:], dim=1)


class Nested(nn.Module):
    """Features of every scale, as some discriminators return them."""

    def forward(self, *images):
        """A list of lists."""
        return [[images[-1]]]


class Norm(nn.Module):
    """A generator or a discriminator with batch norm on a single pixel and dropout."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(1, 4, 1)
        self.norm = nn.BatchNorm2d(4)
        self.drop = nn.Dropout(0.5)

    def forward(self, *images):
        """A map of one value an image."""
        pooled = images[-1].mean(dim=(-2, -1), keepdim=True)
        return torch.sigmoid(self.drop(self.norm(self.layer(pooled))).mean(1, keepdim=True)) + 0 * images[-1]


class Learned(nn.Module):
    """A loss with a weight that is learned and a statistic that runs."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.zeros(()))
        self.register_buffer("mean", torch.ones(()))

    def forward(self, prediction, target):
        """Error in units of its running mean, times a learned scale that costs."""
        error = (prediction - target).abs().mean()
        self.mean.mul_(0.5).add_(0.5 * error.detach())
        return error / self.mean.clone() * torch.exp(-self.scale) + self.scale


class NeedsArguments(nn.Module):
    """Cannot be built by name."""

    def __init__(self, width):
        super().__init__()
        self.width = width


def total_variation(prediction, target):
    """Mean absolute difference of neighbours."""
    del target
    return prediction.diff(dim=-1).abs().mean() + prediction.diff(dim=-2).abs().mean()


def step(prediction, target):
    """A loss whose name the log has, too."""
    return (prediction - target).square().mean()


split = weights = l1 = generator = step


def unreduced(prediction, target):
    """Not a scalar."""
    return (prediction - target).abs()


NOT_A_CLASS = 3
