"""Options of `gan.pretrain`."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from data.base.checks import at_least, inside, require
from data.config import DataConfig
from gan.run.options import OptimConfig, Preset, StageConfig
from networks.config import PRESETS as NETWORKS

EVALUATION = -1
"""The epoch of whatever is random in validation and test: it belongs to none, and is the same every time."""


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
class PretrainConfig(StageConfig):
    """Masked reconstruction of radiographs: trains the encoder that `gan.adversarial` starts from."""

    mask: MaskConfig = field(default_factory=MaskConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)

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
        optim=OptimConfig(lr=5e-4, warmup_steps=500),
    ),
    "base": PretrainConfig(
        preset="base",
        network=NETWORKS["base"],
        epochs=100,
        mask=MaskConfig(patch_size=32),
        data=DataConfig(image_size=512, batch_size=8, workers=8),
        gradient_accumulation=4,
        optim=OptimConfig(lr=2e-4, warmup_steps=1000),
    ),
}
