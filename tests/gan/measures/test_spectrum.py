import math

import pytest
import torch

from gan.measures.spectrum import checkerboard, spectral_distance


def dots(count=200, side=24, seed=0):
    """One random blob of 3 x 3 pixels on each map."""
    generator = torch.Generator().manual_seed(seed)
    maps = torch.zeros(count, 1, side, side)
    for k in range(count):
        top, left = torch.randint(2, side - 5, (2,), generator=generator).tolist()
        maps[k, :, top : top + 3, left : left + 3] = 0.8
    return maps


def test_half_as_strong_maps_are_six_decibel_away_and_equal_ones_none():
    noise = torch.rand(20, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    assert spectral_distance(noise, noise) == 0
    assert spectral_distance(0.5 * noise, noise) == pytest.approx(20 * math.log10(2), rel=1e-3)
    assert spectral_distance(0.5 * noise, noise) == spectral_distance(noise, 0.5 * noise)


def test_what_no_image_of_8_bits_shows_is_no_distance():
    empty = torch.zeros(4, 1, 32, 32)
    assert spectral_distance(empty + 1e-5 * torch.rand_like(empty), empty) < 0.01


def test_of_a_pattern_that_is_the_same_everywhere_all_power_is_in_phase():
    board = torch.zeros(4, 4)
    board[0, 0] = 1  # which has power at all of the frequencies
    maps = board.tile(3, 1, 6, 6)
    assert checkerboard(maps) == pytest.approx(1, abs=1e-3)
    assert checkerboard(maps[..., :22, :21]) == pytest.approx(1, abs=1e-3)
    shifted = torch.cat([maps.roll((row, column), (-2, -1)) for row in range(4) for column in range(4)])
    assert abs(checkerboard(shifted)) < 0.1


def test_edges_are_no_checkerboard_and_upsampling_that_is_uneven_is():
    truths = dots()
    assert abs(checkerboard(truths)) < 0.02
    assert checkerboard(torch.zeros_like(truths)) == pytest.approx(0, abs=1e-6)
    uneven = truths.clone()
    uneven[..., ::2, ::2] *= 1.5
    assert checkerboard(uneven) > checkerboard(truths) + 0.03
