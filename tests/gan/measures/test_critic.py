"""A critic that never met the generator is fooled by maps of the same distribution, and only by those."""

import pytest
import torch
from torchvision.transforms.functional import gaussian_blur

from gan.measures.critic import critic_accuracy

STEPS = 60
PATIENTS = [f"p{pair // 2}" for pair in range(64)]


def squares(seed):
    generator = torch.Generator().manual_seed(seed)
    maps = torch.zeros(len(PATIENTS), 1, 24, 24)
    for pair in range(len(PATIENTS)):
        top, left, height, width = torch.randint(3, 11, (4,), generator=generator).tolist()
        maps[pair, :, top : top + height, left : left + width] = 0.3 + 0.5 * torch.rand(
            (), generator=generator
        )
    return maps


def test_maps_of_the_same_distribution_fool_it_and_blurred_ones_do_not():
    truths, others = squares(0), squares(1)
    assert critic_accuracy(truths, truths, PATIENTS, steps=3) == 0.5  # each is taken for one or the other
    assert critic_accuracy(others, truths, PATIENTS, steps=STEPS) == pytest.approx(0.5, abs=0.12)
    blurred = gaussian_blur(others, [5, 5], [1.0, 1.0])
    assert critic_accuracy(blurred, truths, PATIENTS, steps=STEPS) > 0.75


def test_it_is_the_same_every_time_and_leaves_no_trace():
    maps = squares(1), squares(0)
    found = critic_accuracy(*maps, PATIENTS, steps=3)
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    assert critic_accuracy(*maps, PATIENTS, steps=3) == found
    assert torch.equal(torch.rand(3), expected)


def test_few_patients_are_refused():
    maps = squares(0)[:6]
    with pytest.raises(ValueError, match="3 patients whose change is known are too few; 4 are needed"):
        critic_accuracy(maps, maps, PATIENTS[:6], steps=1)
    assert critic_accuracy(maps, maps, ["a", "b", "c", "d", "d", "d"], steps=1) == 0.5
