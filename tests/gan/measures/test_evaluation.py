"""Numbers over pairs, patients and groups, from sums of pairs."""

import pickle

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import binary_auroc, binary_average_precision

from data.batch import PairBatch
from gan.measures.evaluation import Tally
from gan.measures.report import final_line, logged, summarise, table
from gan.measures.scores import bin_from

LEVEL = bin_from(0.2)


def batch(target, *, valid=None, patients=None, findings=None, columns=None):
    size = len(target)
    return PairBatch(
        id=[f"pair {place}" for place in range(size)],
        baseline=torch.zeros_like(target),
        followup=torch.zeros_like(target),
        target=target,
        valid=valid,
        findings=findings or [()] * size,
        patient_id=patients or [f"patient {place}" for place in range(size)],
        columns=columns or [{} for _ in range(size)],
    )


def judge(maps, pairs, *, signed=False, level=LEVEL, further=None):
    tally = Tally(signed, None if level is None else dict.fromkeys(maps, level))
    tally.add(maps, pairs, further)
    return tally.judge()


def square(value=0.5, side=12, place=4, size=32):
    target = torch.zeros(1, 1, size, size)
    target[..., place : place + side, place : place + side] = value
    return target


def noisy(target, noise, seed=0):
    drawn = torch.randn(target.shape, generator=torch.Generator().manual_seed(seed))
    return (target + noise * drawn).clamp(0, 1)


def value(evaluation, name, method="model"):
    return evaluation.estimate(replicates=0).described(method, name)["value"]


def test_pooled_numbers_are_those_of_all_pixels_together():
    target = torch.cat([square(0.5), square(0.2, side=5), square(0.0)])
    valid = torch.ones_like(target)
    valid[..., :6] = 0
    prediction = noisy(target, 0.2)
    tally = Tally(False)
    for pair in range(3):
        part = slice(pair, pair + 1)
        tally.add({"model": prediction[part]}, batch(target[part], valid=valid[part]))
    numbers = logged(tally.judge(), "model")
    counted = valid.bool()
    score, positive = prediction[counted].double(), (target > 0.05)[counted].int()
    error = (prediction - target)[counted].double()
    assert numbers["auroc"] == pytest.approx(binary_auroc(score, positive).item(), abs=1e-3)
    assert numbers["average_precision"] == pytest.approx(
        binary_average_precision(score, positive).item(), abs=1e-3
    )
    assert numbers["mae"] == pytest.approx(error.abs().mean().item(), abs=1e-6)
    assert numbers["psnr"] == pytest.approx(-10 * np.log10((error**2).mean().item()), abs=1e-5)
    assert 0 < numbers["ssim"] < 1


