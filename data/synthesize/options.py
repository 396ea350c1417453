"""Options of `python -m data.synthesize`; free of heavy imports, so that `--help` is quick."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Literal

from data.base.checks import at_least, between, require
from data.config import FINDINGS, Change, Finding, SplitConfig

Format = Literal["png", "nifti"]
Device = Literal["auto", "cpu", "cuda"]


@dataclass(kw_only=True)
class FindingProbabilities:
    """How often each finding is the one that changes, relative to the others; 0 leaves it out."""

    consolidation: float = 1.0
    """Air spaces of part of a lobe filled with fluid."""
    nodule: float = 1.0
    """A mass of 8 to 30 mm."""
    effusion: float = 1.0
    """Free pleural fluid on one side."""
    pneumothorax: float = 1.0
    """Air between lung and chest wall."""
    cardiomegaly: float = 1.0
    """A wider heart."""
    fluid_overload: float = 1.0
    """Pulmonary oedema."""
    device: float = 1.0
    """Pacemaker, central line, endotracheal tube or chest drain."""

    def __post_init__(self) -> None:
        at_least(self, 0, *(f"findings.{option.name}" for option in fields(self)))
        if not any(getattr(self, option.name) for option in fields(self)):
            raise ValueError(f"findings are all 0; give one of {', '.join(FINDINGS)} a probability")

    def of(self, finding: Finding) -> float:
        """Relative probability of one finding."""
        return float(getattr(self, finding))


@dataclass(kw_only=True)
class PoseRange:
    """How the patient stands in each radiograph, relative to a straight frontal view.

    An angle is `degrees * u ** exponent` with random sign and u uniform in [0, 1): small ones are frequent.
    """

    degrees: float = 17.5
    """Largest rotation about each axis (turn, bend, lean), in degrees."""
    total_degrees: float = 37.5
    """Largest sum of the three rotations without their signs; more is scaled down to it."""
    exponent: float = 1.75
    """Bias towards small rotations; 1 is none."""
    mm: float = 6.0
    """Largest shift of the patient along each axis, in mm."""

    def __post_init__(self) -> None:
        between(self, 0, 45, "pose.degrees")
        between(self, 0, 135, "pose.total_degrees")
        require(0 < self.exponent <= 10, "pose.exponent", self.exponent, "be above 0 and at most 10")
        between(self, 0, 50, "pose.mm")


@dataclass(kw_only=True)
class SynthesizeConfig(SplitConfig):
    """Project CT volumes to radiograph pairs whose change is known, with a manifest to train on.

    Volumes are NIfTI (NAME.nii.gz, or CASE/ct.nii.gz) or DICOM series. Label maps with TotalSegmentator's
    numbers or names are used where they lie beside a volume (segmentations/, segmentations.nii.gz,
    labels.nii.gz, *_seg.nii.gz); without one, lungs, heart region and bones are found in the CT itself.
    """

    ct: Path
    """Folder of the CT volumes."""
    out: Path
    """Folder to write the pairs and manifest.csv into. The same command goes on where it was interrupted."""
    pairs_per_patient: int = 8
    """Pairs drawn for each virtual patient."""
    patients_per_volume: int = 1
    """Virtual patients for each volume: the first is the CT as it is, others are smooth random deformations
    of it. All of them share its split."""
    findings: FindingProbabilities = field(default_factory=FindingProbabilities)
    unchanged: float = 0.1
    """Share of pairs in which nothing changes but pose and exposure."""
    second: float = 0.2
    """Probability that a second finding changes in a pair in which one does."""
    stable: float = 0.25
    """Probability that a finding is present in both radiographs and so no part of the target."""
    pose: PoseRange = field(default_factory=PoseRange)
    image_size: int = 256
    """Side of the square radiographs, in pixels."""
    change: Change = "magnitude"
    """What a target means: how much changed, in [0, 1], or (signed) also whether attenuation rose or fell."""
    format: Format = "png"
    """png: 16 bit, in baseline/ followup/ target/ target_baseline/; nifti: float32, as
    CASE/PAIR/{prior,current,diff_map,diff_map_prior}.nii.gz."""
    seed: int = 1
    """Seed of patients, findings and poses."""
    workers: int = 0
    """Rendering processes; 0 takes one for each core, at most 4 with a GPU."""
    device: Device = "auto"
    """Where rays are cast; auto takes the GPU where there is one."""
    overwrite: bool = False
    """Replace the pairs of an earlier run with other settings."""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, 1, "pairs_per_patient", "patients_per_volume")
        at_least(self, 0, "workers", "seed")
        between(self, 0, 1, "unchanged", "second", "stable")
        between(self, 32, 4096, "image_size")

    def settings(self) -> dict[str, object]:
        """Whatever shapes the pixels and names of a pair, to tell whether two runs would write the same."""
        others = {"ct", "out", "workers", "device", "overwrite", *vars(SplitConfig())}
        others |= {"patients_per_volume"}  # more patients leave those there are as they are
        return {name: value for name, value in asdict(self).items() if name not in others}
