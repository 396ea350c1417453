"""Options of `gan.pretrain`."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from data.base.checks import at_least, inside, require
from data.config import DataConfig
from gan.run.options import Preset, Schedule, StageConfig
from networks.config import PRESETS as NETWORKS


@dataclass(kw_only=True)
class MaskConfig:
    """Random patch masking. Source: SimMIM (Xie et al., CVPR 2022), section 3.2."""

    patch_size: int = 8
    """Side of one masked patch, in pixels."""
    ratio: float = 0.6
    """Share of the patches that is hidden."""

    def __post_init__(self) -> None:
        at_least(self, 1, "patch_size")
        inside(self, 0, 1, "ratio")


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
        at_least(self, 0, "optim.lr", "optim.weight_decay", "optim.warmup_steps", "optim.clip_norm")


@dataclass(kw_only=True)
class PretrainConfig(StageConfig):
    """Masked reconstruction of radiographs: trains the encoder that `gan.adversarial` starts from."""

    mask: MaskConfig = field(default_factory=MaskConfig)
    optim: PretrainOptimConfig = field(default_factory=PretrainOptimConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        size = self.data.image_size
        rule = f"be smaller than data.image_size, {size}, so that something stays visible"
        require(self.mask.patch_size < size, "mask.patch_size", self.mask.patch_size, rule)


PRESETS: Mapping[Preset, PretrainConfig] = {
    "tiny": PretrainConfig(
        preset="tiny",
        network=NETWORKS["tiny"],
        epochs=5,
        data=DataConfig(image_size=64, batch_size=16),
    ),
    "small": PretrainConfig(
        preset="small",
        network=NETWORKS["small"],
        epochs=100,
        mask=MaskConfig(patch_size=16),
        data=DataConfig(image_size=256, batch_size=32, workers=4),
        optim=PretrainOptimConfig(lr=5e-4, warmup_steps=500),
    ),
    "base": PretrainConfig(
        preset="base",
        network=NETWORKS["base"],
        epochs=100,
        mask=MaskConfig(patch_size=32),
        data=DataConfig(image_size=512, batch_size=8, workers=8),
        gradient_accumulation=4,
        optim=PretrainOptimConfig(lr=2e-4, warmup_steps=1000),
    ),
}
