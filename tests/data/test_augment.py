from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from data import (
    AugmentConfig,
    ImageBatch,
    PairBatch,
    PairSample,
    augment_images,
    augment_pairs,
    collate_pairs,
)
from data.augment import at_epoch

STILL = AugmentConfig(
    **{
        item.name: item.default if item.name in ("enabled", "ramp_epochs") else 0.0
        for item in fields(AugmentConfig)
    }
)
WILD = AugmentConfig(
    misalignment_scale=0.05, misalignment_elastic=0.01, exposure=0.9, contrast=0.9, gamma=0.9, shading=0.9,
    detail=2.0, equalise=1.0, window=0.3, blur=1.0, noise=0.5, objects=0.5, structure=1.0,
)  # fmt: skip
GEOMETRY = replace(STILL, rotation=10, translation=0.1, scale=0.2)
TONE = replace(STILL, exposure=0.4, contrast=0.3, gamma=0.3)
RUN = {"seed": 0, "epoch": 0}


def _blobs(count: int, size: int = 48, seed: int = 0) -> Tensor:
    """Smooth blobs `[count, 1, size, size]` away from the border, each in its own place."""
    centres = np.random.default_rng(seed).uniform(size * 0.35, size * 0.65, (count, 2))
    rows, columns = np.mgrid[:size, :size]
    distance = (rows - centres[:, :1, None]) ** 2 + (columns - centres[:, 1:, None]) ** 2
    return torch.from_numpy(np.exp(-distance / 40)[:, None]).float()


def _pairs(count: int = 4, *, target_baseline: bool = True, valid: Tensor | None = None) -> PairBatch:
    return PairBatch(
        id=[f"pair{i}" for i in range(count)],
        baseline=_blobs(count, seed=1),
        followup=_blobs(count, seed=2),
        target=_blobs(count, seed=2),
        target_baseline=_blobs(count, seed=1) if target_baseline else None,
        valid=valid,
        findings=[()] * count,
    )


def _tensors(batch: PairBatch | ImageBatch) -> dict[str, Tensor]:
    return {name: value for name, value in vars(batch).items() if isinstance(value, Tensor)}


def _assert_equal(first: dict[str, Tensor], second: dict[str, Tensor]) -> None:
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert torch.equal(value, second[name]), name


def _centroid(maps: Tensor) -> Tensor:
    """Centres of mass `[B, 2]` as (x, y)."""
    rows, columns = torch.meshgrid(*(torch.arange(n).float() for n in maps.shape[-2:]), indexing="ij")
    weight = maps[:, 0] / maps[:, 0].sum((1, 2), keepdim=True)
    return torch.stack([(weight * columns).sum((1, 2)), (weight * rows).sum((1, 2))], dim=1)


def test_off_returns_the_batch_itself():
    batch = _pairs()
    assert augment_pairs(batch, AugmentConfig(enabled=False), **RUN) is batch
    images = ImageBatch(id=batch.id, image=batch.baseline)
    assert augment_images(images, AugmentConfig(enabled=False), **RUN) is images


def test_without_magnitudes_nothing_changes():
    batch = _pairs(valid=torch.ones(4, 1, 48, 48))
    _assert_equal(_tensors(augment_pairs(batch, STILL, **RUN)), _tensors(batch))
    images = ImageBatch(id=batch.id, image=batch.baseline)
    _assert_equal(_tensors(augment_images(images, STILL, **RUN)), _tensors(images))


def test_the_input_is_left_alone():
    batch = _pairs()
    before = {name: value.clone() for name, value in _tensors(batch).items()}
    augment_pairs(batch, AugmentConfig(swap=1), **RUN)
    _assert_equal(_tensors(batch), before)


