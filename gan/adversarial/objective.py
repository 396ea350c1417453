"""The objective of both networks: raw terms by name, and their weights.

The adversarial term, which needs the discriminator, is added by `gan.adversarial.step`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from data import PairBatch
from data.base.errors import UserError, first_line
from gan.adversarial.options import AdversarialConfig
from gan.run.plugins import import_object, parse_weighted
from losses import ADVERSARIAL, PIXEL_LOSSES, AdversarialLoss, PerceptualLoss, PixelLoss, VGGFeatures
from networks import perceptual_features

Encoder = Any
PairTerm = Callable[[PairBatch, Tensor], Tensor]
Penalty = Callable[[nn.Module, PairBatch, Tensor], Tensor]


@dataclass(frozen=True)
class Objective:
    """The losses of both networks: raw terms by name, and the one table of their weights."""

    pair_terms: Mapping[str, PairTerm]
    """Terms of the generator's loss that need (batch, prediction) alone; only those with a weight above 0."""
    adversarial: AdversarialLoss
    weights: Mapping[str, float]
    penalties: Mapping[str, Penalty] = field(default_factory=dict)
    """Further terms of the discriminator's loss, of (discriminator, batch, detached fake)."""
    modules: nn.ModuleDict = field(default_factory=nn.ModuleDict)
    """Losses of the user's own that hold weights or buffers, by name: trained with the generator, saved with
    the run."""

    def total(self, terms: Mapping[str, Tensor]) -> Tensor:
        """Weighted sum of raw terms; the only place where weights are applied."""
        return torch.stack([self.weights[name] * term for name, term in terms.items()]).sum()


def perceptual_term(config: AdversarialConfig, encoder: Encoder, device: torch.device) -> PairTerm:
    """Distance in frozen features: of this run's pretrained encoder, or of VGG.

    Raises:
        UserError: there is no pretrained encoder, or VGG's weights cannot be read.
    """
    signed = config.data.change == "signed"
    if config.loss.perceptual == "encoder":
        if encoder is None:
            raise UserError(
                "--pretrained none leaves the perceptual term without features: add --weights.perceptual 0, "
                "or --loss.perceptual vgg16 --loss.perceptual-weights FILE"
            )
        loss = PerceptualLoss(perceptual_features(encoder), signed=signed)
    else:
        weights = config.loss.perceptual_weights
        assert weights is not None  # LossConfig refuses VGG without weights
        try:
            loss = PerceptualLoss(VGGFeatures(config.loss.perceptual, weights), signed=signed)
        except ValueError as error:
            raise UserError(f"--loss.perceptual-weights: {error}") from error
    loss = loss.to(device)
    return lambda batch, prediction: loss(prediction, _target(batch))


def pixel_term(loss: PixelLoss) -> PairTerm:
    """A pixel-wise distance to the target, over the pixels that count."""

    def term(batch: PairBatch, prediction: Tensor) -> Tensor:
        value = loss(prediction, _target(batch), batch.valid)
        return value if batch.emphasis is None else batch.emphasis * value

    return term


EXTRA = "extra/"
"""Before the names of the user's own terms, which the log's own names thus never meet."""


def build_objective(config: AdversarialConfig, encoder: Encoder, device: torch.device) -> Objective:
    """The terms that have a weight above 0, and the weights.

    Raises:
        UserError: a term cannot be built, two have one name, or nothing is left to train on.
    """
    weights = dict(vars(config.weights))
    terms = {name: pixel_term(of(config.loss)) for name, of in PIXEL_LOSSES.items() if weights[name] > 0}
    if weights["perceptual"] > 0:
        terms["perceptual"] = perceptual_term(config, encoder, device)
    modules = nn.ModuleDict()
    for spec in config.extra_loss:
        name, target, weight = parse_weighted(spec, "--extra-loss")
        name = f"{EXTRA}{name}"
        if name in weights:
            raise UserError(f"--extra-loss {spec}: two functions are called the same; give one another name")
        weights[name] = weight
        if weight > 0:
            loss = _extra_loss(import_object(target, "--extra-loss"), spec)
            if isinstance(loss, nn.Module):
                loss = loss.to(device)
                if loss.state_dict():
                    modules[name] = loss
            terms[name] = _extra_term(loss, spec)
    if not any(weights.values()):
        raise UserError(
            "every weight of the generator's loss is 0; set one of --weights.l1, .perceptual, .adversarial"
        )
    if not terms and config.adversarial_start > 0:
        raise UserError(
            f"--adversarial-start {config.adversarial_start} leaves the first epochs without any term; "
            "start at 0, or set --weights.l1 or --weights.perceptual"
        )
    used = {name: weight for name, weight in weights.items() if weight > 0}
    return Objective(
        pair_terms=terms,
        adversarial=ADVERSARIAL[config.loss.adversarial],
        weights=used,
        modules=modules,
    )


def _extra_loss(function: object, spec: str) -> Callable[[Tensor, Tensor], object]:
    """A user's `(prediction, target) -> scalar`; a class is built without arguments first."""
    try:
        loss = function() if isinstance(function, type) else function
    except Exception as error:  # whatever the user's class raises
        raise UserError(
            f"--extra-loss {spec} cannot be built without arguments ({first_line(error)})"
        ) from error
    if not callable(loss):
        raise UserError(f"--extra-loss {spec}: it is not a function of (prediction, target)")
    return loss


def _extra_term(loss: Callable[[Tensor, Tensor], object], spec: str) -> PairTerm:
    def term(batch: PairBatch, prediction: Tensor) -> Tensor:
        value = loss(prediction.float(), _target(batch))
        if not isinstance(value, Tensor) or value.ndim != 0:
            raise UserError(f"--extra-loss {spec} returned {type(value).__name__}, not a scalar tensor")
        return value.float()

    return term


def _target(batch: PairBatch) -> Tensor:
    assert batch.target is not None  # data.open_pairs refuses training data without targets
    return batch.target
