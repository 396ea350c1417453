"""`python -m gan.benchmark`: how long things take and how much memory they need, on this machine."""

from dataclasses import dataclass
from typing import Literal

from data.commandline import argv, run_command, tyro_parse
from gan.cli import preset_for_hardware
from gan.config import Preset


@dataclass(kw_only=True)
class BenchmarkConfig:
    """Time the command line, augmentation, one training step of each stage, and prediction."""

    preset: Preset | None = None
    """Size of networks, images and batches; with none named, the hardware picks."""
    steps: int = 20
    """Steps to time, after three to warm up."""
    mixed_precision: Literal["no", "bf16"] = "no"
    """Precision of the networks' arithmetic."""
    cpu: bool = False
    """Stay on the CPU even where there is a GPU."""

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"steps is {self.steps}; it must be at least 1")


def main() -> None:
    """Parse the command line, measure, print."""
    config = tyro_parse(BenchmarkConfig, argv(), prog="python -m gan.benchmark")
    preset = config.preset or preset_for_hardware(cpu=config.cpu)
    from gan.timing import measure  # torch is imported from here on

    for line in measure(preset, steps=config.steps, mixed_precision=config.mixed_precision, cpu=config.cpu):
        print(line, flush=True)


if __name__ == "__main__":
    run_command(main)
