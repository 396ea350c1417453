"""Options of `python -m data.draw`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from data.base.checks import among, at_least, between, require
from data.config import (
    NOTHING_LEFT,
    ChangeOption,
    ClusterOption,
    IntensityOption,
    OnError,
    ProcessesOption,
    ScenarioOptions,
    changing,
)
from data.findings import FINDINGS, Finding


@dataclass(kw_only=True)
class DrawConfig(ScenarioOptions):
    """Draw findings into one of two differently augmented copies of each frontal chest radiograph.

    The copies differ as two real studies of a patient do: in pose, in exposure and in noise. What was drawn
    is the target, exactly; OUT becomes a data set of pairs with a manifest.
    """

    images: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="IMAGES")]
    """A manifest (CSV or Parquet) or a folder of frontal chest radiographs, dense tissue bright. Masks that a
    manifest names in columns `lungs` and `heart` are used instead of what is found."""
    out: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="OUT")]
    """Folder for the pairs; finished images found there are not drawn again. Ids of a manifest are kept;
    hashes take the place of the names of a folder's files and patients."""
    pairs_per_image: int = 4
    """Pairs made of each radiograph."""
    findings: tuple[Finding, ...] = FINDINGS
    """Findings that can appear or resolve; each is drawn equally often."""
    change: ChangeOption = "magnitude"
    image_size: Annotated[int | Literal["native"], tyro.conf.arg(aliases=["--size"])] = "native"
    """Longest side of what is written, in pixels, or native: each radiograph keeps its own size."""
    intensity: IntensityOption = "dicom"
    rotation: float = 3.0
    """Largest rotation between the two copies, in degrees."""
    translation: float = 0.03
    """Largest shift between the two copies along each axis, as a share of the longest side."""
    scale: float = 0.04
    """Largest relative difference in size between the two copies."""
    elastic: float = 0.006
    """Largest smooth local displacement of each copy (breath, posture), as a share of the longest side."""
    exposure: float = 0.15
    """Largest shift of a copy's tone curve, in natural units of log exposure."""
    contrast: float = 0.1
    """Largest relative change of the slope of a copy's tone curve."""
    gamma: float = 0.1
    """Largest relative change of the exponent of a copy's tone curve."""
    noise: float = 0.005
    """Largest standard deviation of a copy's additive Gaussian noise; with 0 nothing drawn gets the film's
    grain, either."""
    seed: int = 0
    """Seed of findings, poses and exposures; with the id of an image it settles everything drawn from it."""
    workers: ProcessesOption = 0
    cluster: ClusterOption = None
    on_error: OnError = "raise"
    """What an unreadable file or one without two lung fields does: raise (stop), or skip (leave it out,
    counted and named at the end)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, 1, "pairs_per_image")
        at_least(self, 64, "image_size", otherwise="native")
        at_least(self, 0, "workers", "seed")
        among(self, FINDINGS, "findings")
        require(bool(changing(self.findings, self)), "nuisances", " ".join(self.nuisances), NOTHING_LEFT)
        between(self, 0, 0.5, "translation", "scale", "elastic", "exposure", "contrast", "gamma", "noise")
        between(self, 0, 45, "rotation")
