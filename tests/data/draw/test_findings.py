from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt, gaussian_filter

from data.findings import FINDINGS, MU_LUNG_TO_FLUID, MU_METAL
from data.simulation import films as physics
from data.simulation.drawing.chest import CHEST_WIDTH_MM, measure
from data.simulation.drawing.frame import SIDES, Frame
from data.simulation.drawing.lungs import find_lungs
from data.simulation.findings.film import DRAW, SMALLEST_CHANGE
from data.simulation.findings.film.devices import DEVICES
from data.simulation.findings.film.pleura import _distance_from_wall, fluid_layer

SEEDS = range(4)


@pytest.fixture(scope="module")
def chest(films):
    image = films[0].image
    return measure(image, find_lungs(image, Path("film.png")), None)


@pytest.fixture(scope="module")
def fine_chest(fine_film):
    image = fine_film.image
    return measure(image, find_lungs(image, Path("film.png")), None)


def longest_step(added, chest, step, axis):
    """Length in mm of the longest straight edge along the rows or columns, higher than `step` on a pixel."""
    rises = np.diff(added, axis=axis)
    best = 0
    for line in np.concatenate([rises > step, rises < -step], axis=1 - axis).swapaxes(0, axis):
        ends = np.flatnonzero(np.diff(line.astype(int), prepend=0, append=0)).reshape(-1, 2)
        best = max(best, int(np.ptp(ends, axis=1).max(initial=0)))
    return best * chest.frame.pixel


def in_lungs(chest, mm):
    lungs = chest.frame.lungs["right"] | chest.frame.lungs["left"]
    return distance_transform_edt(~lungs) * chest.frame.pixel <= mm


@pytest.mark.parametrize("name", FINDINGS)
def test_a_finding_is_finite_visible_and_a_function_of_its_seed(chest, name):
    for seed in SEEDS:
        added, again = (DRAW[name](chest, np.random.default_rng(seed)) for _ in range(2))
        assert added.shape == chest.density.shape and added.dtype == np.float32
        assert np.isfinite(added).all() and np.abs(added).max() > 0.05
        np.testing.assert_array_equal(added, again)


@pytest.mark.parametrize(
    ("name", "beyond"),
    [
        ("consolidation", 4),
        ("nodule", 5),
        ("fluid_overload", 13),
        ("atelectasis", 3),
        ("effusion", 13),
        ("pneumothorax", 7),
    ],
)
def test_findings_of_the_lung_stay_in_the_lung(chest, name, beyond):
    for seed in SEEDS:
        added = DRAW[name](chest, np.random.default_rng(seed))
        assert np.abs(added[~in_lungs(chest, beyond)]).max() < 1e-4


@pytest.mark.parametrize("name", [name for name in FINDINGS if name != "pneumothorax"])
def test_findings_add_attenuation(chest, name):
    for seed in SEEDS:
        assert DRAW[name](chest, np.random.default_rng(seed)).min() >= 0


def test_a_pneumothorax_takes_attenuation_and_marks_the_pleura(chest):
    for seed in SEEDS:
        added = DRAW["pneumothorax"](chest, np.random.default_rng(seed))
        assert added.min() < -0.15
        assert 0 < added.max() < 0.4
        assert added[added < 0].sum() < -added[added > 0.08].sum()


def test_soft_tissue_gets_no_denser_than_the_heart(chest):
    for name in ("consolidation", "effusion", "fluid_overload", "atelectasis"):
        for seed in SEEDS:
            assert (DRAW[name](chest, np.random.default_rng(seed)) <= chest.room + 0.11).all()


def test_an_effusion_hides_the_costophrenic_angle(chest):
    frame = chest.frame
    for seed in SEEDS:
        added = DRAW["effusion"](chest, np.random.default_rng(seed))
        side = max(SIDES, key=lambda side: added[frame.lungs[side]].sum())
        row, column = (round(mm / frame.pixel) for mm in frame.base(side))
        near = added[row - 3 : row + 1, column - 2 : column + 3]
        assert near.max() > 0.3 * chest.room[row - 3 : row + 1, column - 2 : column + 3].max()
        assert added[: round((frame.top[side] + 0.3 * frame.height[side]) / frame.pixel)].max() == 0


