"""Options of `gan.classify`."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from data.config import AugmentConfig, DataConfig
from gan.run.options import OptimConfig, Preset, StageConfig
from networks.config import PRESETS as NETWORKS


@dataclass(kw_only=True)
class ClassifyConfig(StageConfig):
    """Which findings a radiograph shows: one logit a label, from scratch or on a pretrained encoder."""

    pretrained: str = "auto"
    """The pretraining run whose encoder the classifier starts from: a run directory, auto (the newest
    runs/pretrain*), or none (a fresh encoder)."""
    frozen: bool = False
    """Train the linear layer alone, on standardised features, and leave the encoder as it is: a linear probe
    of what it has learnt."""
    optim: OptimConfig = field(default_factory=OptimConfig)


PRESETS: Mapping[Preset, ClassifyConfig] = {
    "tiny": ClassifyConfig(
        preset="tiny",
        network=NETWORKS["tiny"],
        epochs=10,
        # In minutes a classifier learns more from the images as they are, and the features that a probe
        # standardises have to be those that it is judged on.
        data=DataConfig(image_size=64, batch_size=16, augment=AugmentConfig(enabled=False)),
        optim=OptimConfig(lr=3e-3),
    ),
    "small": ClassifyConfig(
        preset="small",
        network=NETWORKS["small"],
        epochs=20,
        data=DataConfig(image_size=256, batch_size=32, workers=4),
        optim=OptimConfig(lr=3e-4, warmup_steps=500),
    ),
    "base": ClassifyConfig(
        preset="base",
        network=NETWORKS["base"],
        epochs=20,
        data=DataConfig(image_size=512, batch_size=8, workers=8),
        gradient_accumulation=4,
        optim=OptimConfig(lr=1e-4, warmup_steps=1000),
    ),
}
