"""The virtual patients of the embedded data set: everything random about them, drawn from its options."""

from collections.abc import Iterator

import numpy as np

from data.config import SPLITS, EmbeddedConfig
from data.simulation.pairs import Draw, Pairs, render_pairs
from data.simulation.scenarios import Scenario, draw_in_turns
from data.simulation.volumes.anatomy import Anatomy
from data.simulation.volumes.deform import deform
from data.simulation.volumes.projection import Pose


def patient_rng(seed: int, split: str, index: int, *path: int) -> np.random.Generator:
    """The source of randomness of a patient or of a part of it; independent of every other."""
    key = [SPLITS.index(split), index, *path]
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def pairs_of(config: EmbeddedConfig, split: str) -> int:
    """Pairs of each patient of a split; what is drawn into films is for training only."""
    return config.pairs_per_patient + (config.drawn_pairs_per_patient if split == "train" else 0)


def draw_scenarios(config: EmbeddedConfig, pairs: int, rng: np.random.Generator) -> list[Scenario]:
    """One scenario for each of so many pairs of a patient."""
    return draw_in_turns(config.findings, pairs, config, rng)


def draw_poses(config: EmbeddedConfig, rng: np.random.Generator) -> tuple[Pose, Pose]:
    """Poses of baseline and followup; along no axis do they differ by more than the configuration allows."""
    largest = np.repeat([config.pose_degrees / 2, config.pose_mm / 2], 3)
    uniform = rng.uniform(-1, 1, 6)
    half = largest * np.sign(uniform) * np.abs(uniform) ** config.pose_exponent
    common = np.concatenate([rng.normal(0, 0.7, 3), rng.normal(0, 2.0, 3)])
    baseline, followup = (
        Pose(rotation=(pose[0], pose[1], pose[2]), shift=(pose[3], pose[4], pose[5]))
        for pose in ((common - half).tolist(), (common + half).tolist())
    )
    return baseline, followup


def render_patient(thorax: Anatomy, config: EmbeddedConfig, image_size: int, split: str, index: int) -> Pairs:
    """All pairs of one virtual patient; a function of the seed, the split and the index only."""
    rng = patient_rng(config.seed, split, index)
    patient = deform(thorax, rng)
    projected = draw_scenarios(config, config.pairs_per_patient, rng)
    drawn = draw_scenarios(config, pairs_of(config, split) - config.pairs_per_patient, rng)

    def draw(scenario: Scenario, pair: int, change: int, *, is_drawn: bool) -> Draw:
        films = patient_rng(config.seed, split, index, 0, pair)
        baseline, followup = draw_poses(config, films)
        return Draw(
            scenario=scenario,
            group=f"drawn {change}" if is_drawn else str(change),
            poses=(followup if is_drawn else baseline, followup),
            findings=patient_rng(config.seed, split, index, 2 if is_drawn else 1, change),
            films=films,
            drawn=is_drawn,
        )

    def draws() -> Iterator[Draw]:
        for is_drawn, scenarios in ((False, projected), (True, drawn)):
            for number, scenario in enumerate(scenarios):
                pair, change = is_drawn * len(projected) + number, number // config.views_per_change
                yield draw(scenario, pair, change, is_drawn=is_drawn)

    return render_pairs(patient, image_size, draws())
