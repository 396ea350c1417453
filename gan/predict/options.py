"""Options of `gan.predict`, and what is meant by the paths it is given."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from data.base.checks import at_least, between
from data.base.commandline import tyro_parse
from data.base.errors import UserError
from data.config import OnError
from gan.predict.places import SUFFIXES, places_beside
from gan.run.generator import generator_place

Format = Literal["png", "tif", "npy", "nii.gz", "dcm"]
_MANIFESTS = (".csv", ".parquet")


@dataclass(kw_only=True)
class PredictConfig:
    """Map what changed between two radiographs of one patient, in the followup's own pixels.

    Of one pair: MODEL BASELINE FOLLOWUP -o MAP.png. Of many: MODEL PAIRS -o FOLDER, which goes on where it
    was stopped.
    """

    paths: Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="MODEL PATH [PATH]")] = ()
    """MODEL is a run of gan.adversarial, its generator/ folder, or a hub id; of several, one after the other,
    the mean is taken. Then the two radiographs, the earlier one first, or the pairs: a manifest (CSV or
    Parquet; targets may be empty), or a folder of baseline/ and followup/ with equal file names or of
    CASE/PAIR/{prior,current}.nii.gz."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """Of one pair the map: .png (16 bit: 0..65535 is 0..1; signed maps: 1, 32768, 65535 are -1, 0, 1),
    .tif, .npy or .nii.gz (float32), or .dcm (a Parametric Map). Further files are put beside it, as
    NAME_overlay.png. Of many pairs the folder."""
    format: Format = "png"
    """Format of the maps of many pairs; dcm makes Parametric Maps, Segmentations and Secondary Captures."""
    align: bool = True
    """Lay the baseline on the followup before, where a good fit is found; models trained without it gain from
    it as well."""
    tiles: int = 1
    """How many times as fine as in training the radiographs are seen, in overlapping tiles of that size;
    1: whole, 0: as fine as the followup's file."""
    passes: int = 0
    """Further looks at each pair, each under another random exposure of both images. Their mean is the map
    then, and their standard deviation is written as the uncertainty; so it is of several models."""
    seed: int = 0
    """Seed of the exposures; with the id of a pair it settles them."""
    threshold: float | None = None
    """From which magnitude a pixel counts as changed, in the findings and in a DICOM segmentation. Without it
    the one that the run chose on validation, or 0.05 where it chose none."""
    overlay: bool = True
    """Write a picture of the map over the followup."""
    on_error: OnError = "raise"
    """What an unreadable pair of many does: raise (stop), or skip (leave it out, named at the end)."""
    batch_size: int = 8
    """Pairs that go through the network at once."""
    workers: int | None = None
    """Processes that read pairs while the network runs; 0 for none. By default one for two cores."""
    cpu: bool = False
    """Stay on the CPU even where there is a GPU."""
    trust_remote_code: bool = False
    """Import the generator's class where it is not one of ours: code of whoever made the run is executed."""

    def __post_init__(self) -> None:
        at_least(self, 0, "tiles", "passes", "seed", "workers")
        at_least(self, 1, "batch_size")
        if self.threshold is not None:
            between(self, 0, 1, "threshold")


@dataclass(frozen=True)
class Task:
    """What is to be done, with the places of the models found."""

    config: PredictConfig
    models: Mapping[str, Path]
    pair: tuple[Path, Path] | None
    """Baseline and followup; None where `pairs` are meant."""
    pairs: Path | None


def parse(argv: Sequence[str]) -> Task:
    """The command line as a task.

    Raises:
        UserError: an option is not what it should be, or there is no such model.
    """
    config = tyro_parse(PredictConfig, argv, prog="python -m gan.predict")
    if not config.paths:
        raise UserError("missing: MODEL and two radiographs, or a folder or a manifest of pairs")
    last = Path(config.paths[-1])
    if len(config.paths) > 1 and (last.is_dir() or last.suffix.lower() in _MANIFESTS):
        names, inputs = config.paths[:-1], config.paths[-1:]
        _require_folder(config)
        task = Task(config, _found(names), None, last)
    else:
        names, inputs = config.paths[:-2], config.paths[-2:]
        _require_map(config, names, inputs)
        task = Task(config, _found(names), (Path(inputs[0]), Path(inputs[1])), None)
    return task


def _found(names: Sequence[str]) -> dict[str, Path]:
    if repeated := [name for name in names if names.count(name) > 1]:
        raise UserError(f"{repeated[0]} is named twice; name every model once")
    return {name: generator_place(name) for name in names}


def _require_folder(config: PredictConfig) -> None:
    if config.output.name.endswith(SUFFIXES) or config.output.is_file():
        raise UserError(
            f"--output {config.output}: maps of many pairs go to a folder; name one, and their --format"
        )


def _require_map(config: PredictConfig, names: Sequence[str], inputs: Sequence[str]) -> None:
    """Refuse what is no map of one pair, or would be written over one of the radiographs."""
    if not config.output.name.endswith(SUFFIXES):
        raise UserError(f"--output {config.output}: end it in one of {', '.join(SUFFIXES)}")
    if not names:
        told = f"only {' and '.join(inputs)} are named" if len(inputs) > 1 else f"only {inputs[0]} is named"
        raise UserError(f"{told}; name MODEL BASELINE FOLLOWUP, or MODEL and a folder or manifest of pairs")
    radiographs = {Path(name).resolve() for name in inputs}
    for written in places_beside(config.output, uncertainty=True).all():
        if written.resolve() in radiographs:
            raise UserError(
                f"--output {config.output}: {written} is one of the radiographs; name another file"
            )
