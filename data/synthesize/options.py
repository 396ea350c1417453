"""Options of `python -m data.synthesize`; free of heavy imports, so that `--help` is quick."""

from dataclasses import asdict, dataclass, field, fields, make_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import arg

from data.base.checks import at_least, between, require
from data.config import NOTHING_LEFT, ChangeOption, ClusterOption, ScenarioOptions, SplitConfig, changing
from data.findings import FINDINGS, TABLE, Finding

_Weights: Any = make_dataclass(
    "_Weights",
    [(name, Annotated[float, arg(help=entry.description)], entry.weight) for name, entry in TABLE.items()],
    kw_only=True,
)


@dataclass(kw_only=True)
class FindingProbabilities(_Weights):
    """How often each finding is the one that changes, relative to the others; 0 leaves it out."""

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
class SynthesizeConfig(SplitConfig, ScenarioOptions):
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
    pose: PoseRange = field(default_factory=PoseRange)
    image_size: int = 256
    """Side of the square radiographs, in pixels."""
    change: ChangeOption = "magnitude"
    format: Literal["png", "nifti"] = "png"
    """png: 16 bit, in baseline/ followup/ target/ target_baseline/; nifti: float32, as
    CASE/PAIR/{prior,current,diff_map,diff_map_prior}.nii.gz."""
    seed: int = 1
    """Seed of patients, findings and poses."""
    workers: int = 0
    """Rendering processes; 0 takes one for each core, at most 4 with a GPU."""
    cluster: ClusterOption = None
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where rays are cast; auto takes the GPU where there is one."""
    overwrite: bool = False
    """Replace the pairs of an earlier run with other settings."""

    def __post_init__(self) -> None:
        SplitConfig.__post_init__(self)
        ScenarioOptions.__post_init__(self)
        at_least(self, 1, "pairs_per_patient", "patients_per_volume")
        possible = [name for name in FINDINGS if self.findings.of(name)]
        require(bool(changing(possible, self)), "nuisances", " ".join(self.nuisances), NOTHING_LEFT)
        at_least(self, 0, "workers", "seed")
        between(self, 32, 4096, "image_size")

    def settings(self) -> dict[str, object]:
        """Whatever shapes the pixels and names of a pair, to tell whether two runs would write the same."""
        others = {"ct", "out", "workers", "cluster", "device", "overwrite", *vars(SplitConfig())}
        others |= {"patients_per_volume"}  # more patients leave those there are as they are
        return {name: value for name, value in asdict(self).items() if name not in others}
