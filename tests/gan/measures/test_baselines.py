import torch
from skimage.data import camera

from gan.measures.baselines import BASELINES, baseline_maps


def shifted(down, right):
    picture = torch.from_numpy(camera()[::2, ::2] / 255.0).float()
    return picture[20 - down : 148 - down, 30 - right : 158 - right][None]


def test_the_maps_are_differences_with_or_without_sign():
    baseline = shifted(0, 0)[None]
    followup = shifted(3, 2)[None]
    magnitudes, signed = (baseline_maps(baseline, followup, signed=signed) for signed in (False, True))
    assert list(magnitudes) == list(signed) == list(BASELINES)
    assert torch.equal(signed["absdiff"], followup - baseline)
    assert all(torch.equal(magnitudes[name], values.abs()) for name, values in signed.items())
    assert not magnitudes["empty"].any()
    assert magnitudes["absdiff"].mean() > 0.01
    assert magnitudes["registered"].mean() < 0.3 * magnitudes["absdiff"].mean()


def test_images_without_a_good_fit_are_compared_as_they_are():
    noise = torch.rand(2, 1, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    maps = baseline_maps(*noise, signed=True)
    torch.testing.assert_close(maps["registered"], maps["absdiff"], atol=1e-4, rtol=0)
