"""What happens between two radiographs of a virtual patient, and their rendering."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data.config import SPLITS, Finding, SynthesisConfig
from data.simulation.film import (
    Camera,
    PlacedVolume,
    Pose,
    aperture,
    change_map,
    expose,
    frame,
    place,
    project,
    shoot,
)
from data.simulation.findings.volume import FINDINGS
from data.simulation.scenarios import Scenario, draw_in_turns
from data.simulation.volumes.anatomy import Anatomy, Change
from data.simulation.volumes.deform import deform

SECOND_CHANGE = 0.2
"""Probability that a second finding changes in the same pair."""
STABLE = 0.25
"""Probability that a finding is present in both images and therefore no part of the target."""


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """P pairs of one patient: images `[P, H, W]` in [0, 1], targets `[P, H, W]` in [-1, 1], float32."""

    baseline: NDArray[np.float32]
    followup: NDArray[np.float32]
    target: NDArray[np.float32]
    """Change in the geometry of the followup; positive is more attenuation in the followup."""
    target_baseline: NDArray[np.float32]
    """The same change in the geometry of the baseline."""
    findings: list[tuple[Finding, ...]]
    """Findings that change in each pair."""
    present: list[tuple[tuple[Finding, ...], tuple[Finding, ...]]]
    """Findings that the baseline and that the followup of each pair shows."""


def patient_rng(seed: int, split: str, index: int, pair: int | None = None) -> np.random.Generator:
    """The source of randomness of a patient or of one of its pairs; independent of every other."""
    path = [SPLITS.index(split), index] + ([] if pair is None else [1 + pair])
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=path))


def draw_scenarios(config: SynthesisConfig, rng: np.random.Generator) -> list[Scenario]:
    """One scenario for every pair of a patient."""
    return draw_in_turns(
        config.findings,
        config.pairs_per_patient,
        rng,
        unchanged=config.unchanged,
        second=SECOND_CHANGE,
        stable=STABLE,
    )


def render_patient(
    thorax: Anatomy, config: SynthesisConfig, image_size: int, split: str, index: int
) -> Pairs:
    """All pairs of one virtual patient; a function of the seed, the split and the index only."""
    rng = patient_rng(config.seed, split, index)
    patient = deform(thorax, rng)
    scenarios = draw_scenarios(config, rng)
    camera = frame(patient, image_size)
    base = place_base(patient, camera)
    rendered = []
    for pair, scenario in enumerate(scenarios):
        pair_rng = patient_rng(config.seed, split, index, pair)
        poses = draw_poses(config, pair_rng)
        rendered.append(render_pair(patient, base, camera, scenario, poses, pair_rng))
    return stack_pairs(rendered, scenarios)


def place_base(patient: Anatomy, camera: Camera, device: str = "cpu") -> PlacedVolume:
    """A patient without findings before the camera; all of its pairs share it."""
    base = aperture(patient.mu, patient.spacing, camera)
    return place(base, patient.spacing, camera, device=device)


def stack_pairs(rendered: Sequence[tuple[NDArray[np.float32], ...]], scenarios: Sequence[Scenario]) -> Pairs:
    """The pairs that `render_pair` returned, one for each scenario, as one."""
    baseline, followup, target, target_baseline = (np.stack(images) for images in zip(*rendered, strict=True))
    return Pairs(
        baseline=baseline,
        followup=followup,
        target=target,
        target_baseline=target_baseline,
        findings=[scenario.changing for scenario in scenarios],
        present=[scenario.present for scenario in scenarios],
    )


def render_pair(
    patient: Anatomy,
    base: PlacedVolume,
    camera: Camera,
    scenario: Scenario,
    poses: tuple[Pose, Pose],
    rng: np.random.Generator,
    device: str = "cpu",
) -> tuple[NDArray[np.float32], ...]:
    """Baseline, followup, target and target in the baseline's geometry, each `[H, W]`.

    Args:
        patient: the virtual patient without findings.
        base: the same patient before the camera, as `place_base` returns it.
        camera: the film.
        scenario: what changes.
        poses: how the patient stands at the baseline and at the followup.
        rng: source of the findings and of the exposure.
        device: where rays are cast.
    """
    stable, appearing, resolving = insert(patient, scenario, rng)
    healthy = shoot(base, camera, poses)
    healthy += project_changes(stable, patient, camera, poses, device)
    new = project_changes(appearing, patient, camera, poses, device)
    old = project_changes(resolving, patient, camera, poses, device)
    change = change_map(new - old)
    return expose(healthy[0] + old[0], rng), expose(healthy[1] + new[1], rng), change[1], change[0]


def draw_poses(config: SynthesisConfig, rng: np.random.Generator) -> tuple[Pose, Pose]:
    """Poses of baseline and followup; along no axis do they differ by more than the configuration allows."""
    degrees, mm = config.pose_degrees / 2, config.pose_mm / 2
    half = np.concatenate([rng.uniform(-degrees, degrees, 3), rng.uniform(-mm, mm, 3)])
    common = np.concatenate([rng.normal(0, 0.7, 3), rng.normal(0, 2.0, 3)])
    baseline, followup = (
        Pose(rotation=(pose[0], pose[1], pose[2]), shift=(pose[3], pose[4], pose[5]))
        for pose in ((common - half).tolist(), (common + half).tolist())
    )
    return baseline, followup


def insert(
    patient: Anatomy, scenario: Scenario, rng: np.random.Generator
) -> tuple[list[Change], list[Change], list[Change]]:
    """Draw the stable, the appearing and the resolving findings.

    Each is inserted into the tissue it meets: the stable ones are there before any other.
    """
    stable = _insert_all(patient, scenario.stable, rng)
    thorax = patient
    for change in stable:
        thorax = thorax.with_change(change)
    return stable, _insert_all(thorax, scenario.appearing, rng), _insert_all(thorax, scenario.resolving, rng)


def _insert_all(thorax: Anatomy, names: Sequence[Finding], rng: np.random.Generator) -> list[Change]:
    changes: list[Change] = []
    for name in names:
        if changes:
            thorax = thorax.with_change(changes[-1])
        changes.append(FINDINGS[name](thorax, rng))
    return changes


def project_changes(
    changes: Sequence[Change],
    patient: Anatomy,
    camera: Camera,
    poses: Sequence[Pose],
    device: str = "cpu",
) -> Tensor:
    """Line integrals `[N, H, W]` of the sum of some changes, in N poses."""
    total = torch.zeros(len(poses), camera.size, camera.size)
    # Room for the aperture's blur around the change.
    margin = int(np.ceil(camera.field_mm / camera.size / patient.spacing)) + 1
    for change in changes:
        delta = np.pad(change.delta, ((margin, margin), (0, 0), (margin, margin)))
        corner = (change.corner[0] - margin, change.corner[1], change.corner[2] - margin)
        blurred = aperture(delta, patient.spacing, camera)
        total += project(blurred, patient.spacing, camera, poses, corner, device)
    return total
