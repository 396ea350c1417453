"""The objective of both networks: raw terms by name, and their weights.

The adversarial term, which needs the discriminator, is added by `gan.adversarial.step`.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor, nn

from data import PairBatch
from data.base.errors import UserError, first_line
from gan.adversarial.options import AdversarialConfig
from gan.adversarial.penalties import Penalty, penalties_of
from gan.run.plugins import import_object, network_class, parse_weighted
from losses import (
    ADVERSARIAL,
    PIXEL_LOSSES,
    SIMILARITIES,
    AdversarialLoss,
    LossConfig,
    PerceptualLoss,
    PixelLoss,
    SimilarityLoss,
    VGGFeatures,
    feature_matching_loss,
)
from losses.perceptual import FeatureExtractor
from networks import ViTFeatures, perceptual_features

Encoder = Any
PairTerm = Callable[[PairBatch, Tensor], Tensor]
JudgedTerm = Callable[[nn.Module, PairBatch, Tensor], Tensor]


@dataclass(frozen=True)
class Objective:
    """The losses of both networks: raw terms by name, and the one table of their weights."""

    pair_terms: Mapping[str, PairTerm]
    """Terms of the generator's loss that need (batch, prediction) alone; only those with a weight above 0."""
    adversarial: AdversarialLoss
    weights: Mapping[str, float]
    judged_terms: Mapping[str, JudgedTerm] = field(default_factory=dict)
    """Further terms of the generator's loss, of (discriminator, batch, prediction); the discriminator's
    weights rest meanwhile."""
    penalties: Mapping[str, Penalty] = field(default_factory=dict)
    """Further terms of the discriminator's loss, of (discriminator, batch, detached fake)."""
    modules: nn.ModuleDict = field(default_factory=nn.ModuleDict)
    """Losses of the user's own that hold weights or buffers, by name: trained with the generator, saved with
    the run."""

    def total(
        self, terms: Mapping[str, Tensor], weights: Mapping[str, Tensor | float] | None = None
    ) -> Tensor:
        """Weighted sum of raw terms, by default with the constant weights; the only place where any apply."""
        weights = self.weights if weights is None else weights
        return torch.stack([weights[name] * term for name, term in terms.items()]).sum()


def perceptual_term(config: AdversarialConfig, encoder: Encoder, device: torch.device) -> PairTerm:
    """Distance in frozen features: of this run's pretrained encoder, of VGG, or of a vision transformer.

    Raises:
        UserError: there is no pretrained encoder, or the weights of another network cannot be read.
    """
    features: FeatureExtractor
    if config.loss.perceptual != "encoder":
        features = _foreign_features(config.loss)
    elif encoder is not None:
        features = perceptual_features(encoder)
    else:
        raise UserError(
            "--pretrained none leaves the perceptual term without features: add --weights.perceptual 0, "
            "or --loss.perceptual vgg16 --loss.perceptual-weights FILE"
        )
    return map_term(PerceptualLoss(features, signed=config.data.change == "signed").to(device))


def _foreign_features(options: LossConfig) -> nn.Module:
    weights = options.perceptual_weights
    assert weights is not None  # LossConfig refuses others than the encoder without weights
    try:
        if options.perceptual == "vit":
            return ViTFeatures(weights)
        return VGGFeatures(cast(Any, options.perceptual), weights)
    except ValueError as error:
        raise UserError(f"--loss.perceptual-weights: {error}") from error


def similarity_term(name: str, config: AdversarialConfig, device: torch.device) -> PairTerm:
    """LPIPS or DISTS.

    Raises:
        UserError: the weights under them cannot be read.
    """
    weights = config.loss.vgg16_weights
    assert weights is not None  # AdversarialConfig refuses the term without
    try:
        loss = SimilarityLoss(name, weights, signed=config.data.change == "signed")
    except ValueError as error:
        raise UserError(f"--loss.vgg16-weights: {error}") from error
    return map_term(loss.to(device))


def feature_matching_term(config: AdversarialConfig) -> JudgedTerm:
    """Distance between the features that the discriminator has of the target and of the prediction.

    Raises:
        UserError: it does not show its features.
    """
    kind = network_class(config.discriminator, "--discriminator")
    if "return_features" not in inspect.signature(kind.forward).parameters:
        raise UserError(
            f"--weights.feature-matching: --discriminator {config.discriminator} does not show its features "
            "(its forward takes no return_features=True); set the weight to 0, or name another one"
        )

    def term(discriminator: nn.Module, batch: PairBatch, prediction: Tensor) -> Tensor:
        with torch.no_grad():
            _, real = discriminator(batch.baseline, batch.followup, _target(batch), return_features=True)
        _, fake = discriminator(batch.baseline, batch.followup, prediction, return_features=True)
        return feature_matching_loss(real, fake)

    return term


def map_term(loss: Callable[[Tensor, Tensor], Tensor]) -> PairTerm:
    """A distance of the map as a whole to the target."""
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
    terms |= {name: similarity_term(name, config, device) for name in SIMILARITIES if weights[name] > 0}
    judged = {"feature_matching": feature_matching_term(config)} if weights["feature_matching"] > 0 else {}
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
    for option, steps in {
        "--adversarial-start": config.adversarial_start,
        "--game.warmup-steps": config.game.warmup_steps,
        "--game.gradient-share": config.game.gradient_share,
    }.items():
        if steps and not terms:
            raise UserError(
                f"{option} {steps} leaves the generator without any term to begin with; set it to 0, or set "
                "--weights.l1 or --weights.perceptual"
            )
    penalties, of_penalties = penalties_of(config.loss)
    used = {name: weight for name, weight in {**weights, **of_penalties}.items() if weight > 0}
    return Objective(
        pair_terms=terms,
        adversarial=ADVERSARIAL[config.loss.adversarial],
        weights=used,
        judged_terms=judged,
        penalties=penalties,
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