def test_target_moves_with_its_image():
    batch = _pairs()  # each target is its image
    moved = augment_pairs(
        batch, replace(GEOMETRY, misalignment_rotation=3, misalignment_translation=0.05), **RUN
    )
    assert (_centroid(moved.followup) - _centroid(batch.followup)).norm(dim=1).mean() > 1
    torch.testing.assert_close(moved.followup * moved.valid, moved.target * moved.valid)
    torch.testing.assert_close(moved.baseline, moved.target_baseline, atol=1e-3, rtol=0)


def test_baseline_moves_with_followup_up_to_the_misalignment():
    batch = replace(_pairs(), baseline=_pairs().followup)
    together = augment_pairs(batch, GEOMETRY, **RUN)
    torch.testing.assert_close(together.baseline, together.followup, atol=1e-5, rtol=0)
    apart = augment_pairs(batch, replace(GEOMETRY, misalignment_translation=0.05), **RUN)
    _assert_equal({"followup": apart.followup}, {"followup": together.followup})
    distance = (_centroid(apart.baseline) - _centroid(apart.followup)).abs()
    assert 0.1 < distance.max() <= 0.05 * 48 + 0.05


def test_magnitudes_are_bounds():
    batch = ImageBatch(id=[f"i{i}" for i in range(200)], image=_blobs(1).expand(200, -1, -1, -1))
    moved = augment_images(batch, replace(STILL, translation=0.1), **RUN)
    shift = (_centroid(moved.image) - _centroid(batch.image)) / 48
    assert shift.abs().max() <= 0.1 + 1e-3
    assert shift.max() > 0.08
    assert shift.min() < -0.08


def test_rotation_and_scale_are_about_the_centre():
    centred = torch.zeros(8, 1, 49, 49)
    centred[:, :, 18:31, 18:31] = 1
    batch = ImageBatch(id=[f"i{i}" for i in range(8)], image=centred)
    moved = augment_images(batch, replace(STILL, rotation=30, scale=0.3), **RUN).image
    torch.testing.assert_close(_centroid(moved), torch.full((8, 2), 24.0), atol=0.01, rtol=0)
    area = moved.sum((1, 2, 3)) / centred.sum((1, 2, 3))
    assert area.min() < 0.9
    assert area.max() > 1.1
    assert ((area > 0.7**2 - 0.02) & (area < 1.3**2 + 0.02)).all()


def test_mirrored_pairs_are_mirrored_whole():
    batch = _pairs(40)
    moved = augment_pairs(batch, replace(STILL, mirror=0.5), **RUN)
    turned = [index for index in range(40) if not torch.allclose(moved.target[index], batch.target[index])]
    assert 10 < len(turned) < 30
    for name in ("baseline", "followup", "target", "target_baseline"):
        before, after = getattr(batch, name), getattr(moved, name)
        torch.testing.assert_close(after[turned], before[turned].flip(-1), atol=1e-5, rtol=0)
    assert moved.valid.all()


def test_what_comes_from_outside_does_not_count_and_is_black():
    full = torch.ones(4, 1, 48, 48)
    batch = replace(_pairs(), followup=full, target=full)
    moved = augment_pairs(batch, replace(AugmentConfig(), translation=0.2, swap=0), **RUN)
    assert set(moved.valid.unique().tolist()) == {0.0, 1.0}
    assert not moved.followup[moved.valid == 0].any()
    assert moved.followup[moved.valid == 1].min() > 0.5
    torch.testing.assert_close(moved.target[moved.valid == 1], torch.ones(int(moved.valid.sum())))


def test_padding_moves_with_the_image_and_stays_black():
    valid = torch.zeros(4, 1, 48, 48)
    valid[..., 12:36] = 1
    batch = _pairs(valid=valid)
    batch = replace(batch, followup=0.5 * valid, baseline=0.5 * valid)
    moved = augment_pairs(batch, replace(AugmentConfig(), exposure=0.9, noise=0.1), **RUN)
    assert not moved.followup[moved.valid == 0].any()
    assert 0.5 < moved.valid.mean() / valid.mean() < 1.2


