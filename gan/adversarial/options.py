"""Options of `gan.adversarial`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from data.base.checks import at_least, below, between
from data.config import AugmentConfig, DataConfig
from gan.run.options import Preset, Schedule, StageConfig
from losses.config import LossConfig, LossWeights
from networks.config import PRESETS as NETWORKS
from networks.config import DiscriminatorConfig

Augmentation = Literal["translation", "cutout", "colour"]


@dataclass(kw_only=True)
class AdversarialOptimConfig:
    """Two optimisers, one learning rate each."""

    lr_generator: float = 4e-3
    """Peak learning rate of the generator (AdamW)."""
    lr_discriminator: float = 2e-4
    """Peak learning rate of the discriminator (Adam)."""
    beta1_generator: float = 0.9
    """First-moment decay of the generator, which mostly follows the L1 term."""
    beta1_discriminator: float = 0.5
    """First-moment decay of the discriminator; less than 0.9 keeps the game stable (Radford et al.,
    ICLR 2016, section 3)."""
    weight_decay: float = 0.01
    """Decoupled weight decay of the generator."""
    schedule: Schedule = "cosine"
    """Course of both learning rates after the warm-up."""
    warmup_steps: int = 50
    """Optimiser steps over which both learning rates rise linearly from zero."""
    clip_norm: float = 1.0
    """Largest norm of the generator's gradient; 0 leaves it as it is."""
    disc_steps: int = 1
    """Steps of the discriminator for each of the generator's, all on the same pairs."""

    def __post_init__(self) -> None:
        at_least(self, 0, *(f"optim.{name}" for name in vars(self) if name != "schedule"))
        at_least(self, 1, "optim.disc_steps")
        below(self, 1, "optim.beta1_generator", "optim.beta1_discriminator")


@dataclass(kw_only=True)
class GameConfig:
    """How generator and discriminator play against each other, once they do (`--adversarial-start`)."""

    warmup_steps: int = 0
    """Steps in which the discriminator learns and the generator does not hear of it yet (Esser et al., CVPR
    2021, start theirs late, too)."""
    ramp_steps: int = 0
    """Steps after those over which the adversarial term rises linearly to its full weight."""
    gradient_share: float = 0.0
    """Share of the gradient at the generator's last layer that the adversarial term is weighted to have, by
    running averages, after Esser et al., CVPR 2021, equation 7; 0 keeps --weights.adversarial."""
    largest_weight: float = 1e4
    """Bound of the weight that follows from --game.gradient-share."""
    augment: tuple[Augmentation, ...] = ()
    """Differentiable augmentations of all that the discriminator sees, real and fake alike (Zhao et al.,
    NeurIPS 2020): translation and cutout of both images and the map together, colour of both images."""
    pause_above: float = 1.0
    """Balanced accuracy over patches above which the discriminator rests until it has fallen below; 1 is
    never."""
    look_every: int = 20
    """Steps between two looks at the game: at the shares of the gradient at the generator's last layer, and
    at what there is to say of it in the log."""

    def __post_init__(self) -> None:
        at_least(self, 0, *(f"game.{name}" for name in ("warmup_steps", "ramp_steps", "largest_weight")))
        at_least(self, 1, "game.look_every")
        at_least(self, 0, "game.gradient_share")
        below(self, 1, "game.gradient_share")
        between(self, 0.5, 1, "game.pause_above")


