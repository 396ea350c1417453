"""Known motion is found whatever the exposure, in spite of a change; where nothing fits nothing is moved."""

import csv
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from skimage.io import imsave
from torch.nn.functional import interpolate

from data import DataConfig, DataError, PairSample, load_images, load_pairs, settled
from data import alignment as module
from data.alignment import Aligner, Alignment, from_text, register, to_texts, warp, warp_mask
from data.base.processes import Processes
from data.prepare.writing import Recipe, prepare_records
from tests.data.opened import pairs_of

SIZE = 64
RECIPE = Recipe(size=None, bits=16, change="magnitude", intensity="dicom", framing="pad", on_error="raise")


def film(seed: int = 0, size: int = SIZE) -> torch.Tensor:
    """Something with structure of several sizes, `[1, 1, S, S]` in `[0, 1]`."""
    generator = torch.Generator().manual_seed(seed)
    layers = [
        interpolate(torch.randn(1, 1, knots, knots, generator=generator), size=(size, size), mode="bicubic")
        for knots in (6, 12, 24)
    ]
    return (0.5 + 0.12 * sum(layers)).clamp(0, 1)


def motion(degrees: float = 0, scale: float = 1, x: float = 0, y: float = 0) -> torch.Tensor:
    """Where a moved image takes its pixels from; shifts in shares of the side."""
    turn = scale * torch.polar(torch.tensor(1.0), torch.tensor(math.radians(degrees)))
    rows = [[turn.real, -turn.imag, 2 * x], [turn.imag, turn.real, 2 * y], [0, 0, 1]]
    return torch.tensor([rows])


def off_by(transform: torch.Tensor, size: int = SIZE) -> float:
    """Mean way off the identity, in pixels."""
    places = (torch.arange(size) * 2 + 1) / size - 1
    y, x = torch.meshgrid(places, places, indexing="ij")
    points = torch.stack([x, y, torch.ones_like(x)]).flatten(1)
    return ((transform[0, :2] @ points - points[:2]) * size / 2).norm(dim=0).mean().item()


def found(baseline, followup, **options) -> Alignment:
    alignment = register(baseline, followup, **options)
    assert 0 <= alignment.confidence.item() <= 1
    return alignment


MOTIONS = [
    motion(),
    motion(3, 1 / 1.05, 0.04, -0.04),
    motion(-3, 1 / 1.05, -0.04, 0.04),
    motion(-9, 0.9, 0.03, 0.1),
    motion(10, 1.1, 0.0, -0.08),
]


@pytest.mark.parametrize("moved", MOTIONS)
def test_known_motion_is_found(moved):
    baseline, mask = warp(film(), moved), warp_mask(torch.ones_like(film()), moved)
    alignment = found(baseline, film(), masks=(mask, torch.ones_like(mask)))
    assert alignment.trusted.all()
    assert off_by(moved @ alignment.transform) < 0.15
    inside = warp_mask(mask, alignment.transform).bool()
    assert (warp(baseline, alignment.transform) - film())[inside].abs().mean() < 0.02


@pytest.mark.parametrize(
    "tone",
    [lambda x: x**0.5, lambda x: x**2, lambda x: 0.2 + 0.3 * x, lambda x: torch.sigmoid(8 * (x - 0.4))],
)
def test_the_exposure_does_not_matter(tone):
    shading = torch.linspace(0.6, 1, SIZE)
    alignment = found(shading * tone(warp(film(), MOTIONS[1])), film())
    assert alignment.trusted.all()
    assert off_by(MOTIONS[1] @ alignment.transform) < 0.5


def test_a_real_change_does_not_matter():
    followup = film()
    followup[..., 20:44, 8:30] = 0.9  # an eighth of the image
    alignment = found(warp(film(), MOTIONS[1]), followup)
    assert alignment.trusted.all()
    assert off_by(MOTIONS[1] @ alignment.transform) < 0.3