def _samples(count: int) -> list[PairSample]:
    batch = _pairs(count)
    return [
        PairSample(id=name, patient_id="p", **{key: value[i] for key, value in _tensors(batch).items()})
        for i, name in enumerate(batch.id)
    ]


class TestIntensity:
    def test_differs_between_the_images_of_a_pair_and_between_pairs(self):
        grey = torch.full((4, 1, 8, 8), 0.5)
        batch = replace(_pairs(), baseline=grey, followup=grey)
        changed = augment_pairs(batch, TONE, **RUN)
        levels = torch.cat([changed.baseline, changed.followup])[:, 0, 0, 0]
        assert len(levels.unique()) == 8

    def test_leaves_targets_alone(self):
        batch = _pairs()
        changed = augment_pairs(batch, replace(TONE, noise=0.1), **RUN)
        assert torch.equal(changed.target, batch.target)
        assert torch.equal(changed.target_baseline, batch.target_baseline)

    def test_stays_in_range(self):
        changed = augment_pairs(_pairs(16), WILD, **RUN)
        for image in (changed.baseline, changed.followup):
            assert image.min() >= 0
            assert image.max() <= 1

    def test_keeps_the_order_of_grey_levels(self):
        ramp = torch.linspace(0.1, 0.7, 16).expand(4, 1, 1, 16)
        changed = augment_images(ImageBatch(id=list("abcd"), image=ramp), TONE, **RUN).image
        assert (changed.diff(dim=-1) > 0).all()

    def test_noise_has_at_most_the_given_deviation(self):
        grey = torch.full((50, 1, 64, 64), 0.5)
        batch = ImageBatch(id=[f"i{i}" for i in range(50)], image=grey)
        noise = augment_images(batch, replace(STILL, noise=0.05), **RUN).image - grey
        deviation = noise.std((1, 2, 3))
        assert 0.04 < deviation.max() < 0.0525
        torch.testing.assert_close(noise.mean((1, 2, 3)), torch.zeros(50), atol=0.004, rtol=0)

    def test_noise_of_any_two_images_is_unrelated(self):
        batch = _pairs(2)
        grey = torch.full((2, 1, 64, 64), 0.5)
        batch = PairBatch(id=batch.id, findings=batch.findings, baseline=grey, followup=grey)
        noisy = [augment_pairs(batch, replace(STILL, noise=0.05), seed=0, epoch=epoch) for epoch in (0, 1)]
        fields = torch.cat([image for item in noisy for image in (item.baseline, item.followup)])
        correlation = torch.corrcoef(fields.flatten(1))
        assert (correlation - torch.eye(8)).abs().max() < 0.1