def whitened(films, hidden):
    """A chest whose right lung is as white as the heart from a share of its height on."""
    image = films[0].image
    fields = find_lungs(image, Path("film.png"))
    whole = measure(image, fields, None)
    rows = np.flatnonzero(fields.right.any(axis=1))
    white = fields.right.copy()
    white[: rows[0] + int(hidden * rows.size)] = False
    share = gaussian_filter(white.astype(np.float32), 1.0)
    grey = np.median(image[whole.frame.heart])
    return measure(image * (1 - share) + grey * share, fields, None), white


@pytest.mark.parametrize("name", ["consolidation", "nodule", "fluid_overload"])
@pytest.mark.parametrize("hidden", [0.0, 0.5], ids=["white", "half white"])
def test_nothing_is_drawn_where_a_lung_is_white_already(films, name, hidden):
    chest, white = whitened(films, hidden)
    core = distance_transform_edt(white) * chest.frame.pixel > 16
    for seed in range(8):
        added = DRAW[name](chest, np.random.default_rng(seed))
        assert added[core].max() < SMALLEST_CHANGE
        assert added.max() > 0.1


def test_an_effusion_goes_to_the_side_that_has_air(films):
    chest, white = whitened(films, 0.0)
    for seed in range(8):
        added = DRAW["effusion"](chest, np.random.default_rng(seed))
        assert added[chest.frame.lungs["left"]].sum() > 10 * added[white].sum()


@pytest.mark.parametrize("height", [40.0, 90.0])
def test_no_effusion_stands_above_its_fluid_line(chest, height):
    """It rises to its height at the chest wall, to 0.68 of it at the mediastinum, and ends within 9 mm."""
    for side in SIDES:
        added = fluid_layer(chest, side, height, np.random.default_rng(0))
        rows = chest.frame.rows[:, 0] - chest.frame.base(side)[0]
        assert not added[rows < -height - 7.5].any()
        assert added[rows > -0.6 * height].max() > 0.2


def test_a_pneumothorax_has_no_straight_edges(fine_chest):
    for seed in range(12):
        added = DRAW["pneumothorax"](fine_chest, np.random.default_rng(seed))
        assert longest_step(added, fine_chest, 0.05, axis=0) < 32
        assert longest_step(added, fine_chest, 0.05, axis=1) < 60


def test_air_is_measured_from_the_wall_beside_and_above_a_lung_only():
    """Against the closed form for lungs that are discs of 60 mm."""
    pixel, radius = 0.5, 60.0
    rows, columns = np.mgrid[:300, :600] * pixel
    centres = {"right": 75.0, "left": 225.0}
    lungs = {side: np.hypot(rows - 75.0, columns - column) < radius for side, column in centres.items()}
    frame = Frame(lungs=lungs, pixel=pixel)
    for side, column in centres.items():
        down, out = rows - 75.0, frame.outward(side) * (columns - column)
        deep = radius - np.hypot(down, out)
        found = _distance_from_wall(frame, side)
        beside = lungs[side] & (down < 0) & (out > 0)
        np.testing.assert_allclose(found[beside], deep[beside], atol=1.5)
        assert found[lungs[side] & (deep < 5) & (out < -45) & (down > 0)].min() > 15
        assert found[lungs[side] & (deep < 5) & (out < 0) & (down > 45)].min() > 15
        assert np.abs(np.diff(found, axis=0)).max() < 1.5 * pixel


def test_a_large_heart_ends_gradually_above_and_below(fine_chest):
    for seed in range(12):
        added = DRAW["cardiomegaly"](fine_chest, np.random.default_rng(seed))
        assert longest_step(added, fine_chest, 0.15, axis=0) < 6.5


def test_a_large_heart_is_larger_to_the_left(chest):
    middle = chest.frame.middle(0) + chest.frame.midline[1] * chest.frame.rows
    left = np.broadcast_to(chest.frame.columns > middle, chest.density.shape)
    shares = []
    for seed in range(12):
        added = DRAW["cardiomegaly"](chest, np.random.default_rng(seed))
        shares.append(added[left].sum() / added.sum())
    assert min(shares) > 0.55 and np.mean(shares) > 0.63


