import numpy as np
import torch
from skimage.data import camera
from skimage.registration import phase_cross_correlation

from gan.measures.baselines import BASELINES, baseline_maps, register


def shifted(down, right):
    picture = torch.from_numpy(camera()[::2, ::2] / 255.0).float()
    return picture[20 - down : 148 - down, 30 - right : 158 - right][None]


def test_a_shifted_baseline_is_brought_onto_the_followup():
    shifts = [(7, -5), (0, 0), (-9, 11)]
    baseline, followup = torch.stack([shifted(0, 0)] * 3), torch.stack([shifted(*shift) for shift in shifts])
    moved, seen = register(baseline, followup)
    assert ((moved - followup).abs() * seen).max() == 0
    assert seen.float().mean() > 0.85
    for pair, shift in enumerate(shifts):
        images = followup[pair, 0].numpy(), baseline[pair, 0].numpy()
        np.testing.assert_array_equal(phase_cross_correlation(*images, normalization="phase")[0], shift)


def test_what_is_far_off_is_left_where_it_is():
    baseline = shifted(0, 0)[None]
    moved, seen = register(baseline, baseline.roll((60, 0), (-2, -1)))
    assert torch.equal(moved, baseline)
    assert seen.all()


def test_the_maps_are_differences_with_or_without_sign():
    baseline = shifted(0, 0)[None]
    followup = shifted(3, 2)[None]
    magnitudes, signed = (baseline_maps(baseline, followup, signed=signed) for signed in (False, True))
    assert list(magnitudes) == list(signed) == list(BASELINES)
    assert torch.equal(signed["absdiff"], followup - baseline)
    assert all(torch.equal(magnitudes[name], values.abs()) for name, values in signed.items())
    assert not magnitudes["empty"].any()
    assert not magnitudes["registered"].any()
    assert magnitudes["absdiff"].mean() > 0.01
