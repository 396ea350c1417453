"""Pairs of a virtual patient whose findings are drawn into the film, as into radiographs of real patients."""

import numpy as np

from data.findings import LOBES, Side
from data.simulation.drawing.chest import Chest, measure
from data.simulation.films import Plane, change_map, expose
from data.simulation.findings.film import draw_visible
from data.simulation.scenarios import Scenario, play
from data.simulation.volumes.anatomy import Anatomy, Lungs, Mask, corner_of
from data.simulation.volumes.projection import PlacedVolume, Pose, place

_FIELD = 0.4
"""Share of the longest path through a lung from which on a film shows lung; the recesses behind the heart and
beside the diaphragm are shallower."""
_HEART_MM = 25.0
"""Path through the heart from which on it hides the lung behind it."""


def draw_films(
    patient: Anatomy,
    base: PlacedVolume,
    pose: Pose,
    scenario: Scenario,
    rngs: tuple[np.random.Generator, ...],
) -> tuple[Plane, Plane, Plane]:
    """Baseline, followup and target `[H, W]`, all three in one pose.

    Args:
        patient: the virtual patient.
        base: its attenuation before the camera.
        pose: how it stands.
        scenario: what changes.
        rngs: sources of the findings, and of the exposures.
    """
    findings, films = rngs
    lines = base.shoot([pose])[0]
    film = expose(lines, films)
    chest = _chest(patient, base, pose, film)
    played = play(scenario, chest, lambda chest, name: draw_visible(name, chest, findings))
    stable, new, old, arriving, leaving = played.totals(lambda planes: sum(planes, np.zeros_like(film)))
    lines = lines + stable
    baseline, followup = expose(lines + old + leaving, films), expose(lines + new + arriving, films)
    return baseline, followup, change_map(new - old)


def _chest(patient: Anatomy, base: PlacedVolume, pose: Pose, film: Plane) -> Chest:
    heart = _path(patient, base, pose, ("heart",)) > _HEART_MM if patient.has("heart") else None
    lungs = Lungs(**{side: _field(patient, base, pose, side, heart) for side in LOBES})
    return measure(film, lungs, base.camera.pixel_mm, heart)


def _field(patient: Anatomy, base: PlacedVolume, pose: Pose, side: Side, heart: Mask | None) -> Mask:
    """Where the film shows a lung."""
    path = _path(patient, base, pose, LOBES[side])
    shown = path > _FIELD * path.max()
    return shown if heart is None else shown & ~heart


def _path(patient: Anatomy, base: PlacedVolume, pose: Pose, structures: tuple[str, ...]) -> Plane:
    """Path `[H, W]` in mm of the rays through some structures."""
    box = patient.box(*structures)
    inside = patient.mask(*structures, box=box).astype(np.float32)
    return place(inside, patient.spacing, base.camera, corner_of(box)).shoot([pose])[0]
