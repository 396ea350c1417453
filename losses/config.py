"""Options of the objectives: which terms, and how much each weighs."""

from dataclasses import dataclass, fields
from math import isfinite
from pathlib import Path
from typing import Literal, get_args

Adversarial = Literal["hinge", "least_squares", "non_saturating", "relativistic", "wasserstein"]
PerceptualFeatures = Literal["encoder", "vgg16", "vgg19", "vit"]


def _require_non_negative(name: str, value: float) -> None:
    if not (isfinite(value) and value >= 0):
        raise ValueError(f"{name} is {value}; it must be a finite number that is not negative")


def _require_one_of(name: str, value: str, legal: tuple[str, ...]) -> None:
    if value not in legal:
        raise ValueError(f"{name} is {value!r}; it must be one of {', '.join(legal)}")


FOREGROUND_WEIGHT, FOREGROUND_THRESHOLD = 1.5, 0.05
"""Of pixel-wise distances, where nothing else is asked for; see `LossConfig`."""


@dataclass(kw_only=True)
class LossWeights:
    """What each term of the generator's objective is multiplied by; a term with weight 0 is not computed."""

    l1: float = 100.0
    """Weight of the foreground-weighted L1 distance to the target."""
    charbonnier: float = 0.0
    """Weight of the Charbonnier distance to the target, an L1 that is smooth where the error is small."""
    l2: float = 0.0
    """Weight of the foreground-weighted squared distance to the target."""
    shift_tolerant_l1: float = 0.0
    """Weight of the L1 distance to the target moved by up to --loss.shift-radius pixels, where that is
    smallest."""
    soft_dice: float = 0.0
    """Weight of one minus the soft Dice overlap with the target."""
    gradient_difference: float = 0.0
    """Weight of the distance between the steps from pixel to pixel of map and target."""
    ms_ssim: float = 0.0
    """Weight of one minus the structural similarity over several scales."""
    focal_frequency: float = 0.0
    """Weight of the distance of spectra in which frequencies that are far off weigh more."""
    sign: float = 0.0
    """Weight of how far changed pixels lie on the wrong side of 0, for signed maps only."""
    perceptual: float = 1.0
    """Weight of the distance to the target in the features of a frozen network."""
    lpips: float = 0.0
    """Weight of LPIPS, a perceptual distance whose weights were learned from people's judgement."""
    dists: float = 0.0
    """Weight of DISTS, a perceptual distance that looks for the same texture, not for the same pixels."""
    adversarial: float = 1.0
    """Weight of the generator's adversarial term."""
    feature_matching: float = 0.0
    """Weight of the distance between what the discriminator's layers make of map and target."""

    def __post_init__(self) -> None:
        for item in fields(self):
            _require_non_negative(f"weights.{item.name}", getattr(self, item.name))


@dataclass(kw_only=True)
class LossConfig:
    """What the terms of the objective are made of."""

    adversarial: Adversarial = "hinge"
    """Adversarial objective of generator and discriminator. relativistic (each fake against the real map of
    its pair) needs r1 and r2, wasserstein a bound on the discriminator's slope."""
    r1: float = 0.0
    """Gamma of the penalty on the discriminator's slope at true maps (Mescheder et al., ICML 2018)."""
    r2: float = 0.0
    """Gamma of the same at predicted maps."""
    gradient_penalty: float = 0.0
    """Weight of the penalty on slopes other than 1 between true and predicted maps (Gulrajani et al., NeurIPS
    2017); 10 is usual."""
    penalty_every: int = 1
    """Steps from one time that the penalties are computed to the next; they then weigh as many times as
    much."""
    foreground_weight: float = FOREGROUND_WEIGHT
    """Extra L1 weight of pixels where something changed; 0 is plain L1. Most pixels of a change map are
    empty, and without extra weight the empty map is a comfortable solution."""
    foreground_threshold: float = FOREGROUND_THRESHOLD
    """A pixel counts as changed where the magnitude of the target exceeds this."""
    shift_radius: int = 1
    """Pixels by which the target of the shift-tolerant L1 may be moved, along rows and along columns."""
    perceptual: PerceptualFeatures = "encoder"
    """Network whose features the perceptual term compares: the pretrained encoder of this run, which needs
    no download, VGG trained on ImageNet, or a vision transformer such as DINO or RAD-DINO."""
    perceptual_weights: Path | None = None
    """Weights of VGG: a file with the state dict of torchvision's model, or the word torchvision to
    download them. Weights of a vision transformer: its folder, as the hub has it."""
    vgg16_weights: Path | None = None
    """Weights of the network under LPIPS and DISTS: a file with the state dict of torchvision's vgg16, or the
    word torchvision to download them."""

    def __post_init__(self) -> None:
        _require_one_of("adversarial", self.adversarial, get_args(Adversarial))
        _require_one_of("perceptual", self.perceptual, get_args(PerceptualFeatures))
        for name in (
            "foreground_weight",
            "foreground_threshold",
            "shift_radius",
            "r1",
            "r2",
            "gradient_penalty",
        ):
            _require_non_negative(name, getattr(self, name))
        if self.penalty_every < 1:
            raise ValueError(f"penalty_every is {self.penalty_every}; it must be at least 1")
        if self.adversarial == "relativistic" and self.r1 > 0 and self.r2 == 0:
            raise ValueError(
                f"adversarial is 'relativistic' and r1 is {self.r1} without r2, which diverges; set both"
            )
        if self.perceptual != "encoder" and self.perceptual_weights is None:
            raise ValueError(
                f"perceptual is {self.perceptual!r} but perceptual_weights is not set; "
                "give a file with its weights or the word torchvision, of a vision transformer its folder"
            )
