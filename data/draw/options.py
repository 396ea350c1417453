"""Options of `python -m data.draw`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from data.base.checks import among, at_least, between
from data.config import FINDINGS, Change, Finding, Intensity, OnError


@dataclass(kw_only=True)
class DrawConfig:
    """Draw findings into one of two differently augmented copies of each frontal chest radiograph.

    The copies differ as two real studies of a patient do: in pose, in exposure and in noise. What was drawn
    is the target, exactly; OUT becomes a data set of pairs with a manifest.
    """

    images: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="IMAGES")]
    """A manifest (CSV or Parquet) or a folder of frontal chest radiographs, dense tissue bright."""
    out: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="OUT")]
    """Folder for the pairs; finished images found there are not drawn again. Ids of a manifest are kept;
    hashes take the place of the names of a folder's files and patients."""
    pairs_per_image: int = 4
    """Pairs made of each radiograph."""
    findings: tuple[Finding, ...] = FINDINGS
    """Findings that can appear or resolve; each is drawn equally often."""
    unchanged: float = 0.1
    """Share of pairs in which nothing is drawn that differs."""
    second: float = 0.2
    """Probability that a second finding changes in the same pair."""
    stable: float = 0.25
    """Probability that a finding is present in both images and therefore no part of the target."""
    change: Change = "magnitude"
    """What a target means: how much changed, in [0, 1], or (signed) also whether attenuation
    rose or fell, in [-1, 1]."""
    size: int | Literal["native"] = "native"
    """Longest side of what is written, in pixels, or native: each radiograph keeps its own size."""
    intensity: Intensity = "dicom"
    """How stored values become grey in [0, 1]: dicom (the window or lookup table a DICOM file names; other
    files and DICOM without one by what their bit depth can hold), range (always by bit depth), or percentile
    (each image between its own 0.5th and 99.5th percentile)."""
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
    """Largest standard deviation of a copy's additive Gaussian noise."""
    seed: int = 0
    """Seed of findings, poses and exposures; with the id of an image it settles everything drawn from it."""
    workers: int = 0
    """Processes; 0 takes one for each core."""
    on_error: OnError = "raise"
    """What an unreadable file or one without two lung fields does: raise (stop), or skip (leave it out,
    counted and named at the end)."""

    def __post_init__(self) -> None:
        at_least(self, 1, "pairs_per_image")
        at_least(self, 64, "size", otherwise="native")
        at_least(self, 0, "workers", "seed")
        among(self, FINDINGS, "findings")
        between(self, 0, 1, "unchanged", "second", "stable")
        between(self, 0, 0.5, "translation", "scale", "elastic", "exposure", "contrast", "gamma", "noise")
        between(self, 0, 45, "rotation")
