"""Options of the two stages, composed from the options of the packages.

Everything here is free of torch, so that `--help` answers at once.
"""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from data.config import AugmentConfig, DataConfig
from losses.config import LossConfig, LossWeights
from networks.config import PRESETS, NetworkConfig

Preset = Literal["tiny", "small", "base"]
Schedule = Literal["constant", "linear", "cosine"]


def _require(condition: bool, name: str, value: object, rule: str) -> None:
    if not condition:
        raise ValueError(f"{name} is {value}; it must be {rule}")


@dataclass(kw_only=True)
class StageConfig:
    """What both stages share: where the run lives, how long it lasts, on what it runs."""

    preset: Preset = "tiny"
    """Size of networks, images and batches: tiny (CPU, minutes), small (one consumer GPU), base (the
    reference model at 512 px). With none named, the hardware picks and the log says which."""
    config: Path | None = None
    """A config.yaml of an earlier run, laid over the preset; options on the command line win."""
    run_dir: Path | None = None
    """Where the run is written; runs/STAGE by default. A directory that is taken is never touched: the
    next free number is appended."""
    overwrite: bool = False
    """Delete an earlier run at --run-dir first."""
    resume: Path | None = None
    """A run directory to continue from its newest checkpoint."""
    seed: int = 0
    """Seed of initialisation, order, augmentation and masks."""
    epochs: int = 1
    """Passes over the training data."""
    max_steps: int | None = None
    """Stop after so many optimiser steps, whatever the epochs say."""
    gradient_accumulation: int = 1
    """Batches whose gradients are averaged for one optimiser step."""
    mixed_precision: Literal["no", "bf16", "fp16"] = "no"
    """Precision of the networks' arithmetic; losses are always computed in float32."""
    cpu: bool = False
    """Stay on the CPU even where there is a GPU."""
    log_every: int = 20
    """Optimiser steps between two lines of metrics.jsonl; each holds means since the line before."""
    checkpoint_every: int = 200
    """Optimiser steps between two checkpoints; the end of an epoch always makes one."""
    keep_checkpoints: int = 2
    """Newest checkpoints to keep, besides the best one."""
    grid_cases: int = 8
    """Held-out cases in the sample grid of every epoch."""
    network: NetworkConfig = field(default_factory=NetworkConfig)
    data: DataConfig = field(default_factory=DataConfig)

    def __post_init__(self) -> None:
        for name in (
            "epochs",
            "gradient_accumulation",
            "log_every",
            "checkpoint_every",
            "keep_checkpoints",
            "grid_cases",
        ):
            _require(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
        _require(self.seed >= 0, "seed", self.seed, "0 or more")
        if self.max_steps is not None:
            _require(self.max_steps >= 1, "max_steps", self.max_steps, "at least 1")
        # One scaler serves both optimisers, and either may change its scale between accumulated batches.
        together = self.mixed_precision == "fp16" and self.gradient_accumulation > 1
        rule = "1 with mixed_precision fp16; use bf16, or a larger data.batch_size"
        _require(not together, "gradient_accumulation", self.gradient_accumulation, rule)


@dataclass(kw_only=True)
class MaskConfig:
    """Random patch masking. Source: SimMIM (Xie et al., CVPR 2022), section 3.2."""

    patch_size: int = 8
    """Side of one masked patch, in pixels."""
    ratio: float = 0.6
    """Share of the patches that is hidden."""

    def __post_init__(self) -> None:
        _require(self.patch_size >= 1, "patch_size", self.patch_size, "at least 1")
        _require(0 < self.ratio < 1, "ratio", self.ratio, "between 0 and 1")


@dataclass(kw_only=True)
class PretrainOptimConfig:
    """AdamW and its learning rate."""

    lr: float = 1e-3
    """Peak learning rate."""
    weight_decay: float = 0.05
    """Decoupled weight decay."""
    schedule: Schedule = "cosine"
    """Course of the learning rate after the warm-up."""
    warmup_steps: int = 50
    """Optimiser steps over which the learning rate rises linearly from zero."""
    clip_norm: float = 1.0
    """Largest norm of the gradient; 0 leaves it as it is."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if name != "schedule":
                _require(0 <= value < math.inf, f"optim.{name}", value, "0 or more, and finite")


@dataclass(kw_only=True)
class PretrainConfig(StageConfig):
    """Masked reconstruction of radiographs: trains the encoder that `gan.adversarial` starts from."""

    mask: MaskConfig = field(default_factory=MaskConfig)
    optim: PretrainOptimConfig = field(default_factory=PretrainOptimConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        size = self.data.image_size
        rule = f"smaller than data.image_size, {size}, so that something stays visible"
        _require(self.mask.patch_size < size, "mask.patch_size", self.mask.patch_size, rule)


@dataclass(kw_only=True)
class DiscriminatorConfig:
    """The conditional PatchGAN. Source: Isola et al., CVPR 2017, section 3.2."""

    base_channels: int = 64
    """Channels of the first layer; they double layer by layer, up to eight times."""
    num_layers: int = 3
    """Layers of stride two: 3 gives the 70x70 PatchGAN, 2 gives 34x34, 1 gives 16x16."""
    num_scales: int = 1
    """Discriminators on ever coarser images (Wang et al., CVPR 2018, section 3.2)."""
    spectral_norm: bool = True
    """Bound each layer's Lipschitz constant (Miyato et al., ICLR 2018)."""

    def __post_init__(self) -> None:
        for name in ("base_channels", "num_layers", "num_scales"):
            _require(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")


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
        for name, value in vars(self).items():
            if name != "schedule":
                _require(0 <= value < math.inf, f"optim.{name}", value, "0 or more, and finite")
        for name in ("beta1_generator", "beta1_discriminator"):
            _require(getattr(self, name) < 1, name, getattr(self, name), "below 1")


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
        _require(0 <= self.ema_decay < 1, "ema_decay", self.ema_decay, "in [0, 1)")
        for name in ("adversarial_start", "freeze_encoder_epochs"):
            _require(getattr(self, name) >= 0, name, getattr(self, name), "0 or more")


def _gentle_augmentation() -> AugmentConfig:
    """For runs of minutes, which are over before they could learn their training data by heart."""
    return AugmentConfig(
        rotation=1.0,
        translation=0.01,
        scale=0.01,
        misalignment_rotation=0.2,
        misalignment_translation=0.002,
        brightness=0.01,
        contrast=0.03,
        gamma=0.03,
        noise=0.002,
    )


def pretrain_preset(preset: Preset) -> PretrainConfig:
    """The options of `gan.pretrain` that a preset stands for."""
    network = PRESETS[preset]
    match preset:
        case "tiny":
            return PretrainConfig(
                preset=preset, network=network, epochs=5, data=DataConfig(image_size=64, batch_size=16)
            )
        case "small":
            return PretrainConfig(
                preset=preset,
                network=network,
                epochs=100,
                mask=MaskConfig(patch_size=16),
                data=DataConfig(image_size=256, batch_size=32, workers=4),
                optim=PretrainOptimConfig(lr=5e-4, warmup_steps=500),
            )
        case "base":
            return PretrainConfig(
                preset=preset,
                network=network,
                epochs=100,
                mask=MaskConfig(patch_size=32),
                data=DataConfig(image_size=512, batch_size=8, workers=8),
                gradient_accumulation=4,
                optim=PretrainOptimConfig(lr=2e-4, warmup_steps=1000),
            )


def adversarial_preset(preset: Preset) -> AdversarialConfig:
    """The options of `gan.adversarial` that a preset stands for."""
    network = PRESETS[preset]
    match preset:
        case "tiny":
            return AdversarialConfig(
                preset=preset,
                network=network,
                epochs=20,
                disc=DiscriminatorConfig(base_channels=16, num_layers=2),
                data=DataConfig(image_size=64, batch_size=8, augment=_gentle_augmentation()),
                optim=AdversarialOptimConfig(lr_discriminator=5e-4),
            )
        case "small":
            return AdversarialConfig(
                preset=preset,
                network=network,
                epochs=100,
                disc=DiscriminatorConfig(base_channels=32),
                data=DataConfig(image_size=256, batch_size=16, workers=4),
                optim=AdversarialOptimConfig(lr_generator=3e-4, warmup_steps=500),
            )
        case "base":
            return AdversarialConfig(
                preset=preset,
                network=network,
                epochs=100,
                data=DataConfig(image_size=512, batch_size=4, workers=8),
                gradient_accumulation=4,
                optim=AdversarialOptimConfig(lr_generator=1e-4, lr_discriminator=1e-4, warmup_steps=1000),
            )