class TestDetector:
    """Every option on its own, on a film with structure."""

    @pytest.fixture
    def batch(self):
        texture = torch.rand(8, 1, 64, 64, generator=torch.Generator().manual_seed(0))
        image = 0.2 + 0.5 * _blobs(8, 64) + 0.1 * texture
        return ImageBatch(id=[f"i{i}" for i in range(8)], image=image)

    def apply(self, batch, **options):
        return augment_images(batch, replace(STILL, **options), **RUN).image

    def test_exposure_shifts_the_log_odds(self, batch):
        shift = torch.logit(self.apply(batch, exposure=0.5)) - torch.logit(batch.image)
        assert shift.std((1, 2, 3)).max() < 1e-4
        assert 0.1 < shift.abs().max() <= 0.5

    def test_contrast_stretches_the_log_odds_about_their_mean(self, batch):
        before, after = torch.logit(batch.image), torch.logit(self.apply(batch, contrast=0.5))
        slope = (after - after.mean((1, 2, 3), keepdim=True)).std((1, 2, 3)) / before.std((1, 2, 3))
        assert (slope.log().abs() <= 0.5 + 1e-4).all()
        assert slope.log().std() > 0.1
        torch.testing.assert_close(after.mean((1, 2, 3)), before.mean((1, 2, 3)), atol=1e-4, rtol=0)

    def test_shading_is_smooth(self, batch):
        added = torch.logit(self.apply(batch, shading=1.0)) - torch.logit(batch.image)
        assert added.abs().max() > 0.2
        assert added.diff(dim=-1).abs().max() < 0.1

    def test_detail_grows_and_the_coarse_stays(self, batch):
        after = self.apply(batch, detail=1.0)
        fine = lambda image: (image - avg_pool2d(image, 9, 1, 4)).std((1, 2, 3))  # noqa: E731
        growth = fine(after) / fine(batch.image)
        assert growth.max() > 1.2
        assert growth.min() > 0.999
        torch.testing.assert_close(avg_pool2d(after, 64), avg_pool2d(batch.image, 64), atol=0.01, rtol=0)

    def test_equalising_makes_bright_and_dark_places_alike(self, batch):
        places = lambda image: avg_pool2d(image, 16).flatten(1).std(1)  # noqa: E731
        change = places(self.apply(batch, equalise=1.0)) / places(batch.image)
        assert change.min() < 0.7
        assert change.max() <= 1.001

    def test_window_clips_or_leaves_room(self, batch):
        full = replace(batch, image=torch.linspace(0, 1, 64).expand(8, 1, 64, 64))
        after = self.apply(full, window=0.4)
        assert (((after == 0).float().mean((1, 2, 3))) > 0.05).any()
        assert (after.amin((1, 2, 3)) > 0.02).any()

    def test_blur_takes_from_fine_structure_more_than_it_gives(self, batch):
        ratio = (self.apply(batch, blur=1.0).diff(dim=-1).abs().mean((1, 2, 3))) / batch.image.diff(
            dim=-1
        ).abs().mean((1, 2, 3))
        assert ratio.min() < 0.8
        assert 1 < ratio.max() < 1.6


class TestObjects:
    CONFIG = replace(STILL, objects=1.0)

    def test_they_differ_between_the_images_and_are_no_change(self):
        grey = torch.full((4, 1, 64, 64), 0.4)
        batch = replace(_pairs(), baseline=grey, followup=grey, target=grey, target_baseline=grey)
        laid = augment_pairs(batch, self.CONFIG, **RUN)
        for image in (laid.baseline, laid.followup):
            assert ((image - grey).abs() > 0.1).flatten(1).any(1).all()
        assert ((laid.baseline - laid.followup).abs() > 0.1).flatten(1).any(1).all()
        # The target is what it was, or nothing where a border hides either image.
        assert set(laid.target.unique().tolist()) == {0.0, grey[0, 0, 0, 0].item()}
        assert torch.equal(laid.target, laid.target_baseline)
        hidden = laid.target == 0
        assert 0.02 < hidden.float().mean() < 0.5

    def test_they_look_alike_at_every_size(self):
        small, large = (
            augment_images(
                ImageBatch(id=list("abcd"), image=torch.full((4, 1, side, side), 0.4)), self.CONFIG, **RUN
            ).image
            for side in (64, 256)
        )
        shrunk = avg_pool2d(large, 4)
        correlation = torch.corrcoef(torch.stack([small.flatten(), shrunk.flatten()]))[0, 1]
        assert correlation > 0.9

    def test_none_with_probability_zero(self):
        batch = _pairs()
        assert torch.equal(augment_pairs(batch, STILL, **RUN).followup, batch.followup)


def test_structure_is_the_same_in_both_images_and_in_none_of_the_targets():
    grey = torch.full((8, 1, 64, 64), 0.4)
    pairs = _pairs(8)
    batch = replace(pairs, baseline=grey, followup=grey)
    shared = augment_pairs(batch, replace(STILL, structure=1.0), **RUN)
    torch.testing.assert_close(shared.baseline, shared.followup, atol=1e-6, rtol=0)
    assert (shared.followup.std((1, 2, 3)) > 0.01).sum() >= 3
    assert torch.equal(shared.target, pairs.target)


