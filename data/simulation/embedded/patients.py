"""The virtual patients of the embedded data set: everything random about them, drawn from its options."""

from collections.abc import Iterator

import numpy as np

from data.config import SPLITS, EmbeddedConfig, ScenarioOptions
from data.simulation.pairs import Draw, Pairs, render_pairs
from data.simulation.scenarios import Scenario, draw_in_turns
from data.simulation.volumes.anatomy import Anatomy
from data.simulation.volumes.deform import deform
from data.simulation.volumes.projection import Pose


def patient_rng(seed: int, split: str, index: int, pair: int | None = None) -> np.random.Generator:
    """The source of randomness of a patient or of one of its pairs; independent of every other."""
    path = [SPLITS.index(split), index] + ([] if pair is None else [1 + pair])
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=path))


def draw_scenarios(config: EmbeddedConfig, rng: np.random.Generator) -> list[Scenario]:
    """One scenario for every pair of a patient."""
    shares = ScenarioOptions(unchanged=config.unchanged)
    return draw_in_turns(config.findings, config.pairs_per_patient, shares, rng)


def draw_poses(config: EmbeddedConfig, rng: np.random.Generator) -> tuple[Pose, Pose]:
    """Poses of baseline and followup; along no axis do they differ by more than the configuration allows."""
    degrees, mm = config.pose_degrees / 2, config.pose_mm / 2
    half = np.concatenate([rng.uniform(-degrees, degrees, 3), rng.uniform(-mm, mm, 3)])
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
    scenarios = draw_scenarios(config, rng)

    def draws() -> Iterator[Draw]:
        for pair, scenario in enumerate(scenarios):
            pair_rng = patient_rng(config.seed, split, index, pair)
            yield scenario, draw_poses(config, pair_rng), pair_rng

    return render_pairs(patient, image_size, draws())
