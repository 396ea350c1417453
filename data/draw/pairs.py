"""One radiograph -> pairs: what changes, drawn and exposed."""

from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
from skimage.transform import resize

from data.base.errors import DataError
from data.base.seeds import fold_seed
from data.draw.copies import Coordinates, draw_poses, expose, move
from data.draw.masks import Cells, read_masks, split_lungs
from data.draw.options import DrawConfig
from data.files.images import Radiograph
from data.findings import Finding
from data.simulation.drawing.chest import Chest, measure
from data.simulation.drawing.lungs import find_lungs
from data.simulation.films import Plane, add_attenuation, change_map, resized
from data.simulation.findings.film import draw_visible
from data.simulation.scenarios import Scenario, columns_of, draw_in_turns, play


@dataclass(frozen=True, kw_only=True)
class DrawnPair:
    """Images `[H, W]` in [0, 1]; maps in [-1, 1] where signed, in [0, 1] where magnitudes."""

    baseline: Plane
    followup: Plane
    target: Plane
    """Change in the geometry of the followup; signed, positive is more attenuation in the followup."""
    target_baseline: Plane
    """The same change in the geometry of the baseline."""
    findings: tuple[Finding, ...]
    """Findings that change."""
    columns: dict[str, str]
    """What else is known of the pair: `columns_of` its scenario, and `group`."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """A radiograph to draw into, at the size that is written."""

    id: str
    path: Path
    image: Plane
    chest: Chest


def find_chest(
    radiograph: Radiograph,
    record_id: str,
    path: Path,
    config: DrawConfig,
    masks: Cells = MappingProxyType({}),
) -> Source:
    """Bring a radiograph to square pixels and to the size asked for, and find its lungs.

    Args:
        radiograph: the radiograph.
        record_id: its id.
        path: its file.
        config: options.
        masks: what is known of its lungs and its heart, as `masks_of` gives it.

    Raises:
        DataError: naming the file, if it shows no two lung fields or a mask does not fit it.
    """
    image, aspect = radiograph.pixels, radiograph.grid.pixel_aspect
    # No detail is lost where the shorter side of a pixel becomes both.
    native = round(max(image.shape[0] * max(aspect, 1), image.shape[1] / min(aspect, 1)))
    longest = native if config.image_size == "native" else int(config.image_size)
    if aspect != 1 or longest != native:
        image = np.clip(resized(image, longest, aspect), 0, 1)
    pixel = None
    if radiograph.spacing_mm is not None:
        pixel = radiograph.spacing_mm[0] * radiograph.pixels.shape[0] / image.shape[0]
    known = {
        name: resize(mask.astype(np.float32), image.shape, order=1) > 0.5
        for name, mask in read_masks(masks, path, radiograph.pixels.shape).items()
    }
    lungs = split_lungs(known["lungs"], path) if "lungs" in known else find_lungs(image, path)
    chest = measure(image, lungs, pixel, known.get("heart"))
    return Source(id=record_id, path=path, image=image, chest=chest)


def draw_scenarios(record_id: str, config: DrawConfig) -> list[Scenario]:
    """One scenario for every pair of a radiograph."""
    rng = np.random.default_rng(fold_seed("scenarios", config.seed, record_id))
    return draw_in_turns(config.findings, config.pairs_per_image, config, rng)


def draw_pair(source: Source, scenario: Scenario, pair: int, config: DrawConfig) -> DrawnPair:
    """Draw one pair; a function of the seed, the radiograph's id and the number of the pair only.

    Both copies of the radiograph go through one interpolation each, findings or none, so that nothing but the
    finding tells them apart. Findings are drawn before it, and their maps take the same interpolation.

    Raises:
        DataError: naming the file, if a finding finds no room in its lungs.
    """
    change = pair // config.views_per_change
    findings = np.random.default_rng(fold_seed("findings", config.seed, source.id, change))
    rng = np.random.default_rng(fold_seed("pair", config.seed, source.id, pair))
    played = play(scenario, source.chest, lambda chest, name: _draw(name, chest, source.path, findings))
    stable, new, old, arriving, leaving = played.totals(
        lambda planes: sum(planes, np.zeros_like(source.image))
    )
    baseline_pose, followup_pose = draw_poses(source.image.shape, config, rng)
    # Both copies have the noise of one film; so what is drawn into them has the same one, too.
    grain = fold_seed("grain", config.seed, source.id, pair)
    films = [
        expose(_film(source, move(stable + added, pose), pose, grain, config), config, rng)
        for pose, added in ((baseline_pose, old + leaving), (followup_pose, new + arriving))
    ]
    target, target_baseline = (change_map(move(new - old, pose)) for pose in (followup_pose, baseline_pose))
    columns = columns_of(scenario, target) | {"group": str(change)}
    if config.change == "magnitude":
        target, target_baseline = np.abs(target), np.abs(target_baseline)
    return DrawnPair(
        baseline=films[0],
        followup=films[1],
        target=target,
        target_baseline=target_baseline,
        findings=scenario.changing,
        columns=columns,
    )


def _film(source: Source, added: Plane, pose: Coordinates, grain: int, config: DrawConfig) -> Plane:
    """The radiograph in a pose with what was drawn into it, and with its grain where noise is asked for."""
    film = move(source.image, pose)
    drawn_into = add_attenuation(film, added, source.chest.tone)
    if not config.noise:
        return drawn_into
    return source.chest.grain.renew(film, drawn_into, np.random.default_rng(grain))


def _draw(name: Finding, chest: Chest, path: Path, rng: np.random.Generator) -> Plane:
    try:
        return draw_visible(name, chest, rng)
    except DataError as error:
        raise DataError(f"{path} leaves {error}") from None
