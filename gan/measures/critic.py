"""How well a fresh critic tells predicted maps from true maps of other patients: 0.5 is perfect.

The discriminator of a run says how the game stood; a critic that the generator never met says whether what
it makes looks real.

Source: Lopez-Paz and Oquab, "Revisiting Classifier Two-Sample Tests", ICLR 2017.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

FOLDS = 4
STEPS = 200
_BATCH = 16
"""Maps of either kind in a step."""
_RATE = 2e-3


def critic_accuracy(
    maps: Tensor, truths: Tensor, patients: Sequence[str], *, steps: int = STEPS, seed: int = 0
) -> float:
    """Balanced accuracy on held-out patients, the mean of a critic for each of `FOLDS` parts of the patients.

    A critic learns from the predictions of every other one of the remaining patients and the true maps of
    the rest, so that no map that it sees has a counterpart that only differs by being real.

    Args:
        maps: predictions `[N, 1, H, W]`.
        truths: the true maps, same shape.
        patients: of each pair.
        steps: of each critic's training.
        seed: of everything random.

    Raises:
        ValueError: fewer patients than parts.
    """
    names = sorted(set(patients))
    if len(names) < FOLDS:
        raise ValueError(f"{len(names)} patients whose change is known are too few; {FOLDS} are needed")
    generator = torch.Generator().manual_seed(seed)
    names = [names[place] for place in torch.randperm(len(names), generator=generator).tolist()]
    scale = truths.std().clamp(min=1e-6)
    maps, truths = maps / scale, truths / scale
    accuracies = []
    for fold in range(FOLDS):
        held_out = names[fold::FOLDS]
        rest = [name for name in names if name not in held_out]
        faked, real, tested = (_of(patients, chosen) for chosen in (rest[::2], rest[1::2], held_out))
        critic = _train(maps[faked], truths[real], steps, generator)
        accuracies.append(_balanced_accuracy(critic, maps[tested], truths[tested]))
    return sum(accuracies) / FOLDS


def _of(patients: Sequence[str], chosen: Sequence[str]) -> list[int]:
    """The places of the pairs of some patients."""
    return [place for place, name in enumerate(patients) if name in set(chosen)]


class _Critic(nn.Module):
    """Three convolutions, then the mean and the largest of each channel: `[B, 1, H, W] -> [B]`."""

    def __init__(self) -> None:
        super().__init__()
        widths = (1, 16, 32, 64)
        self.layers = nn.Sequential()
        for before, after in pairwise(widths):
            self.layers.extend([nn.Conv2d(before, after, 4, 2, 1), nn.GroupNorm(4, after), nn.LeakyReLU(0.2)])
        self.judgement = nn.Linear(2 * widths[-1], 1)

    def forward(self, maps: Tensor) -> Tensor:
        features = self.layers(maps)
        pooled = torch.cat([features.mean((-2, -1)), features.amax((-2, -1))], 1)
        logits: Tensor = self.judgement(pooled)[:, 0]
        return logits


def _train(fakes: Tensor, reals: Tensor, steps: int, generator: torch.Generator) -> nn.Module:
    """A critic that has seen as many fakes as reals, each of them flipped at random."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(torch.randint(2**31, (), generator=generator)))
        critic = _Critic().to(fakes.device)
    optimizer = torch.optim.Adam(critic.parameters(), lr=_RATE)
    answers = torch.tensor([0.0, 1.0], device=fakes.device).repeat_interleave(_BATCH)
    for _ in range(steps):
        batch = torch.cat([_draw(kind, generator) for kind in (fakes, reals)])
        optimizer.zero_grad()
        binary_cross_entropy_with_logits(critic(batch), answers).backward()
        optimizer.step()
    return critic.eval()


def _draw(maps: Tensor, generator: torch.Generator) -> Tensor:
    chosen = maps[torch.randint(len(maps), (_BATCH,), generator=generator).to(maps.device)]
    for axis in (-2, -1):
        flipped = torch.rand(_BATCH, 1, 1, 1, generator=generator).to(maps.device) < 0.5
        chosen = torch.where(flipped, chosen.flip(axis), chosen)
    return chosen


@torch.no_grad()
def _balanced_accuracy(critic: nn.Module, fakes: Tensor, reals: Tensor) -> float:
    """Mean of the shares of fakes and of reals that are told for what they are."""
    logits = [torch.cat([critic(part) for part in kind.split(_BATCH)]) for kind in (fakes, reals)]
    return float(((logits[0] < 0).float().mean() + (logits[1] >= 0).float().mean()) / 2)
