"""Options that all stages share; free of torch, so that `--help` answers at once."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from data.base.checks import at_least
from data.config import DataConfig
from networks.config import NetworkConfig

Preset = Literal["tiny", "small", "base"]
Tracker = Literal["tensorboard", "wandb", "mlflow", "trackio"]
Schedule = Literal["constant", "linear", "cosine"]


@dataclass(kw_only=True)
class OptimConfig:
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
class StageConfig:
    """What all stages share: where the run lives, how long it lasts, on what it runs."""

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
    trust_remote_code: bool = False
    """With --resume: import what the options of a run that was started elsewhere name outside of networks."""
    seed: int = 0
    """Seed of initialisation, order, augmentation and masks."""
    deterministic: bool = False
    """Use deterministic algorithms only, which are slower on a GPU: the same run twice is then the same to
    the bit there, too. An operation that has none stops the run."""
    epochs: int = 1
    """Passes over the training data."""
    max_steps: int | None = None
    """Stop after so many optimiser steps, whatever the epochs say."""
    gradient_accumulation: int = 1
    """Batches for one optimiser step, which is that of one large batch of all their samples."""
    skip_nonfinite: int = 0
    """Steps whose gradient is not finite to leave out, counted and named in the log, before one stops the
    run. (float16 leaves out its own while it looks for its scale, and counts none.)"""
    mixed_precision: Literal["no", "bf16", "fp16"] = "no"
    """Precision of the networks' arithmetic; losses are always computed in float32."""
    cpu: bool = False
    """Stay on the CPU even where there is a GPU."""
    log_every: int = 20
    """Optimiser steps between two lines of metrics.jsonl; each holds means since the line before."""
    log_with: tuple[Tracker, ...] = ("tensorboard",)
    """Who is told of numbers and sample grids besides metrics.jsonl: one or more trackers, each of which but
    tensorboard comes with an extra of its name. A resumed run goes on in the same run there."""
    checkpoint_every: int = 200
    """Optimiser steps between two checkpoints; the end of an epoch always makes one."""
    checkpoint_minutes: float | None = None
    """Minutes between two checkpoints, by the clock; none by default."""
    keep_checkpoints: int = 2
    """Newest checkpoints to keep, besides the best one."""
    grid_cases: int = 8
    """Held-out cases in the sample grid of every epoch."""
    encoder: str = "networks:BottleneckEncoder"
    """The encoder's class under the model, pkg.mod:Class. A class of your own is built with no arguments and
    meets `networks.Encoder`."""
    network: NetworkConfig = field(default_factory=NetworkConfig)
    data: DataConfig = field(default_factory=DataConfig)

    @property
    def contrasts(self) -> bool:
        """Whether the samples of a batch, in all processes, are told apart; its size then counts."""
        return False

    def __post_init__(self) -> None:
        at_least(self, 1, "epochs", "gradient_accumulation", "log_every", "checkpoint_every")
        at_least(self, 1, "keep_checkpoints", "grid_cases", "max_steps")
        at_least(self, 0, "seed", "checkpoint_minutes", "skip_nonfinite")
