import numpy as np
import pytest

from data import findings
from data.findings import FINDINGS, LOBES, LUNGS, MU_FLUID
from data.simulation.films import change_map
from data.simulation.findings.volume import INSERT, devices
from data.simulation.volumes.anatomy import bounding_box
from data.simulation.volumes.deform import deform
from data.simulation.volumes.projection import Pose, frame, place
from data.simulation.volumes.shapes import distance_to_path, smooth_path, tube

SEEDS = (0, 1, 2, 3)


def rng(seed):
    return np.random.default_rng(seed)


def insert(thorax, name, seed):
    """The finding on the whole grid."""
    return INSERT[name](thorax, rng(seed)).on_grid(thorax.mu.shape)


def labels_hit(thorax, delta):
    """Share of the absolute change in each structure."""
    weight = np.bincount(thorax.labels.ravel(), np.abs(delta).ravel(), minlength=256)
    weight = weight / weight.sum()
    return {name: weight[label] for name, label in thorax.names.items()}


def side_of(thorax, delta):
    hit = labels_hit(thorax, delta)
    return {side: sum(hit[lobe] for lobe in lobes) for side, lobes in LOBES.items()}


def mean_position(thorax, delta):
    points = thorax.points(np.abs(delta) > 0, bounding_box(np.ones_like(delta, dtype=bool)))
    return np.average(points, axis=0, weights=np.abs(delta[np.abs(delta) > 0]))


@pytest.mark.parametrize("name", FINDINGS)
def test_a_finding_is_a_function_of_its_seed(phantom, name):
    np.testing.assert_array_equal(insert(phantom, name, 5), insert(phantom, name, 5))
    assert not np.array_equal(insert(phantom, name, 5), insert(phantom, name, 6))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", FINDINGS)
def test_attenuation_stays_physical_and_has_the_right_sign(thorax, name, seed):
    patient = deform(thorax, rng(100 + seed))
    delta = insert(patient, name, seed)
    assert np.isfinite(delta).all()
    assert (patient.mu + delta).min() >= -1e-6
    if name == "pneumothorax":
        assert delta[delta < 0].sum() < -2 * delta[delta > 0].sum()
    else:
        assert delta.min() >= 0
        assert delta.max() > 0
    if name not in ("device", "pneumothorax"):
        raised = delta > 1e-5
        assert (patient.mu + delta)[raised].max() <= MU_FLUID * 1.01


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", FINDINGS)
def test_a_finding_is_visible_at_64_pixels(thorax, name, seed):
    patient = deform(thorax, rng(200 + seed))
    change = INSERT[name](patient, rng(seed))
    camera = frame(patient, 64)
    target = change_map(place(change.delta, patient.spacing, camera, change.corner).shoot([Pose()]))
    changed = np.abs(target) > 0.05
    assert 2 <= changed.sum() < 0.2 * changed.size
    assert ((target[changed] < 0) == (name == "pneumothorax")).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_consolidation_respects_the_fissures(thorax, seed):
    hit = labels_hit(thorax, insert(thorax, "consolidation", seed))
    assert max(hit[lobe] for lobe in LUNGS) == pytest.approx(1)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_nodule_is_small_and_in_a_lung(thorax, seed):
    delta = insert(thorax, "nodule", seed)
    assert sum(labels_hit(thorax, delta)[lobe] for lobe in LUNGS) > 0.9
    volume = (delta > 0.4 * delta.max()).sum() * thorax.spacing**3
    assert volume < 4 / 3 * np.pi * 19**3


@pytest.mark.parametrize("seed", SEEDS)
def test_an_atelectasis_is_thin_and_flat_and_low_in_one_lung(thorax, seed):
    delta = insert(thorax, "atelectasis", seed)
    share = side_of(thorax, delta)
    side = max(share, key=share.__getitem__)
    assert share[side] == pytest.approx(1)
    assert mean_position(thorax, delta)[2] < thorax.centre(*LOBES[side])[2]
    gained = delta / (MU_FLUID - thorax.mu).clip(1e-6)
    thickness = gained.sum(axis=2) * thorax.spacing  # of the lung that is lost, along the body
    least, most = findings.PLATE_THICKNESS_MM
    upright = np.cos(np.deg2rad(findings.PLATE_TILT_DEGREES + 20))  # with its bow
    assert 0.6 * least < thickness.max() < findings.PLATES[1] * most / upright
    wide, deep, _ = (np.ptp(np.nonzero(delta > 0.002)[axis]) * thorax.spacing for axis in range(3))
    assert deep > 15 and wide > 20


