"""The plain U-Net to compare with: widths, range, order of the images, saving."""

from dataclasses import replace

import pytest
import torch

from networks import PRESETS, EarlyFusionUNet

TINY = PRESETS["tiny"]


def pair(size: int = 64) -> torch.Tensor:
    return torch.rand(2, 2, 1, size, size, generator=torch.Generator().manual_seed(1))


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def test_its_widths_are_those_of_the_options():
    model = EarlyFusionUNet(config=replace(TINY, decoder_channels=(12, 10, 8, 6)))
    assert [scale[1][0].out_channels for scale in model.down] == [6, 8, 10, 12, TINY.stage_channels[-1]]
    assert model.down[0][0][0].in_channels == 2
    sizes = [sum(p.numel() for p in EarlyFusionUNet(config=PRESETS[name]).parameters()) for name in PRESETS]
    assert sizes == sorted(sizes)


@pytest.mark.parametrize(("change", "low"), [("magnitude", 0.0), ("signed", -1.0)])
def test_the_map_starts_near_empty_and_stays_in_its_range(change, low):
    model = EarlyFusionUNet(config=TINY, change=change)
    assert model(*pair()).abs().mean() < 0.1
    model.head.pointwise.weight.data.mul_(1e4)
    output = model(*pair())
    assert low <= output.min() < low + 0.1
    assert 0.9 < output.max() <= 1


def test_both_images_are_seen_and_pairs_do_not_mix():
    model = EarlyFusionUNet(config=TINY).eval()
    model.head.pointwise.weight.data.mul_(100)
    baseline, followup = pair()
    output = model(baseline, followup)
    assert (output - model(followup, baseline)).abs().max() > 1e-3
    other = followup.clone()
    other[1] = 0
    torch.testing.assert_close(model(baseline, other)[0], output[0], rtol=1e-4, atol=1e-5)


def test_it_comes_back_as_it_was_saved(tmp_path):
    model = EarlyFusionUNet(config=TINY, change="signed").eval()
    model.save_pretrained(tmp_path)
    torch.testing.assert_close(EarlyFusionUNet.from_pretrained(tmp_path)(*pair()), model(*pair()))


def test_bad_images_are_named():
    with pytest.raises(ValueError, match="differ in shape"):
        EarlyFusionUNet(config=TINY)(torch.rand(1, 1, 64, 64), torch.rand(1, 1, 64, 32))
    with pytest.raises(ValueError, match="change='both'"):
        EarlyFusionUNet(config=TINY, change="both")
