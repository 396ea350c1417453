"""Pairs of radiographs of a virtual patient, projected with what changes between them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from data.findings import Finding
from data.simulation.films import Plane, change_map, expose
from data.simulation.findings.volume import INSERT
from data.simulation.scenarios import Scenario, columns_of, play
from data.simulation.volumes.anatomy import Anatomy, Change
from data.simulation.volumes.projection import Camera, PlacedVolume, Pose, aperture, frame, place


@dataclass(frozen=True, kw_only=True)
class Draw:
    """What settles a pair."""

    scenario: Scenario
    """What changes."""
    group: str
    """Name of the change among those of the patient; pairs of one group show the same findings."""
    poses: tuple[Pose, Pose]
    """Of baseline and followup; alike where `drawn`."""
    findings: np.random.Generator
    """Source of the findings, alike in every pair of the group."""
    films: np.random.Generator
    """Source of the exposures."""
    drawn: bool = False
    """Whether findings are drawn into the film, as into a real patient's, and not put into the volume."""

    @property
    def pose_difference(self) -> float:
        """Sum of the rotations between the two images about each axis, without their signs, in degrees."""
        angles = [pose.rotation for pose in self.poses]
        return sum(abs(one - other) for one, other in zip(*angles, strict=True))


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
    columns: list[dict[str, str]]
    """What else is known of each pair: `columns_of` its scenario, `pose_difference` (degrees), `made`
    (projected, or drawn into the film) and `group`."""


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
    scenarios, rendered, columns = [], [], []
    for draw in draws:
        scenarios.append(draw.scenario)
        rendered.append(_render_pair(patient, base, draw, device))
        made = "drawn" if draw.drawn else "projected"
        known = {"pose_difference": f"{draw.pose_difference:.1f}", "made": made, "group": draw.group}
        columns.append(columns_of(draw.scenario, rendered[-1][2]) | known)
    baseline, followup, target, target_baseline = (np.stack(each) for each in zip(*rendered, strict=True))
    return Pairs(
        baseline=baseline,
        followup=followup,
        target=target,
        target_baseline=target_baseline,
        findings=[scenario.changing for scenario in scenarios],
        present=[scenario.present for scenario in scenarios],
        columns=columns,
    )


def _render_pair(
    patient: Anatomy, base: PlacedVolume, draw: Draw, device: str
) -> tuple[Plane, Plane, Plane, Plane]:
    """Baseline, followup, target and target in the baseline's geometry, each `[H, W]`."""
    if draw.drawn:
        from data.simulation.drawn import draw_films  # and scipy, which reading a cache can do without

        baseline, followup, change = draw_films(
            patient, base, draw.poses[1], draw.scenario, (draw.findings, draw.films)
        )
        return baseline, followup, change, change
    played = play(draw.scenario, patient, lambda thorax, name: INSERT[name](thorax, draw.findings))
    stable, new, old, arriving, leaving = played.totals(
        lambda changes: _project_changes(changes, patient, base.camera, draw.poses, device)
    )
    lines = base.shoot(draw.poses) + stable
    baseline, followup = lines[0] + old[0] + leaving[0], lines[1] + new[1] + arriving[1]
    target = change_map(new - old)
    return expose(baseline, draw.films), expose(followup, draw.films), target[1], target[0]


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
