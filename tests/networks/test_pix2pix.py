"""The U-Net of pix2pix: layers of the paper, any size, saving."""

import pytest
import torch
from torch import nn

from networks import Pix2PixUNet


def pair(height=64, width=64):
    return torch.rand(2, 2, 1, height, width, generator=torch.Generator().manual_seed(1))


def test_with_eight_levels_it_has_the_layers_of_the_paper():
    with torch.device("meta"):
        model = Pix2PixUNet(levels=8)
    assert [layer[0].out_channels for layer in model.down] == [64, 128, 256, 512, 512, 512, 512, 512]
    assert [layer[0].in_channels for layer in model.up] == [512, 1024, 1024, 1024, 1024, 512, 256, 128]
    assert [layer[0].out_channels for layer in model.up] == [512, 512, 512, 512, 256, 128, 64, 64]
    has = [any(isinstance(part, nn.BatchNorm2d) for part in layer) for layer in model.down]
    assert has == [False, *[True] * 6, False]
    noisy = [any(isinstance(part, nn.Dropout) for part in layer) for layer in model.up]
    assert noisy == [True] * 3 + [False] * 5


@pytest.mark.parametrize(("change", "low"), [("magnitude", 0.0), ("signed", -1.0)])
def test_any_size_is_taken_and_the_map_starts_near_empty(change, low):
    torch.manual_seed(0)
    model = Pix2PixUNet(change=change, base_channels=4, levels=3)
    change_map = model(*pair(50, 33))
    assert change_map.shape == (2, 1, 50, 33)
    assert change_map.abs().mean() < 0.1
    assert change_map.min() >= low
    change_map.mean().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_it_trains_on_a_single_pair_down_to_one_pixel():
    torch.manual_seed(0)
    model = Pix2PixUNet(base_channels=4)
    images = pair()[:, :1]
    assert model(*images).isfinite().all()


def test_it_is_saved_and_loaded(tmp_path):
    model = Pix2PixUNet(base_channels=4, levels=3).eval()
    model.save_pretrained(tmp_path)
    assert torch.equal(Pix2PixUNet.from_pretrained(tmp_path)(*pair()), model(*pair()))