@dataclass(kw_only=True)
class AdversarialConfig(StageConfig):
    """Adversarial training of a change model: L1, perceptual and adversarial terms."""

    pretrained: str = "auto"
    """The pretraining run whose encoder the generator starts from: a run directory, auto (the newest
    runs/pretrain*), or none (a fresh encoder)."""
    weights: LossWeights = field(default_factory=LossWeights)
    loss: LossConfig = field(default_factory=LossConfig)
    extra_loss: tuple[str, ...] = ()
    """Further terms of the generator's loss, each pkg.mod:function=WEIGHT; the function takes
    (prediction, target) and returns a scalar."""
    generator: str = "networks:LongitudinalMIMModelBig"
    """The generator's class, pkg.mod:Class. A class of your own is built with no arguments and takes
    (baseline, followup)."""
    discriminator: str = "networks:Discriminator"
    """The discriminator's class, pkg.mod:Class. A class of your own is built with no arguments and takes
    (baseline, followup, change map)."""
    disc: DiscriminatorConfig = field(default_factory=DiscriminatorConfig)
    optim: AdversarialOptimConfig = field(default_factory=AdversarialOptimConfig)
    game: GameConfig = field(default_factory=GameConfig)
    adversarial_start: int = 0
    """First epoch (counted from 0) with the adversarial term; until then the discriminator rests."""
    freeze_encoder_epochs: int = 0
    """Epochs at the start in which the encoder is not trained."""
    ema_decay: float = 0.999
    """Decay of the moving average of the generator that is evaluated and saved; 0 follows the
    generator itself."""

    def __post_init__(self) -> None:
        super().__post_init__()
        below(self, 1, "ema_decay")
        at_least(self, 0, "ema_decay", "adversarial_start", "freeze_encoder_epochs")
        if self.loss.adversarial == "wasserstein" and not (
            self.loss.gradient_penalty or self.disc.spectral_norm
        ):
            raise ValueError(
                "loss.adversarial is 'wasserstein' without a bound on the discriminator's slope; "
                "set loss.gradient_penalty to 10, or leave disc.spectral_norm on"
            )
        weights = self.weights
        if weights.sign > 0 and self.data.change != "signed":
            raise ValueError("weights.sign is for signed maps; set it to 0, or add --data.change signed")
        if weights.feature_matching > 0 and weights.adversarial == 0:
            raise ValueError(
                "weights.feature-matching needs a discriminator that learns; give weights.adversarial a value"
            )
        if (weights.lpips > 0 or weights.dists > 0) and self.loss.vgg16_weights is None:
            raise ValueError(
                "weights.lpips and weights.dists need loss.vgg16-weights; "
                "give a file with the state dict of torchvision's vgg16, or the word torchvision"
            )


_OTHER_FILMS = AugmentConfig(
    ramp_epochs=3,
    rotation=5.0,
    translation=0.04,
    scale=0.08,
    mirror=0.5,
    misalignment_rotation=0.6,
    misalignment_translation=0.006,
    misalignment_scale=0.008,
    misalignment_elastic=0.002,
    exposure=0.5,
    contrast=0.35,
    gamma=0.2,
    shading=0.12,
    detail=0.6,
    equalise=0.3,
    window=0.05,
    noise=0.008,
    objects=0.05,
    structure=0.7,
    silent=0.06,
)
"""For radiographs unlike the training's, at the cost of numbers on its own kind; see docs/numbers.md."""

PRESETS: Mapping[Preset, AdversarialConfig] = {
    "tiny": AdversarialConfig(
        preset="tiny",
        network=NETWORKS["tiny"],
        epochs=8,
        disc=DiscriminatorConfig(base_channels=16, num_layers=2),
        data=DataConfig(image_size=64, batch_size=8, augment=_OTHER_FILMS),
        optim=AdversarialOptimConfig(lr_discriminator=5e-4),
    ),
    "small": AdversarialConfig(
        preset="small",
        network=NETWORKS["small"],
        epochs=100,
        disc=DiscriminatorConfig(base_channels=32),
        data=DataConfig(image_size=256, batch_size=16, workers=4),
        optim=AdversarialOptimConfig(lr_generator=3e-4, warmup_steps=500),
    ),
    "base": AdversarialConfig(
        preset="base",
        network=NETWORKS["base"],
        epochs=100,
        data=DataConfig(image_size=512, batch_size=4, workers=8),
        gradient_accumulation=4,
        optim=AdversarialOptimConfig(lr_generator=1e-4, lr_discriminator=1e-4, warmup_steps=1000),
    ),
}
