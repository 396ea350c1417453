"""`python -m data.prepare MANIFEST OUT`: decode and resize once, train from memory-mapped Arrow."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from data.base.checks import at_least
from data.base.commandline import argv, run_command, tyro_parse
from data.config import (
    AlignOption,
    ChangeOption,
    ClusterOption,
    FramingOption,
    IntensityOption,
    OnError,
    ProcessesOption,
    SplitConfig,
)


@dataclass(kw_only=True)
class PrepareConfig(SplitConfig):
    """Decode and resize every file of a data set once, so that training reads thousands of images a second.

    The result is used with `--data.prepared OUT`. An interrupted run goes on when it is started again.
    """

    manifest: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="MANIFEST")]
    """A manifest (CSV or Parquet) or a folder, as for --data.path."""
    out: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="OUT")]
    """The folder to write."""
    image_size: Annotated[int | Literal["native"], tyro.conf.arg(aliases=["--size"])] = 512
    """Longest side of the stored images in pixels (both sides where they are cropped or stretched), or
    native, which stores them as they are. Training can be at this size or any smaller one."""
    bits: Literal[8, 16] = 16
    """Bits of a stored pixel; 8 take half the space and round to 256 levels."""
    kind: Literal["auto", "pairs", "images"] = "auto"
    """What to store: pairs, images, or (auto) what the manifest or the folder holds. Stored pairs serve
    pretraining too."""
    change: ChangeOption = "magnitude"
    intensity: IntensityOption = "dicom"
    framing: FramingOption = "pad"
    align: AlignOption = True
    on_error: OnError = "raise"
    """What a file that cannot be read does: raise (stop), or skip (leave its sample out, counted and named in
    OUT/skipped.csv)."""
    workers: ProcessesOption = 0
    cluster: ClusterOption = None
    overwrite: bool = False
    """Delete an earlier prepared data set in OUT first."""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, 32, "image_size", otherwise="native")
        at_least(self, 0, "workers")


def main() -> None:
    """Parse the command line, prepare, say what was done."""
    config = tyro_parse(PrepareConfig, argv(), prog="python -m data.prepare")
    from data.base.engines import engine_of
    from data.manifests import holds_pairs
    from data.manifests.dataset import load_images, load_pairs
    from data.prepare.writing import Recipe, prepare_records

    pairs = holds_pairs(config.manifest) if config.kind == "auto" else config.kind == "pairs"
    load = load_pairs if pairs else load_images
    records = load(config.manifest, config, check_files=config.on_error == "raise")
    recipe = Recipe(
        size=None if config.image_size == "native" else config.image_size,
        bits=config.bits,
        change=config.change,
        intensity=config.intensity,
        framing=config.framing,
        align=config.align and pairs,
        on_error=config.on_error,
    )
    engine = engine_of(config.workers, config.cluster)
    done = prepare_records(records, config.out, recipe, engine=engine, overwrite=config.overwrite)
    counts = ", ".join(f"{done.info.count(split)} {split}" for split in done.info.shards)
    print(f"{config.out}: {counts} {done.info.kind}, {done.written} of them written now")
    if done.skipped:
        print(f"skipped: {done.skipped}, named in {config.out / 'skipped.csv'}")
    print(f"train on it with --data.prepared {config.out}")


if __name__ == "__main__":
    run_command(main)
