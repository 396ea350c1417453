import numpy as np
import pytest

from data.findings import MU_WATER
from data.simulation.shapes import bspline_basis, spline_field
from data.simulation.volumes.deform import deform, displacement


def rng(seed):
    return np.random.default_rng(seed)


def test_bsplines_sum_to_one():
    basis = bspline_basis(np.arange(0, 300, 4, dtype=np.float32), 64.0)
    np.testing.assert_allclose(basis.sum(axis=1), 1, atol=1e-5)


def test_a_spline_field_keeps_the_order_of_the_axes_and_its_bound():
    axes = tuple(np.ogrid[0:20, 0:30, 0:40])
    field = spline_field(tuple(axis.astype(np.float32) for axis in axes), 8.0, 2.0, rng(0))
    assert field.shape == (20, 30, 40)
    assert np.abs(field).max() <= 2.0


@pytest.mark.parametrize("seed", range(6))
def test_the_deformation_does_not_fold(phantom, seed):
    field = displacement(phantom, rng(seed))
    jacobian = np.stack([np.stack(np.gradient(component, phantom.spacing)) for component in field])
    determinant = np.linalg.det(np.moveaxis(jacobian, (0, 1), (-2, -1)) + np.eye(3))
    assert determinant.min() > 0.3


def test_a_patient_is_a_function_of_its_seed(phantom):
    one, same, other = (deform(phantom, rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.mu, same.mu)
    np.testing.assert_array_equal(one.labels, same.labels)
    assert (one.labels != other.labels).mean() > 0.01


def test_attenuation_and_labels_move_together(thorax):
    patient = deform(thorax, rng(3))
    assert np.median(patient.mu[patient.lungs]) < 0.35 * MU_WATER
    assert np.median(patient.mu[patient.mask("heart")]) > 0.95 * MU_WATER
    assert patient.wall_depth[patient.lungs].mean() > 5


def test_boxes_hold_their_structures(phantom):
    patient = deform(phantom, rng(4))
    for name in ("heart", "trachea", "clavicula_left"):
        mask = patient.mask(name)
        assert mask[patient.box(name)].sum() == mask.sum() > 0
