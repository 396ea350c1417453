"""Options of `gan.pretrain`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

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
class ContrastConfig:
    """Contrast of two views of an image against other images. Source: SimCLR (Chen et al., ICML 2020)."""

    temperature: float = 0.1
    """What cosines are divided by: the smaller, the more the closest of the others count."""
    embedding: int = 128
    """Length of the embeddings that are compared."""
    together: str = "image"
    """What belongs together besides the two views of an image: nothing (image), all films of a patient
    (patient), or films with the same value in a column of the manifest, such as a change group (supervised
    contrastive learning: Khosla et al., NeurIPS 2020). The others of a batch are what it is told apart from,
    so data.batch_size counts."""

    def __post_init__(self) -> None:
        at_least(self, 1, "contrast.embedding")
        require(self.temperature > 0, "contrast.temperature", self.temperature, "be above 0")


@dataclass(kw_only=True)
class PretrainConfig(StageConfig):
    """Pretraining on single radiographs: trains the encoder that `gan.adversarial` starts from."""

    method: Literal["masked", "contrastive"] = "masked"
    """What the encoder learns from: masked (hidden patches are reconstructed from visible ones), or
    contrastive (two differently augmented views of an image are found among those of others)."""
    mask: MaskConfig = field(default_factory=MaskConfig)
    contrast: ContrastConfig = field(default_factory=ContrastConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)

    @property
    def contrasts(self) -> bool:
        """Whether the samples of a batch are told apart."""
        return self.method == "contrastive"

    def __post_init__(self) -> None:
        super().__post_init__()
        size = self.data.image_size
        rule = f"be smaller than data.image_size, {size}, so that something stays visible"
        require(self.mask.patch_size < size, "mask.patch_size", self.mask.patch_size, rule)
        if self.method == "contrastive":
            at_least(self.data, 2, "data.batch_size")
            require(
                self.data.augment.enabled, "data.augment.enabled", False, "be True, or both views are one"
            )


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
