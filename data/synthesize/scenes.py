"""What the pairs of `python -m data.synthesize` show: poses and findings, drawn from its options."""

from collections.abc import Iterator, Sequence

import numpy as np

from data.base.seeds import fold_seed
from data.findings import Finding
from data.simulation.pairs import Draw, Pairs, render_pairs
from data.simulation.scenarios import draw_by_weight
from data.simulation.volumes.anatomy import Anatomy
from data.simulation.volumes.deform import deform
from data.simulation.volumes.projection import Pose
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
    weights = {name: config.findings.of(name) for name in possible}

    def draws() -> Iterator[Draw]:
        for pair in range(config.pairs_per_patient):
            change = pair // config.views_per_change
            findings = _rng("findings", config.seed, volume, patient, change)
            films = _rng("films", config.seed, volume, patient, pair)
            yield Draw(
                scenario=draw_by_weight(weights, config, findings),
                group=str(change),
                poses=(draw_pose(config.pose, films), draw_pose(config.pose, films)),
                findings=findings,
                films=films,
            )

    return render_pairs(anatomy, config.image_size, draws(), device)


def _rng(*parts: int | str) -> np.random.Generator:
    return np.random.default_rng(fold_seed(*parts))