def test_padding_does_not_hold_the_films_still():
    mask = torch.zeros(1, 1, SIZE, SIZE)
    mask[..., 8:-8, :] = 1
    baseline, followup = warp(film(), MOTIONS[1]) * mask, film() * mask
    alignment = found(baseline, followup, masks=(mask, mask))
    assert off_by(MOTIONS[1] @ alignment.transform) < 0.3


def test_where_nothing_fits_nothing_is_trusted():
    noise = torch.rand(1, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    flat = torch.full_like(noise, 0.5)
    for other in (noise, flat, torch.zeros_like(noise), film(1).flip(-1)):
        alignment = found(other, film())
        assert not alignment.trusted.any()
        assert torch.equal(alignment.kept()[0], torch.eye(3))
        assert alignment.transform.isfinite().all()


def test_a_pair_is_registered_alike_alone_and_among_others_and_at_every_size():
    baseline = torch.cat([warp(film(seed, 128), MOTIONS[seed]) for seed in (1, 2)])
    followup = torch.cat([film(seed, 128) for seed in (1, 2)])
    together = register(baseline, followup)
    for index in range(2):
        alone = register(baseline[index : index + 1], followup[index : index + 1])
        torch.testing.assert_close(alone.transform[0], together.transform[index], atol=1e-4, rtol=0)
    smaller = register(*(interpolate(x, size=(64, 64), mode="area") for x in (baseline, followup)))
    torch.testing.assert_close(smaller.transform, together.transform, atol=0.01, rtol=0)


def test_images_that_are_not_square_or_not_alike_are_refused():
    for shape in ((1, 1, 32, 64), (1, 1, 32, 32)):
        with pytest.raises(ValueError, match="square and of one shape"):
            register(torch.rand(shape), torch.rand(1, 1, 32, 64))


def test_texts_hold_alignments():
    motions = torch.linalg.inv(torch.cat(MOTIONS[1:3]))
    for text, motion, confidence in zip(
        to_texts(Alignment(motions, torch.tensor([0.75, 0.5]))), motions, (0.75, 0.5), strict=True
    ):
        again = from_text(text)
        torch.testing.assert_close(again.transform[0], motion, atol=1e-5, rtol=0)
        assert again.confidence.item() == confidence


def pair(moved=MOTIONS[1], **known) -> PairSample:
    """Films of which the baseline has been moved; what changes is drawn into both geometries."""
    target = torch.zeros(1, 1, SIZE, SIZE)
    target[..., 30:40, 30:40] = 1
    return PairSample(
        id="a",
        patient_id="p",
        baseline=warp(film(), moved)[0],
        followup=film()[0],
        target=target[0],
        target_baseline=warp(target, moved)[0],
        **known,
    )


def test_a_pair_is_laid_on_its_followup_with_its_target_and_its_mask():
    sample, aligned = pair(), Aligner()(pair())
    assert (aligned.followup is not None) and torch.equal(aligned.followup, sample.followup)
    assert torch.equal(aligned.target, sample.target)
    counted = aligned.valid.bool()
    assert 0.8 < counted.float().mean() < 1
    assert (aligned.baseline - aligned.followup)[counted].abs().mean() < 0.02
    assert (aligned.target_baseline - aligned.target)[counted].abs().mean() < 0.01
    # What the baseline does not reach shows the followup: no rim that looks like a change.
    assert (aligned.baseline - aligned.followup)[~counted].abs().mean() < 0.02


def test_masks_of_the_two_films_are_taken_together_after_the_baseline_has_moved():
    old, new = torch.zeros(1, SIZE, SIZE), torch.zeros(1, SIZE, SIZE)
    old[:, 8:-8], new[..., 8:-8] = 1, 1
    shifted = motion(x=-0.125)  # the baseline's content lies eight pixels to the right
    aligned = Aligner()(pair(shifted, masks=(old, new), valid=old * new))
    columns = aligned.valid[0, 20]
    assert columns[9:-10].all()  # the baseline's film reaches everywhere but the last eight columns
    assert not columns[:8].any()
    assert not columns[-8:].any()
    assert not aligned.valid[0, :7].any()


def test_each_pair_is_registered_once(monkeypatch):
    aligner = Aligner()
    first = aligner(pair())
    monkeypatch.setattr(module, "register", None)
    assert torch.equal(aligner(pair()).baseline, first.baseline)
    sample = pair(alignment=to_texts(Alignment(motion(x=0.5), torch.tensor([0.9])))[0])
    torch.testing.assert_close(Aligner()(sample).baseline[..., :31], sample.baseline[..., 32:-1])


def test_without_trust_or_when_switched_off_a_pair_stays_as_it_is():
    sample = pair(alignment=to_texts(Alignment(MOTIONS[1], torch.tensor([0.2])))[0])
    assert Aligner()(sample) is sample
    assert Aligner(enabled=False)(pair(alignment="whatever")).valid is None


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    """Pairs of moved films, of other shapes than square, with what changes in both geometries."""
    root = tmp_path_factory.mktemp("moved")
    rows = [["patient_id", "baseline", "followup", "target", "target_baseline", "split"]]
    for index, (split, moved) in enumerate(zip(("train", "val", "test"), MOTIONS[1:], strict=False)):
        sample = pair(moved)
        roles = ("baseline", "followup", "target", "target_baseline")
        names = [f"{index}_{role}.png" for role in roles]
        for name, role in zip(names, roles, strict=True):
            pixels = getattr(sample, role)[0, 4:-4].numpy()
            imsave(root / name, np.round(pixels * 65535).astype(np.uint16), check_contrast=False)
        rows.append([f"p{index}", *names, split])
    with (root / "pairs.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return root / "pairs.csv"


def prepare(manifest, out, **options):
    records = load_pairs(manifest, DataConfig())
    return prepare_records(records, out, replace(RECIPE, **options), engine=Processes(1), progress=False)


def test_files_and_prepared_data_are_aligned_alike(manifest, tmp_path):
    prepare(manifest, tmp_path / "plain")
    prepare(manifest, tmp_path / "aligned", align=True)
    files, plain, aligned, streamed = (
        DataConfig(image_size=SIZE, batch_size=1, **options)
        for options in (
            {"path": manifest},
            {"prepared": str(tmp_path / "plain")},
            {"prepared": str(tmp_path / "aligned")},
            {"prepared": f"file://{tmp_path / 'aligned'}", "cache_dir": tmp_path},
        )
    )
    assert settled(aligned).align  # and so the model says that it was trained so
    for split in ("train", "val", "test"):
        expected = pairs_of(files, split)[0]
        counted = expected.valid.bool()
        assert (expected.baseline - expected.followup)[counted].abs().mean() < 0.03
        assert (expected.target_baseline - expected.target)[counted].abs().mean() < 0.02
        for config in (plain, aligned, streamed):
            sample = next(iter(pairs_of(config, split)))
            both = (sample.valid * expected.valid).bool()
            for role in ("baseline", "followup", "target", "target_baseline"):
                difference = (getattr(sample, role) - getattr(expected, role))[both].abs()
                assert difference.max() < 0.03
            assert (sample.valid != expected.valid).float().mean() < 0.01
            assert "alignment" not in sample.columns
    unaligned = pairs_of(replace(plain, align=False), "train")[0]
    assert (unaligned.baseline - unaligned.followup).abs().mean() > 0.1


def test_what_cannot_be_aligned_is_refused(manifest, tmp_path):
    recipe = replace(RECIPE, align=True)
    images = load_images(manifest, DataConfig())
    with pytest.raises(DataError, match="nothing to be aligned with"):
        prepare_records(images, tmp_path / "out", recipe, engine=Processes(1), progress=False)
    head, *rows = manifest.read_text().split()
    named = manifest.with_name("named.csv")
    named.write_text("\n".join([f"{head},alignment", *(f"{row},1" for row in rows)]))
    with pytest.raises(DataError, match="rename it"):
        prepare_records(
            load_pairs(named, DataConfig()), tmp_path / "out", recipe, engine=Processes(1), progress=False
        )
    assert not (tmp_path / "out").exists()