@pytest.mark.parametrize("seed", SEEDS)
def test_an_effusion_lies_low_and_lateral_in_one_lung(thorax, seed):
    delta = insert(thorax, "effusion", seed)
    share = side_of(thorax, delta)
    side = max(share, key=share.__getitem__)
    assert share[side] == pytest.approx(1)
    fluid, lung = mean_position(thorax, delta), thorax.centre(*LOBES[side])
    assert fluid[2] < lung[2] - 20
    # Meniscus: the fluid reaches higher at the side of the chest than at the mediastinum.
    box = thorax.box(*LOBES[side])
    height = np.where((delta > 0.002).any(axis=1), np.arange(delta.shape[2]), 0).max(axis=1)[box[0]]
    outer, inner = (height[:3], height[-6:]) if side == "right" else (height[-3:], height[:6])
    assert outer.max() > np.median(inner)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_pneumothorax_is_apical_and_lateral_air_in_one_lung(thorax, seed):
    delta = insert(thorax, "pneumothorax", seed)
    share = side_of(thorax, delta)
    side = max(share, key=share.__getitem__)
    assert share[side] == pytest.approx(1)
    air, lung = mean_position(thorax, np.minimum(delta, 0)), thorax.centre(*LOBES[side])
    assert air[2] > lung[2]
    assert (air[0] < lung[0]) == (side == "right")
    outside = delta < -0.9 * thorax.mu
    assert (thorax.mu + delta)[outside & (thorax.mu > 0.001)].max() < 0.1 * MU_FLUID


def test_the_collapsed_lung_is_denser_and_ends_in_a_line(phantom):
    delta = insert(phantom, "pneumothorax", 1)
    assert (delta > 0).sum() > 0
    assert delta.max() > 3 * np.median(delta[delta > 0])


@pytest.mark.parametrize("seed", SEEDS)
def test_cardiomegaly_widens_the_heart_shadow(thorax, seed):
    delta = insert(thorax, "cardiomegaly", seed)
    heart = thorax.box("heart")
    grown = (thorax.mask("heart") | (delta > 0.004)).any(axis=(1, 2))
    width = (heart[0].stop - heart[0].start) * thorax.spacing
    assert np.ptp(np.flatnonzero(grown)) * thorax.spacing > width + 8
    assert mean_position(thorax, delta)[0] > thorax.centre("heart")[0]  # mostly to the left
    assert labels_hit(thorax, delta)["liver"] < 0.02


@pytest.mark.parametrize("seed", SEEDS)
def test_fluid_overload_is_bilateral_and_perihilar(thorax, seed):
    delta = insert(thorax, "fluid_overload", seed)
    share = side_of(thorax, delta)
    assert share["left"] > 0.2 and share["right"] > 0.2
    hila = np.stack([thorax.hilum(side) for side in LOBES])

    def far(weight):
        points = thorax.points(weight > 0, bounding_box(np.ones_like(weight, dtype=bool)))
        nearest = np.linalg.norm(points[:, None] - hila, axis=-1).min(axis=1)
        return np.average(nearest, weights=weight[weight > 0])

    haze = np.where(np.arange(delta.shape[2]) > thorax.centre("heart")[2] / thorax.spacing, delta, 0)
    assert far(haze) < 0.8 * far(thorax.lungs.astype(np.float32))


def reaches(thorax, change, name):
    return (change.on_grid(thorax.mu.shape)[thorax.mask(name)] > 0.01).any()


@pytest.mark.parametrize("seed", SEEDS)
def test_devices_go_where_they_belong(thorax, seed):
    pacemaker = devices.pacemaker(thorax, rng(seed))
    assert reaches(thorax, pacemaker, "superior_vena_cava")
    assert reaches(thorax, pacemaker, "heart")
    line = devices.central_line(thorax, rng(seed))
    assert reaches(thorax, line, "superior_vena_cava")
    assert not reaches(thorax, line, "trachea")
    tube_change = devices.endotracheal_tube(thorax, rng(seed))
    assert reaches(thorax, tube_change, "trachea")
    assert not reaches(thorax, tube_change, "heart")
    drain = devices.chest_drain(thorax, rng(seed)).on_grid(thorax.mu.shape)
    assert max(side_of(thorax, drain).values()) > 0.4


def test_a_finding_replaces_tissue_instead_of_adding_to_it(phantom):
    change = INSERT["effusion"](phantom, rng(1))
    again = INSERT["effusion"](phantom.with_change(change), rng(1))
    assert again.delta.sum() < 0.2 * change.delta.sum()


def test_distances_to_a_path_are_euclidean(phantom):
    path = smooth_path([(100.0, 100.0, 100.0), (160.0, 100.0, 100.0)], 1.0)
    distance, box = distance_to_path(phantom, path, 8.0)
    x, y, z = (axis[part] for axis, part in zip((a.ravel() for a in phantom.axes), box, strict=True))
    i, j, k = np.argmin(np.abs(x - 128)), np.argmin(np.abs(y - 104)), np.argmin(np.abs(z - 100))
    assert distance[i, j, k] == pytest.approx(4.0, abs=0.2)


def test_a_tube_has_the_mass_of_its_cross_section(phantom):
    ends = [(100.0, 101.0, 99.0), (220.0, 103.0, 101.0)]
    weight, _ = tube(phantom, ends, 10.0)
    assert weight.sum() * phantom.spacing**3 == pytest.approx(
        np.pi * 100 * 120 + 4 / 3 * np.pi * 1000, rel=0.06
    )
    hollow, _ = tube(phantom, ends, 10.0, inner_radius=6.0)
    assert hollow.min() >= 0
    assert hollow.sum() < 0.75 * weight.sum()
