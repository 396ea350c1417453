import math

import pytest
import torch

from gan.measures.change import ChangeMaps, change_numbers, change_table


def everything(maps):
    return torch.ones_like(maps, dtype=torch.bool)


def row(values):
    """One 16x16 map whose first row starts with `values`."""
    image = torch.zeros(1, 1, 16, 16)
    image[0, 0, 0, : len(values)] = torch.tensor(values)
    return image


def test_average_precision_and_auroc_of_a_ranking_done_by_hand():
    target = row([0.5, 0.5, 0.0, 0.0])
    prediction = row([0.9, 0.3, 0.6, 0.1])
    valid = torch.zeros_like(target, dtype=torch.bool)
    valid[0, 0, 0, :4] = True
    numbers = change_numbers(prediction, target, valid, signed=False)
    # Ranked 0.9+, 0.6-, 0.3+, 0.1-: precision at the two hits is 1 and 2/3; of four pairs one is wrong.
    assert numbers["average_precision"] == pytest.approx((1 + 2 / 3) / 2)
    assert numbers["auroc"] == pytest.approx(3 / 4)
    assert numbers["mae"] == pytest.approx((0.4 + 0.2 + 0.6 + 0.1) / 4)
    assert numbers["psnr"] == pytest.approx(-10 * math.log10((0.16 + 0.04 + 0.36 + 0.01) / 4), abs=1e-4)


def test_a_pixel_counts_as_changed_above_a_twentieth():
    target = row([0.05, 0.051])
    numbers = change_numbers(row([0.1, 0.9]), target, everything(target), signed=False)
    assert numbers["average_precision"] == pytest.approx(1.0)
    assert numbers["auroc"] == pytest.approx(1.0)


def test_the_perfect_map():
    target = torch.rand(2, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    numbers = change_numbers(target, target, everything(target), signed=False)
    assert numbers == {
        "auroc": pytest.approx(1),
        "average_precision": pytest.approx(1),
        "mae": 0,
        "psnr": None,
        "ssim": pytest.approx(1),
    }


def test_the_empty_map_has_the_prevalence_as_its_average_precision():
    target = row([0.5] * 8)
    numbers = change_numbers(torch.zeros_like(target), target, everything(target), signed=False)
    assert numbers["average_precision"] == pytest.approx(8 / 256)
    assert numbers["auroc"] == pytest.approx(0.5)


def test_without_any_change_there_is_no_ranking():
    target = torch.zeros(1, 1, 16, 16)
    numbers = change_numbers(torch.rand_like(target), target, everything(target), signed=False)
    assert numbers["auroc"] is None
    assert numbers["average_precision"] is None
    assert numbers["mae"] > 0


def test_signed_maps_are_ranked_by_magnitude_over_twice_the_range():
    target = row([-0.5, 0.5])
    prediction = row([-0.4, 0.4])
    numbers = change_numbers(prediction, target, everything(target), signed=True)
    assert numbers["average_precision"] == pytest.approx(1)
    unsigned = change_numbers(prediction.abs(), target.abs(), everything(target), signed=False)
    assert numbers["psnr"] - unsigned["psnr"] == pytest.approx(20 * math.log10(2), abs=1e-4)


def change_maps():
    maps = ChangeMaps(signed=False)
    for prediction, names in (([0.9, 0.0], ("nodule",)), ([0.0, 0.9], ("device",)), ([0.0], ())):
        target = row([0.5]) if names else row([0.0])
        maps.add(
            prediction=row(prediction), target=target, difference=row([-0.2]), valid=None, findings=[names]
        )
    return maps


def test_findings_are_judged_on_the_pairs_that_have_them():
    report = change_maps().report()
    assert set(report["findings"]) == {"device", "nodule"}
    assert report["findings"]["nodule"]["average_precision"] == pytest.approx(1)
    assert report["findings"]["device"]["average_precision"] < 0.1
    assert report["findings"]["nodule"]["pairs"] == 1
    assert report["pairs"] == 3
    assert report["changed"] == pytest.approx(2 / 768)
    assert report["absdiff"]["mae"] == pytest.approx((0.3 + 0.3 + 0.2) / 768)
    assert report["empty"]["mae"] == pytest.approx(1 / 768)
    assert report["findings"]["nodule"]["empty"]["mae"] == pytest.approx(0.5 / 256)


def test_the_table_has_a_row_for_everything():
    lines = change_table(change_maps().report()).splitlines()
    assert [line.split("  ")[0].strip() or line.split()[0] for line in lines[1:4]] == [
        "change model",
        "empty map",
        "|followup - baseline|",
    ]
    assert lines[0].split() == ["AUROC", "AP", "MAE", "PSNR", "SSIM"]
    assert any(line.strip().startswith("nodule (1 pairs)") for line in lines)


def test_similarity_is_that_of_the_pixels_that_count():
    target = torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    prediction = torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(1))
    valid = everything(target)
    whole = change_numbers(prediction, target, valid, signed=False)["ssim"]
    valid = valid.clone()
    valid[..., 16:, :] = False
    half = change_numbers(prediction, target, valid, signed=False)["ssim"]
    assert half == pytest.approx(whole, abs=0.1)
    assert half < 0.5, "empty padding, equal in both maps, would look like a perfect half"


def test_signed_change_is_compared_with_the_signed_difference():
    maps = ChangeMaps(signed=True)
    maps.add(prediction=row([0.0]), target=row([-0.5]), difference=row([-0.5]), valid=None, findings=[()])
    assert maps.report()["absdiff"]["mae"] == 0
