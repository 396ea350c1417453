"""What the discriminator sees: the same of both images and of every map, and gradients pass."""

import pytest
import torch

from gan.adversarial.augment import AUGMENTATIONS, augment_judged

KEYS = [f"step/{number}" for number in range(24)]


def one_hot(row, column, side=16):
    image = torch.zeros(len(KEYS), 1, side, side)
    image[:, :, row, column] = 1
    return image


@pytest.mark.parametrize("name", ["translation", "cutout"])
def test_images_and_maps_move_alike(name):
    image = torch.rand(len(KEYS), 1, 16, 16) + 0.1
    shown = augment_judged([image, 2 * image, 3 * image, 4 * image], [name], KEYS)
    for factor, other in enumerate(shown, start=1):
        torch.testing.assert_close(other, factor * shown[0])
    assert not torch.equal(shown[0], image)


def test_translation_is_by_whole_pixels_up_to_an_eighth_each_way_and_zeros_come_in():
    (shown,) = augment_judged([one_hot(8, 8)], ["translation"], KEYS)
    places = shown[:, 0].flatten(1).argmax(1)
    moves = {(int(place) // 16 - 8, int(place) % 16 - 8) for place in places}
    assert {row for row, _ in moves} == {column for _, column in moves} == {-2, -1, 0, 1, 2}
    assert shown.sum((1, 2, 3)).tolist() == [1.0] * len(KEYS)
    (full,) = augment_judged([torch.ones(len(KEYS), 1, 16, 16)], ["translation"], KEYS)
    rows, columns = (places // 16 - 8).abs(), (places % 16 - 8).abs()
    torch.testing.assert_close(full.sum((1, 2, 3)), ((16 - rows) * (16 - columns)).float())


def test_cutout_takes_a_rectangle_of_at_most_half_the_sides():
    (shown,) = augment_judged([torch.ones(len(KEYS), 1, 16, 16)], ["cutout"], KEYS)
    gone = shown[:, 0] == 0
    heights, widths = gone.any(2).sum(1), gone.any(1).sum(1)
    assert torch.equal(gone.sum((1, 2)), heights * widths)
    assert max(heights.max(), widths.max()) <= 9
    assert min(heights.min(), widths.min()) >= 4  # at the border


def test_colour_changes_both_images_alike_and_no_map():
    baseline, followup, change = torch.rand(3, len(KEYS), 1, 16, 16)
    seen = augment_judged([baseline, followup, change], ["colour"], KEYS)
    assert torch.equal(seen[2], change)
    slope = (seen[0] - seen[1]) / (baseline - followup)
    spread = slope.flatten(1).std(1) / slope.flatten(1).mean(1)
    assert spread.max() < 1e-2, "one contrast a pair"
    assert slope.mean((1, 2, 3)).min() > 0.49
    assert slope.mean((1, 2, 3)).max() < 1.51


def test_draws_follow_from_the_key_alone():
    image = torch.rand(len(KEYS), 1, 16, 16)
    (together,) = augment_judged([image], list(AUGMENTATIONS)[:2], KEYS)
    (alone,) = augment_judged([image[5:6]], list(AUGMENTATIONS)[:2], KEYS[5:6])
    assert torch.equal(together[5:6], alone)
    (later,) = augment_judged([image], list(AUGMENTATIONS)[:2], [f"later/{key}" for key in KEYS])
    assert not torch.equal(later, together)


def test_gradients_pass_to_what_stayed():
    change = torch.rand(len(KEYS), 1, 16, 16, requires_grad=True)
    *_, seen = augment_judged([change.detach(), change.detach(), change], list(AUGMENTATIONS), KEYS)
    seen.sum().backward()
    assert set(change.grad.unique().tolist()) == {0.0, 1.0}


def test_without_any_everything_stays_as_it_is():
    images = [torch.rand(len(KEYS), 1, 4, 4)]
    assert augment_judged(images, (), KEYS) is images
