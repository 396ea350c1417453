"""How the game between generator and discriminator stands: whose turn it is, and what to say of it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from gan.adversarial.options import AdversarialConfig

RIGHT_REAL, RIGHT_FAKE = "right_real", "right_fake"
AREA, AREA_TARGET = "area", "area_target"
NORM_ADVERSARIAL, NORM_OTHERS = "norm_adversarial", "norm_others"
_AVERAGED = (RIGHT_REAL, RIGHT_FAKE, AREA, AREA_TARGET, NORM_ADVERSARIAL, NORM_OTHERS)
_DECAY = 0.9
_ENOUGH = 5
"""Observations before a running average decides anything."""
_PATIENCE = 5
"""Looks in a row at which something must be wrong to be said."""

BLIND, WON = 0.55, 0.95
"""Balanced accuracy over patches below which the discriminator is blind, and above which it has won."""
EMPTY = 0.2
"""Share of the targets' changed area below which maps are empty; above its inverse they are full."""
VANISHED = 1e-3
"""Share of the gradient below which the adversarial term moves nothing."""


@dataclass(frozen=True)
class Turn:
    """What happens in one step; the default is that of two networks that play in full."""

    plays: bool = True
    """The discriminator judges real and fake."""
    learns: bool = True
    """It also learns from that."""
    volume: float = 1.0
    """How much of the adversarial term the generator hears, from 0 (nothing) to 1."""
    penalises: bool = True
    """The discriminator's penalties are computed."""
    looks: bool = False
    """The gradient at the generator's last layer is taken apart."""
    key: str = ""
    """What random changes to what the discriminator sees follow from, besides the pair."""


REST = Turn(plays=False, learns=False, volume=0.0)
"""The generator's turn alone."""


def turn_of(config: AdversarialConfig, step: int, *, per_epoch: int, paused: bool) -> Turn:
    """Whose turn it is in optimiser step `step` (from 0).

    Args:
        config: the options.
        step: the step.
        per_epoch: optimiser steps in an epoch.
        paused: whether the discriminator has to wait.
    """
    game, looks = config.game, (step + 1) % config.game.look_every == 0
    since = step - config.adversarial_start * per_epoch
    if config.weights.adversarial == 0 or since < 0:
        return Turn(plays=False, learns=False, volume=0.0, looks=looks)
    heard = since - game.warmup_steps + 1
    return Turn(
        learns=not paused,
        volume=min(1.0, max(0, heard) / (game.ramp_steps + 1)),
        penalises=since % config.loss.penalty_every == 0,
        looks=looks,
        key=f"{config.seed}/{step}",
    )


class Averages(nn.Module):
    """Running averages of what the game shows, on the device; saved and resumed with the run.

    Those of the first observations are not drawn towards 0 (Kingma and Ba, ICLR 2015, section 3).
    """

    sums: Tensor
    seen: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("sums", torch.zeros(len(_AVERAGED)))
        self.register_buffer("seen", torch.zeros(len(_AVERAGED)))
        self.paused = False
        """Whether the discriminator has to wait; on the host, as what follows."""
        self.held: dict[str, int] = {}
        """Looks in a row at which each problem was there."""

    def get_extra_state(self) -> dict[str, Any]:
        """What is kept on the host."""
        return {"paused": self.paused, "held": self.held}

    def set_extra_state(self, state: Mapping[str, Any]) -> None:
        """Continue from `get_extra_state()`."""
        self.paused, self.held = state["paused"], dict(state["held"])

    @torch.no_grad()
    def add(self, values: Mapping[str, Tensor]) -> None:
        """Take in those numbers of one step that are averaged; what is not finite is passed over."""
        for number, name in enumerate(_AVERAGED):
            if name in values:
                value = values[name].to(self.sums)
                kept = value.isfinite()
                moved = torch.lerp(value, self.sums[number], _DECAY)
                self.sums[number] = torch.where(kept, moved, self.sums[number])
                self.seen[number] += kept

    def mean(self, name: str) -> Tensor:
        """The running average of a number; NaN before it was seen."""
        number = _AVERAGED.index(name)
        return self.sums[number] / (1 - _DECAY ** self.seen[number])

    def enough(self, name: str) -> Tensor:
        """Whether a number was seen so often that its average may decide something."""
        return self.seen[_AVERAGED.index(name)] >= _ENOUGH

    def weight(self, share: float, largest: float) -> Tensor:
        """Weight at which the adversarial term has this share of the gradient at the generator's last layer.

        0 until there are averages: never from a single batch.

        Source: Esser et al., "Taming Transformers for High-Resolution Image Synthesis", 2021, eq. 7, with the
        norm of all other terms together in place of the reconstruction's alone.
        """
        others, adversarial = self.mean(NORM_OTHERS), self.mean(NORM_ADVERSARIAL)
        weight = (share / (1 - share) * others / (adversarial + 1e-6)).clamp(max=largest)
        return torch.where(self.enough(NORM_ADVERSARIAL), weight, 0.0)