class TestMisalignment:
    def test_scale_is_of_the_baseline_alone(self):
        batch = replace(_pairs(), baseline=_pairs().followup)
        moved = augment_pairs(batch, replace(STILL, misalignment_scale=0.3), **RUN)
        torch.testing.assert_close(moved.followup, batch.followup, atol=1e-5, rtol=0)
        growth = moved.baseline.sum((1, 2, 3)) / batch.baseline.sum((1, 2, 3))
        assert ((growth > 0.7**2 - 0.02) & (growth < 1.3**2 + 0.02)).all()
        assert growth.std() > 0.1

    def test_elastic_displaces_smoothly_by_at_most_its_share(self):
        ramp = torch.linspace(0, 1, 49).expand(4, 1, 49, 49)
        batch = replace(_pairs(), baseline=ramp, followup=ramp, target=None, target_baseline=None)
        moved = augment_pairs(batch, replace(STILL, misalignment_elastic=0.05), **RUN)
        shift = (moved.baseline - ramp)[..., 6:-6, 6:-6] * 48 / 49  # in image sizes
        assert 0.01 < shift.abs().max() < 0.07  # a cubic may pass its knots by a little
        assert shift.diff(dim=-1).abs().max() < 0.02


def test_magnitudes_rise_over_the_first_epochs_and_stay():
    config = replace(STILL, exposure=0.8, swap=0.5, mirror=0.3, ramp_epochs=3)
    strengths = [at_epoch(config, epoch) for epoch in range(5)]
    assert [item.exposure for item in strengths] == pytest.approx([0.2, 0.4, 0.6, 0.8, 0.8])
    assert {(item.swap, item.mirror) for item in strengths} == {(0.5, 0.3)}
    images = ImageBatch(id=["a"], image=torch.full((1, 1, 8, 8), 0.4))
    for epoch in (0, 1):  # the same draw of an epoch, less of it
        ramped = augment_images(images, replace(TONE, ramp_epochs=3), seed=0, epoch=epoch).image
        full = augment_images(images, TONE, seed=0, epoch=epoch).image
        assert 0 < (ramped - images.image).abs().max() < (full - images.image).abs().max()


def test_silent_pairs_show_one_image_twice_and_no_change():
    batch = _pairs(200)
    silent = augment_pairs(batch, replace(STILL, silent=0.5, exposure=0.5), **RUN)
    empty = ~silent.target.flatten(1).any(1)
    assert 0.4 < empty.float().mean() < 0.6
    assert torch.equal(empty, ~silent.target_baseline.flatten(1).any(1))
    alike = (silent.baseline == silent.followup).flatten(1).all(1)
    assert not (alike & ~empty).any()
    assert 0.12 < (alike & empty).sum() / empty.sum() < 0.4
    # Of the others the film is another, the image the same: a tone curve apart.
    apart = torch.logit(silent.baseline, 1e-3) - torch.logit(silent.followup, 1e-3)
    inside = ((silent.baseline > 0.01) & (silent.followup > 0.01)).all(1, keepdim=True)
    for pair in torch.nonzero(empty & ~alike).flatten().tolist()[:20]:
        assert apart[pair][inside[pair]].std() < 0.05
    _assert_equal(_tensors(augment_pairs(batch, STILL, **RUN)), _tensors(batch))