def test_padding_that_is_equal_in_both_maps_does_not_look_alike():
    target, prediction = torch.rand(2, 1, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    valid = torch.ones_like(target)
    valid[..., 16:, :] = 0
    assert logged(judge({"model": prediction}, batch(target, valid=valid)), "model")["ssim"] < 0.5


def test_a_small_change_counts_as_much_as_a_large_one_in_the_mean_over_pairs():
    target = torch.cat([square(0.5, side=20), square(0.5, side=3)])
    prediction = target * torch.tensor([1.0, 0.0])[:, None, None, None]
    evaluation = judge({"model": prediction}, batch(target))
    assert value(evaluation, "average_precision") > 0.95
    assert value(evaluation, "pair_average_precision") == pytest.approx((1 + 9 / 1024) / 2)
    assert value(evaluation, "dice") == pytest.approx(0.5)
    assert value(evaluation, "iou") == pytest.approx(0.5)


def test_a_wrong_sign_is_wrong():
    target = torch.cat([square(0.5), square(-0.5)])
    right, wrong = (
        judge({"model": sign * target}, batch(target), signed=True, level=LEVEL) for sign in (1, -1)
    )
    assert value(wrong, "average_precision") == value(right, "average_precision") == pytest.approx(1)
    for name in ("directed", "appearing", "resolving"):
        assert value(right, f"{name}_average_precision") == pytest.approx(1)
        assert value(wrong, f"{name}_average_precision") < 0.2
    assert value(wrong, "dice") == 0
    assert value(wrong, "lesions_found") == 0
    assert value(wrong, "false_marks") == 1
    assert value(right, "lesions_found") == 1
    assert value(right, "false_marks") == 0


def test_silence_is_told_on_pairs_in_which_nothing_changed():
    target = torch.cat([square(0.5), square(0.0)])
    prediction = torch.cat([square(0.5), square(0.3, side=4)])
    evaluation = judge({"model": prediction}, batch(target))
    assert value(evaluation, "silent_area") == pytest.approx(16 / 1024)
    assert value(evaluation, "silent_marks") == 1
    assert value(evaluation, "silent_largest") == pytest.approx(0.3)
    assert value(evaluation, "area") == pytest.approx((16 + 144) / 2048)


def test_calibration_compares_what_is_said_with_what_is():
    target = square(0.4, side=16)
    halved = judge({"model": target / 2}, batch(target))
    assert value(halved, "calibration_error") == pytest.approx(0.2 * 256 / 1024)
    predicted, true, share = np.array(value(halved, "reliability"), float)
    assert predicted[4] == pytest.approx(0.2)
    assert true[4] == pytest.approx(0.4)
    assert share[4] == pytest.approx(0.25)
    assert value(judge({"model": target}, batch(target)), "calibration_error") == pytest.approx(0)


def test_a_pair_without_target_is_only_looked_at_for_marks():
    target = torch.cat([square(0.5), torch.full((1, 1, 32, 32), torch.nan)])
    evaluation = judge({"model": torch.cat([square(0.5), square(0.5)])}, batch(target))
    summary = summarise(evaluation, models=["model"], by=[], replicates=50)
    assert (summary["pairs"], summary["pairs_with_target"], summary["changed_pairs"]) == (2, 1, 1)
    assert value(evaluation, "mae") == 0
    assert value(evaluation, "false_marks") == 0
    assert value(evaluation, "marks") == 1
    assert "1 pairs have no target" in " ".join(summary["notes"])
    unknown = judge({"model": square(0.5)}, batch(target[1:]))
    summary = summarise(unknown, models=["model"], by=[], replicates=50)
    assert "no pair has a target" in " ".join(summary["notes"])
    assert summary["methods"]["model"]["average_precision"]["value"] is None
    assert "marks a pair" in table(summary, {"model": "model"})


def test_a_stand_in_for_an_unreadable_pair_is_left_out():
    target, valid = torch.cat([square(0.5), square(0.5)]), torch.ones(2, 1, 32, 32)
    valid[0] = 0
    evaluation = judge({"model": target}, batch(target, valid=valid), further={"model": {"x": [1.0, 3.0]}})
    assert [(pair.place, pair.id) for pair in evaluation.pairs] == [(1, "pair 1")]
    assert value(evaluation, "x") == 3
    with pytest.raises(ValueError, match="no pair could be read"):
        judge({"model": target}, batch(target, valid=torch.zeros_like(valid)))


def test_further_numbers_are_means_over_the_pairs_that_have_them():
    target = torch.cat([square(0.5)] * 3)
    evaluation = judge({"model": target}, batch(target), further={"model": {"x": [1.0, float("nan"), 2.0]}})
    assert value(evaluation, "x") == 1.5


def test_pairs_are_grouped_by_findings_columns_and_thirds_of_numbers():
    target = torch.cat([square(0.5, side=3 + place) for place in range(9)])
    findings = [("nodule",), ("nodule", "device"), *[()] * 7]
    columns = [{"site": "ab"[place % 2], "age": str(place)} for place in range(9)]
    evaluation = judge({"model": target}, batch(target, findings=findings, columns=columns))
    groups = {
        column: {group.name: group.pairs.tolist() for group in evaluation.groups(column)}
        for column in ("finding", "site", "age", "size")
    }
    assert groups["finding"] == {"device": [1], "nodule": [0, 1]}
    assert groups["site"] == {"a": [0, 2, 4, 6, 8], "b": [1, 3, 5, 7]}
    assert groups["age"] == {"0 to 2": [0, 1, 2], "3 to 5": [3, 4, 5], "6 to 8": [6, 7, 8]}
    assert list(groups["size"].values()) == list(groups["age"].values())


def test_the_line_of_the_log_keeps_its_keys():
    target = torch.cat([square(0.5), square(0.0)])
    evaluation = judge({"model": target, "empty": target * 0}, batch(target, findings=[("nodule",), ()]))
    line = final_line(evaluation, "model", ["empty"])
    measures = {"auroc", "average_precision", "mae", "psnr", "ssim"}
    assert set(line) == {*measures, "pairs", "changed", "empty", "findings"}
    assert set(line["findings"]) == {"nodule"}
    assert set(line["findings"]["nodule"]) == {*measures, "pairs", "empty"}
    assert line["empty"]["auroc"] == pytest.approx(0.5)
    assert line["empty"]["average_precision"] == pytest.approx(line["changed"])


def test_one_patient_has_no_interval_and_it_says_why():
    target = torch.cat([square(0.5)] * 2)
    evaluation = judge({"model": target}, batch(target, patients=["one", "one"]))
    summary = summarise(evaluation, models=["model"], by=[], replicates=50)
    assert summary["methods"]["model"]["dice"] == {"value": pytest.approx(1)}
    assert any("one patient" in note for note in summary["notes"])


def test_a_model_that_is_better_by_construction_is_found_to_be():
    """Both see the same patients: their difference is certain where neither number is."""
    generator = torch.Generator().manual_seed(0)
    hard = torch.rand(24, 1, 1, 1, generator=generator)
    target = torch.cat([square(0.5)] * 24)
    drawn = torch.randn(target.shape, generator=generator)
    better, worse = ((target + (0.6 * hard + more) * drawn).clamp(0, 1) for more in (0.1, 0.13))
    evaluation = judge({"better": better, "worse": worse}, batch(target))
    summary = summarise(evaluation, models=["better", "worse"], by=[], replicates=200)
    ends = [summary["methods"][name]["pair_average_precision"] for name in ("better", "worse")]
    assert ends[0]["low"] < ends[1]["high"], "their own intervals overlap"
    difference = summary["differences"]["better - worse"]["pair_average_precision"]
    assert 0 < difference["low"] < difference["value"] < difference["high"]
    same = summarise(evaluation, models=["better", "better"], by=[], replicates=50)["differences"]
    assert same["better - better"]["dice"] == {"value": 0, "low": 0, "high": 0}


def test_what_is_kept_of_a_pair_depends_on_neither_its_size_nor_on_the_others():
    def kept(size, count):
        tally = Tally(False, {"model": LEVEL})
        for seed in range(count):
            target = square(0.5, size=size)
            tally.add({"model": noisy(target, 0.1, seed)}, batch(target))
        return len(pickle.dumps(tally)) / count

    few, many, large = kept(64, 4), kept(64, 16), kept(256, 4)
    assert many < 1.05 * few
    assert large < 60_000, "256 px of four maps are a million bytes"
