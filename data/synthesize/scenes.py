"""What the pairs of `python -m data.synthesize` show: poses and findings, drawn from its options."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from data.base.seeds import fold_seed
from data.config import Finding
from data.simulation.film import Pose, frame
from data.simulation.pairs import Pairs, place_base, render_pair, stack_pairs
from data.simulation.scenarios import Scenario
from data.simulation.volumes.anatomy import Anatomy
from data.simulation.volumes.deform import deform
from data.synthesize.options import PoseRange, SynthesizeConfig


def draw_pose(limits: PoseRange, rng: np.random.Generator) -> Pose:
    """One pose: rotations biased to small ones and limited in sum, shifts uniform."""
    angles = limits.degrees * rng.random(3) ** limits.exponent * rng.choice((-1.0, 1.0), 3)
    total = np.abs(angles).sum()
    if total > limits.total_degrees:
        angles *= limits.total_degrees / total
    turn, bend, lean = angles.tolist()
    x, y, z = rng.uniform(-limits.mm, limits.mm, 3).tolist()
    return Pose(rotation=(turn, bend, lean), shift=(x, y, z))


def draw_scenario(
    config: SynthesizeConfig, possible: Sequence[Finding], rng: np.random.Generator
) -> Scenario:
    """What changes in one pair, among the findings that this patient can have."""
    names = [name for name in possible if config.findings.of(name) > 0]
    weights = np.array([config.findings.of(name) for name in names])
    wanted = [rng.random() >= config.unchanged]
    wanted.append(wanted[0] and rng.random() < config.second)
    wanted.append(rng.random() < config.stable)
    drawn: list[tuple[Finding, ...]] = []
    for wants in wanted:
        if wants and names:
            index = int(rng.choice(len(names), p=weights / weights.sum()))
            drawn.append((names.pop(index),))
            weights = np.delete(weights, index)
        else:
            drawn.append(())
    first, second, stable = drawn
    return Scenario.draw((*first, *second), stable, rng)


def render_virtual_patient(
    thorax: Anatomy,
    config: SynthesizeConfig,
    possible: Sequence[Finding],
    volume: str,
    patient: int,
    device: str,
) -> Pairs:
    """All pairs of a virtual patient; a function of the thorax, the options and the two names only.

    Args:
        thorax: the volume.
        config: what to draw.
        possible: findings that this volume can have.
        volume: its name.
        patient: number of the virtual patient; 0 is the CT as it is.
        device: where rays are cast.
    """
    anatomy = thorax if patient == 0 else deform(thorax, _rng(config.seed, volume, patient))
    camera = frame(anatomy, config.image_size)
    base = place_base(anatomy, camera, device)
    rendered, scenarios = [], []
    for pair in range(config.pairs_per_patient):
        rng = _rng(config.seed, volume, patient, pair)
        poses = draw_pose(config.pose, rng), draw_pose(config.pose, rng)
        scenarios.append(draw_scenario(config, possible, rng))
        rendered.append(render_pair(anatomy, base, camera, scenarios[-1], poses, rng, device))
    return stack_pairs(rendered, scenarios)


def _rng(*parts: int | str) -> np.random.Generator:
    return np.random.default_rng(fold_seed(*parts))