class TestSwap:
    ALWAYS = replace(STILL, swap=1)

    def test_exchanges_images_and_targets(self):
        batch = _pairs()
        swapped = augment_pairs(batch, self.ALWAYS, **RUN)
        assert torch.equal(swapped.baseline, batch.followup)
        assert torch.equal(swapped.followup, batch.baseline)
        assert torch.equal(swapped.target, batch.target_baseline)
        assert torch.equal(swapped.target_baseline, batch.target)

    def test_turns_the_sign_of_signed_changes(self):
        batch = _pairs()
        swapped = augment_pairs(batch, self.ALWAYS, **RUN, change="signed")
        assert torch.equal(swapped.target, -batch.target_baseline)
        assert torch.equal(swapped.target_baseline, -batch.target)
        assert torch.equal(swapped.baseline, batch.followup)

    @pytest.mark.parametrize("missing", ["target", "target_baseline"])
    def test_needs_both_targets(self, missing):
        batch = replace(_pairs(), **{missing: None})
        _assert_equal(_tensors(augment_pairs(batch, self.ALWAYS, **RUN)), _tensors(batch))

    def test_does_not_depend_on_what_the_others_in_the_batch_have(self):
        first, *others = _samples(4)
        bare = replace(first, target_baseline=None)
        batch = collate_pairs([bare, *others])
        assert batch.to("cpu").swappable.tolist() == [False, True, True, True]
        swapped = augment_pairs(batch, self.ALWAYS, **RUN)
        alone = [augment_pairs(collate_pairs([one]), self.ALWAYS, **RUN) for one in (bare, *others)]
        assert torch.equal(swapped.baseline, torch.cat([one.baseline for one in alone]))
        assert torch.equal(swapped.target, torch.cat([one.target for one in alone]))
        assert torch.equal(swapped.baseline[0], bare.baseline)
        assert torch.equal(swapped.baseline[1:], batch.followup[1:])

    def test_happens_as_often_as_asked(self):
        batch = _pairs(400)
        swapped = augment_pairs(batch, replace(STILL, swap=0.25), **RUN)
        share = (swapped.baseline == batch.followup).flatten(1).all(1).float().mean()
        assert 0.17 < share < 0.33


class TestRandomness:
    def test_same_seed_epoch_and_id_give_the_same(self):
        first, second = (augment_pairs(_pairs(), AugmentConfig(), **RUN) for _ in range(2))
        _assert_equal(_tensors(first), _tensors(second))

    @pytest.mark.parametrize("other", [{"seed": 1, "epoch": 0}, {"seed": 0, "epoch": 1}])
    def test_other_seeds_and_epochs_give_others(self, other):
        first = augment_pairs(_pairs(), AugmentConfig(), **RUN)
        second = augment_pairs(_pairs(), AugmentConfig(), **other)
        assert not torch.allclose(first.followup, second.followup, atol=1e-3)

    @pytest.mark.parametrize("config", [AugmentConfig(), WILD])
    def test_company_in_the_batch_does_not_matter(self, config):
        together = _tensors(augment_pairs(_pairs(), config, **RUN))
        order = [2, 0]
        batch = _pairs()
        picked = PairBatch(
            id=[batch.id[i] for i in order],
            findings=[()] * len(order),
            **{name: value[order] for name, value in _tensors(batch).items()},
        )
        for name, value in _tensors(augment_pairs(picked, config, **RUN)).items():
            torch.testing.assert_close(value, together[name][order], msg=name)

    def test_global_generators_are_neither_used_nor_moved(self):
        torch.manual_seed(0)
        expected = torch.rand(1)
        torch.manual_seed(0)
        augment_pairs(_pairs(), AugmentConfig(), **RUN)
        assert torch.equal(torch.rand(1), expected)

    def test_switching_one_change_off_leaves_the_others(self):
        with_noise = augment_pairs(_pairs(), replace(GEOMETRY, noise=0.1), **RUN)
        without = augment_pairs(_pairs(), GEOMETRY, **RUN)
        assert torch.equal(with_noise.target, without.target)


def test_pairs_without_targets():
    batch = replace(_pairs(target_baseline=False), target=None)
    moved = augment_pairs(batch, AugmentConfig(), **RUN)
    assert moved.target is moved.target_baseline is None
    assert moved.followup.shape == batch.followup.shape
