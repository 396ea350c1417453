"""`python -m gan.benchmark`: how long things take and how much memory they need, on this machine."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from data.base.commandline import argv, run_command, tyro_parse
from gan.run.commandline import preset_for_hardware
from gan.run.options import Preset

Part = Literal["training", "loading", "indexing", "synthesis"]


@dataclass(kw_only=True)
class BenchmarkConfig:
    """Measure training, loading of data, indexing of a million images, and synthesis."""

    parts: tuple[Part, ...] = ("training",)
    """What to measure: training (the command line, augmentation, a step of each stage, prediction), loading
    (reading and writing prepared data, waiting for data), indexing (a million images), synthesis (pairs from
    CT against the bare projection)."""
    preset: Preset | None = None
    """Size of networks, images and batches of training; with none named, the hardware picks."""
    steps: int = 20
    """Training steps to time, after three to warm up."""
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
    for part in config.parts:
        for line in measure(part, config):
            print(line, flush=True)


def measure(part: Part, config: BenchmarkConfig) -> Iterator[str]:
    """Lines of text of one part; torch is imported from here on."""
    if part == "training":
        from gan.benchmark.training import measure_training

        preset = config.preset or preset_for_hardware(cpu=config.cpu)
        return measure_training(
            preset, steps=config.steps, mixed_precision=config.mixed_precision, cpu=config.cpu
        )
    if part == "synthesis":
        from gan.benchmark.synthesis import measure_synthesis

        return measure_synthesis()
    from gan.benchmark.data import measure_indexing, measure_loading

    return measure_loading() if part == "loading" else measure_indexing()


if __name__ == "__main__":
    run_command(main)
