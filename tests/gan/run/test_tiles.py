"""Tiles laid together are the whole: no seam, no shift, whatever the sizes."""

import numpy as np
import pytest
import torch

from data import Radiograph
from gan.run.feeding import NATIVE, feed, fit_pair, side_of
from gan.run.tiles import map_in_tiles, starts_of
from tests.gan.predict.models import Convolution, Difference, fed, model


def images(side, *, count=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.rand(count, 1, side, side, generator=generator) for _ in range(2))


@pytest.mark.parametrize(("side", "size"), [(64, 64), (100, 64), (193, 64), (128, 48), (70, 10 + 24)])
def test_tiles_of_a_convolutional_network_are_the_whole_map(side, size):
    pair, network = images(side), Convolution()
    with torch.no_grad():
        whole, tiled = network(*pair), map_in_tiles(network, pair, size, at_once=3)
    assert whole.abs().max() > 0.5
    assert (whole - tiled).abs().max() < 1e-5


def test_what_a_network_misses_at_the_rim_of_a_tile_is_not_used():
    """Each tile's outer eighth is nonsense; only at the image's own edge is there nothing else."""

    def nonsense_at_the_rim(_, followup):
        change = torch.zeros_like(followup)
        change[..., :8], change[..., -8:], change[..., :8, :], change[..., -8:, :] = 9, 9, 9, 9
        return change

    tiled = map_in_tiles(nonsense_at_the_rim, images(256), 64)
    assert not tiled[..., 8:-8, 8:-8].any()


def test_tiles_start_where_a_network_that_halves_five_times_samples_alike():
    assert all(start % 32 == 0 for start in starts_of(1024, 512))
    assert starts_of(64, 64) == [0]
    assert starts_of(1000, 512)[-1] == 1000 - 512


@pytest.mark.parametrize("shift", [32, 7])
def test_a_shift_of_the_input_shifts_the_map_alike(shift):
    (baseline, followup), network = images(192, count=1), Convolution()
    there = map_in_tiles(network, (baseline, followup), 64)
    moved = map_in_tiles(network, (baseline.roll(shift, -1), followup.roll(shift, -1)), 64)
    margin = shift + 4  # what was rolled in, and what is filtered with it
    assert (there.roll(shift, -1) - moved)[..., margin:-4].abs().max() < 1e-5


def test_as_fine_as_the_file_nothing_is_lost():
    rng = np.random.default_rng(0)
    before, after = (Radiograph(pixels=rng.random((150, 90), np.float32), spacing_mm=None) for _ in range(2))
    signed = model(Difference)
    exact = torch.from_numpy(after.pixels - before.pixels)
    assert (signed(before, after, tiles=NATIVE)[0] - exact).abs().max() < 1e-5
    assert (signed(before, after)[0] - exact).abs().max() > 0.1


def test_the_size_in_which_a_pair_is_seen():
    picture = Radiograph(pixels=np.zeros((300, 200), np.float32), spacing_mm=None)
    preprocessing = fed("Difference", "signed", size=64)
    sides = [side_of(picture.geometry("pad"), preprocessing, tiles) for tiles in (1, 3, NATIVE)]
    assert sides == [64, 192, 300]
    assert side_of(picture.geometry("crop"), preprocessing, NATIVE) == 200
    pair = fit_pair(picture, picture, preprocessing, tiles=2)
    assert feed([pair, pair], align=False).followup.shape == (2, 1, 128, 128)