@dataclass(frozen=True)
class Standing:
    """How the game stands by the running averages, on the host; None for what is not known yet."""

    accuracy: float | None
    """Balanced accuracy of the discriminator over patches."""
    area: float | None
    """Share of the predicted maps' area above the threshold of change."""
    area_target: float | None
    """The same of the true maps."""
    share: float | None
    """The adversarial term's share of the gradient at the generator's last layer."""

    @classmethod
    def of(cls, averages: Averages, share: Tensor | None) -> "Standing":
        """By the averages, where they are of enough steps; the only place where they leave the device."""
        values = torch.stack([averages.mean(name) for name in _AVERAGED]).tolist()
        enough = (averages.seen >= _ENOUGH).tolist()
        known = {name: value for name, value, seen in zip(_AVERAGED, values, enough, strict=True) if seen}
        real, fake = known.get(RIGHT_REAL), known.get(RIGHT_FAKE)
        return cls(
            accuracy=None if real is None or fake is None else (real + fake) / 2,
            area=known.get(AREA),
            area_target=known.get(AREA_TARGET),
            share=None if share is None else share.item(),
        )


def look(averages: Averages, standing: Standing, config: AdversarialConfig, *, heard: bool) -> list[str]:
    """Decide whether the discriminator has to wait, and say what has been wrong for some looks, once.

    Of the discriminator nothing is said until it is `heard` in full: it learns alone, and may well win.
    """
    averages.paused = standing.accuracy is not None and standing.accuracy > config.game.pause_above
    found = {name: text for name, text in problems(standing, config) if heard or name == "collapsed"}
    averages.held = {name: averages.held.get(name, 0) + 1 for name in found}
    return [sentence for name, sentence in found.items() if averages.held[name] == _PATIENCE]


def problems(standing: Standing, config: AdversarialConfig) -> Iterator[tuple[str, str]]:
    """What is wrong with a game, by name, each with one sentence that says what to change."""
    accuracy, area, area_target = standing.accuracy, standing.area, standing.area_target
    rate = f"--optim.lr-discriminator (now {config.optim.lr_discriminator:g})"
    if accuracy is not None and accuracy < BLIND:
        remedies = [f"change {rate}"]
        remedies += [] if config.disc.standardise else ["add --disc.standardise"]
        remedies += ["try --disc.no-spectral-norm"] if config.disc.spectral_norm else []
        remedies += ["lower --loss.r1 and --loss.r2"] if config.loss.r1 or config.loss.r2 else []
        right = f"it gets {accuracy:.0%} of patches right, guessing 50%"
        yield "blind", f"the discriminator is blind: {right}; {', or '.join(remedies)}"
    if accuracy is not None and accuracy > WON:
        remedies = [f"lower {rate}", "add --game.pause-above 0.85", "add --game.augment translation cutout"]
        right = f"it gets {accuracy:.0%} of patches right"
        yield "won", f"the discriminator has won: {right}; {', or '.join(remedies)}"
    if area is not None and area_target and not EMPTY < area / area_target < 1 / EMPTY:
        side = "empty" if area < area_target else "full"
        changed = f"{area:.1%} of their area is changed, {area_target:.1%} of the targets'"
        remedy = f"raise --weights.l1 (now {config.weights.l1:g})"
        yield "collapsed", f"the maps have collapsed, they are {side}: {changed}; {remedy}"
    if standing.share is not None and standing.share < VANISHED:
        remedies = [f"raise --weights.adversarial (now {config.weights.adversarial:g})"]
        remedies += ["add --game.gradient-share 0.2"] if not config.game.gradient_share else []
        left = f"{standing.share:.2%} of the generator's at its last layer"
        yield "vanished", f"the adversarial gradient has vanished: {left}; {', or '.join(remedies)}"
