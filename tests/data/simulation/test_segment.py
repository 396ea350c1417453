"""Classical segmentation against the true labels of the CT, of virtual patients of it and of the phantom."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from data.base.errors import DataError
from data.findings import FINDINGS, LOBES, LUNGS, TABLE
from data.simulation.findings.volume import INSERT, possible_findings
from data.simulation.volumes.airways import Airway, find_airway, find_lungs
from data.simulation.volumes.anatomy import assemble
from data.simulation.volumes.ct import find_ct, load_ct
from data.simulation.volumes.deform import deform
from data.simulation.volumes.segment import segment
from data.simulation.volumes.thorax import body_mask, hu_to_mu
from data.simulation.volumes.totalsegmentator import NAMES, bone_mask
from tests.data.simulation.volumes import SPACING, hounsfield, renumbered
from tests.shared import computed_once

CASES = ("ct", "patient", "phantom")


def dice(one, other):
    return 2 * (one & other).sum() / (one.sum() + other.sum())


@pytest.fixture(scope="module")
def segmented(phantom, tmp_path_factory):
    """Truth, HU, body and segmentation by case; the CT where its wheel is installed."""
    return computed_once(tmp_path_factory, "segmented", lambda: _segmented(phantom))


def _segmented(phantom):
    anatomies = {"phantom": phantom}
    folder = find_ct()
    if folder is not None:
        ct = load_ct(folder, 2.0)  # the grid of a run; on coarse ones the trachea is a few voxels wide
        anatomies |= {"ct": ct, "patient": deform(ct, np.random.default_rng(1))}
    found = {}
    for name, anatomy in anatomies.items():
        hu = hounsfield(anatomy.mu)
        body = body_mask(hu)
        found[name] = (anatomy, hu, body, segment(hu, body, anatomy.spacing))
    return found


@pytest.fixture(params=CASES)
def case(request, segmented):
    if request.param not in segmented:
        pytest.skip("the chest CT is not installed")
    return segmented[request.param]


def region(segmentation, *names):
    return np.isin(segmentation.labels, [NAMES[name] for name in names])


@pytest.mark.parametrize("side", list(LOBES))
def test_lungs_are_found(case, side):
    truth, _, _, found = case
    assert dice(region(found, *LOBES[side]), truth.lung(side)) > 0.95


@pytest.mark.parametrize("lobe", LUNGS)
def test_lobes_lie_about_where_they_should(case, lobe):
    truth, _, _, found = case
    assert dice(region(found, lobe), truth.mask(lobe)) > 0.5


def test_the_heart_region_covers_the_heart(case):
    truth, _, _, found = case
    heart = region(found, "heart")
    assert dice(heart, truth.mask("heart")) > 0.75
    centre = np.argwhere(heart).mean(axis=0) * truth.spacing
    assert np.linalg.norm(centre - truth.centre("heart")) < 15


def test_trachea_hila_and_clavicles_are_near_the_true_ones(case):
    truth, _, _, found = case
    for name, reach in (
        ("trachea", 12),
        ("pulmonary_vein", 15),
        ("clavicula_left", 25),
        ("clavicula_right", 25),
    ):
        centre = np.argwhere(region(found, name)).mean(axis=0) * truth.spacing
        assert np.linalg.norm(centre - truth.centre(name)) < reach, name


def test_bones_are_bones(case):
    truth, hu, _, found = case
    bones = bone_mask(truth.labels, truth.names) & (hu > 250)
    assert (found.bones & bones).sum() > 0.85 * bones.sum()
    assert not (found.bones & truth.lungs).sum() > 0.01 * truth.lungs.sum()
    assert (found.bones & truth.mask("heart")).sum() < 0.05 * truth.mask("heart").sum()


@pytest.mark.parametrize("name", [name for name in FINDINGS if name != "device"])
def test_findings_land_in_the_true_structures(case, name):
    truth, hu, _, found = case
    anatomy = assemble(hu_to_mu(hu), found.labels, NAMES, truth.spacing)
    assert name in possible_findings(anatomy)
    inside = truth.lungs
    if name == "cardiomegaly":
        inside = distance_transform_edt(~truth.mask("heart"), sampling=truth.spacing) < 30
    for seed in range(3):
        change = INSERT[name](anatomy, np.random.default_rng(seed))
        weight = np.abs(change.on_grid(inside.shape))
        assert weight[inside].sum() > 0.75 * weight.sum()


def test_known_labels_stay_as_they_are(phantom):
    hu = hounsfield(phantom.mu)
    labels = renumbered(phantom)
    found = segment(hu, body_mask(hu), SPACING, labels)
    assert found.derived == ()
    np.testing.assert_array_equal(found.labels, labels)


def test_only_what_lacks_is_derived(phantom):
    hu = hounsfield(phantom.mu)
    labels = renumbered(phantom)
    labels[np.isin(labels, [NAMES["heart"], NAMES["superior_vena_cava"]])] = 0
    found = segment(hu, body_mask(hu), SPACING, labels)
    assert "heart" in found.derived and "trachea" not in found.derived
    # The veins come from one source, all or none.
    assert {"superior_vena_cava", "brachiocephalic_vein_left"} <= set(found.derived)
    assert dice(found.labels == NAMES["heart"], phantom.mask("heart")) > 0.75


def test_lungs_that_touch_are_parted(phantom):
    hu = hounsfield(phantom.mu)
    right, left = phantom.box(*LOBES["right"]), phantom.box(*LOBES["left"])
    high = round(phantom.centre(*LUNGS)[2] / SPACING) + 8
    bridge = (slice(right[0].stop - 4, left[0].start + 4), slice(44, 47), slice(high, high + 3))
    hu[bridge] = -850
    body = body_mask(hu)
    lungs = find_lungs(hu, body, find_airway(hu, body, SPACING), SPACING)
    assert dice(lungs.right, phantom.lung("right")) > 0.95
    assert dice(lungs.left, phantom.lung("left")) > 0.95


def test_without_a_trachea_nothing_is_guessed(phantom):
    hu = hounsfield(phantom.mu)
    hu[phantom.mask("trachea")] = 40
    with pytest.raises(DataError, match="no trachea was found"):
        segment(hu, body_mask(hu), SPACING)


def test_one_lung_is_not_enough(phantom):
    hu = hounsfield(phantom.mu)
    hu[phantom.lung("left")] = 30
    with pytest.raises(DataError, match="the lungs were not found"):
        segment(hu, body_mask(hu), SPACING)


def test_lungs_of_no_size_are_refused(phantom):
    hu = hounsfield(phantom.mu)
    body = body_mask(hu)
    airway = find_airway(hu, body, SPACING)
    shrunk = Airway(mask=airway.mask[::3, ::3, ::3], carina=airway.carina / 3)
    with pytest.raises(DataError, match="lung"):
        find_lungs(hu[::3, ::3, ::3], body[::3, ::3, ::3], shrunk, SPACING)


@pytest.mark.parametrize(
    ("swap", "message"),
    [
        (dict(zip(LOBES["left"], LOBES["right"][::2], strict=True)), "wrong sides"),
        ({"lung_upper_lobe_left": "liver", "liver": "lung_upper_lobe_left"}, "holds no air|wrong sides|lung"),
    ],
)
def test_implausible_labels_are_refused(phantom, swap, message):
    hu = hounsfield(phantom.mu)
    labels = renumbered(phantom)
    swapped = labels.copy()
    pairs = {**swap, **{other: name for name, other in swap.items()}}
    for name, other in pairs.items():
        swapped[labels == NAMES[name]] = NAMES[other]
    if message == "wrong sides":
        swapped[labels == NAMES["lung_middle_lobe_right"]] = NAMES["lung_middle_lobe_right"]
    with pytest.raises(DataError, match=message):
        segment(hu, body_mask(hu), SPACING, swapped)


@pytest.mark.parametrize("name", FINDINGS)
def test_a_finding_without_its_structures_is_not_possible(phantom, name):
    lost = TABLE[name].needs[-1]
    boxes = {structure: box for structure, box in phantom.boxes.items() if structure != lost}
    assert name not in possible_findings(replace(phantom, boxes=boxes))
    assert possible_findings(phantom) == FINDINGS
