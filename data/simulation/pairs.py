"""Pairs of radiographs of a virtual patient, projected with what changes between them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from data.findings import Finding
from data.simulation.films import Plane, change_map, expose
from data.simulation.findings.volume import INSERT
from data.simulation.scenarios import Scenario, play
from data.simulation.volumes.anatomy import Anatomy, Change
from data.simulation.volumes.projection import Camera, PlacedVolume, Pose, aperture, frame, place

Draw = tuple[Scenario, tuple[Pose, Pose], np.random.Generator]
"""What settles a pair: what changes, the poses of its two images, the source of findings and exposures."""


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """P pairs of one patient: images `[P, H, W]` in [0, 1], targets `[P, H, W]` in [-1, 1], float32."""

    baseline: Plane
    followup: Plane
    target: Plane
    """Change in the geometry of the followup; positive is more attenuation in the followup."""
    target_baseline: Plane
    """The same change in the geometry of the baseline."""
    findings: list[tuple[Finding, ...]]
    """Findings that change in each pair."""
    present: list[tuple[tuple[Finding, ...], tuple[Finding, ...]]]
    """Findings that the baseline and that the followup of each pair shows."""


def render_pairs(patient: Anatomy, image_size: int, draws: Iterable[Draw], device: str = "cpu") -> Pairs:
    """All pairs of a virtual patient.

    Args:
        patient: the virtual patient without findings.
        image_size: side of the radiographs in pixels.
        draws: what settles each pair.
        device: where rays are cast.
    """
    camera = frame(patient, image_size)
    base = place(aperture(patient.mu, patient.spacing, camera), patient.spacing, camera, device=device)
    scenarios, rendered = [], []
    for draw in draws:
        scenarios.append(draw[0])
        rendered.append(_render_pair(patient, base, draw, device))
    baseline, followup, target, target_baseline = (np.stack(each) for each in zip(*rendered, strict=True))
    return Pairs(
        baseline=baseline,
        followup=followup,
        target=target,
        target_baseline=target_baseline,
        findings=[scenario.changing for scenario in scenarios],
        present=[scenario.present for scenario in scenarios],
    )


def _render_pair(
    patient: Anatomy, base: PlacedVolume, draw: Draw, device: str
) -> tuple[Plane, Plane, Plane, Plane]:
    """Baseline, followup, target and target in the baseline's geometry, each `[H, W]`."""
    scenario, poses, rng = draw
    changes = play(scenario, patient, lambda thorax, name: INSERT[name](thorax, rng))
    stable, new, old = (_project_changes(some, patient, base.camera, poses, device) for some in changes)
    healthy = base.shoot(poses) + stable
    change = change_map(new - old)
    return expose(healthy[0] + old[0], rng), expose(healthy[1] + new[1], rng), change[1], change[0]


def _project_changes(
    changes: Sequence[Change], patient: Anatomy, camera: Camera, poses: Sequence[Pose], device: str
) -> Plane:
    """Line integrals `[N, H, W]` of the sum of some changes, in N poses."""
    total = np.zeros((len(poses), camera.size, camera.size), dtype=np.float32)
    # Room for the aperture's blur around the change.
    margin = int(np.ceil(camera.field_mm / camera.size / patient.spacing)) + 1
    for change in changes:
        delta = np.pad(change.delta, ((margin, margin), (0, 0), (margin, margin)))
        corner = (change.corner[0] - margin, change.corner[1], change.corner[2] - margin)
        blurred = aperture(delta, patient.spacing, camera)
        total += place(blurred, patient.spacing, camera, corner, device).shoot(poses)
    return total
