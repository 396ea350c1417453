"""Options of `gan.adversarial`."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from data.base.checks import at_least, below
from data.config import AugmentConfig, DataConfig
from gan.run.options import Preset, Schedule, StageConfig
from losses.config import LossConfig, LossWeights
from networks.config import PRESETS as NETWORKS
from networks.config import DiscriminatorConfig


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

    def __post_init__(self) -> None:
        at_least(self, 0, *(f"optim.{name}" for name in vars(self) if name != "schedule"))
        below(self, 1, "optim.beta1_generator", "optim.beta1_discriminator")


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
    ramp_epochs=8,
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
        epochs=20,
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