@pytest.mark.parametrize("kind", DEVICES)
def test_every_device_is_there(chest, kind):
    added = DEVICES[kind](chest.frame, np.random.default_rng(0))
    assert added.max() > 0.2 and added.min() >= 0
    assert 0.0003 < (added > 0.05).mean() < 0.08


def test_a_wire_has_the_attenuation_of_its_diameter_and_keeps_its_cross_section(chest):
    frame = chest.frame
    line = frame.course([(40.0, 60.0), (40.0, 200.0)])
    column = round(130 / frame.pixel)
    wide = MU_METAL * frame.chord(line, 9.0)[:, column]
    assert wide.max() == pytest.approx(MU_METAL * 18.0, rel=0.02)
    for radius in (0.4, 9.0):
        area = frame.chord(line, radius)[:, column].sum() * frame.pixel
        assert area == pytest.approx(np.pi * radius**2, rel=0.25)


def test_a_nodule_is_the_chord_of_a_ball(chest):
    for seed in range(20):
        added = DRAW["nodule"](chest, np.random.default_rng(seed))
        area = (added > 0.02).sum() * chest.frame.pixel**2
        radius = np.sqrt(area / np.pi)
        assert 2.5 < radius < 21  # 15 mm, lobulated by up to 30 %, and its spicules
        assert added.max() < 1.25 * MU_LUNG_TO_FLUID * 2 * 15 * 1.31


def test_an_atelectasis_is_a_thin_nearly_flat_line_low_in_one_lung(fine_chest):
    frame = fine_chest.frame
    for seed in range(12):
        added = DRAW["atelectasis"](fine_chest, np.random.default_rng(seed))
        side = max(SIDES, key=lambda side: added[frame.lungs[side]].sum())
        assert added[frame.lungs[side]].sum() == pytest.approx(added.sum(), rel=0.05)
        assert added[: round((frame.top[side] + 0.45 * frame.height[side]) / frame.pixel)].max() == 0
        assert added.max() < MU_LUNG_TO_FLUID * 60
        seen = added > 0.3 * added.max()
        assert 15 < np.ptp(np.flatnonzero(seen.any(axis=0))) * frame.pixel < 160
        thick = seen.sum(axis=0).max() * frame.pixel
        assert thick < 3 * (3 + 2 * frame.pixel)  # of three plates at most


def test_lengths_follow_the_spacing_where_it_is_plausible(films):
    image = films[0].image
    fields = find_lungs(image, Path("film.png"))
    width = np.ptp(np.flatnonzero(fields.both.any(axis=0))) + 1
    assert measure(image, fields, 1.6).frame.pixel == 1.6
    for unknown in (None, 0.01, 20.0):
        assert measure(image, fields, unknown).frame.pixel == pytest.approx(CHEST_WIDTH_MM / width)


def test_the_tone_is_that_of_the_embedded_film_and_follows_contrast(films):
    image = films[0].image
    fields = find_lungs(image, Path("film.png"))
    tone = measure(image, fields, None).tone
    assert 0.7 < tone / physics.TONE_WIDTH < 1.6  # scatter flattens the film beyond its curve
    flat = 1 / (1 + np.exp(-0.5 * np.log(image / (1 - image))))
    assert measure(flat, fields, None).tone == pytest.approx(2 * tone, rel=0.02)


def test_added_attenuation_moves_the_logit_and_nothing_else():
    grey = np.linspace(0.05, 0.9, 50, dtype=np.float32)[None]
    added = np.full_like(grey, 0.1)
    shown = physics.add_attenuation(grey, added, width=0.8)
    inside = shown < 1 - physics.TOE
    moved = (physics.logit(shown) - physics.logit(grey)) * 0.8
    np.testing.assert_allclose(moved[inside], 0.1, atol=1e-4)
    same = physics.add_attenuation(grey, np.zeros_like(grey), width=0.8)
    np.testing.assert_array_equal(same, grey)
    ends = np.array([[0.0, 1.0]], dtype=np.float32)
    np.testing.assert_allclose(physics.add_attenuation(ends, ends * 0 + 5, 0.8), [[0.91, 1.0]], atol=0.1)
