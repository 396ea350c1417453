"""Every number of the runs over their steps, by what it belongs to."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gan.adversarial.game import AREA, AREA_TARGET, BLIND, RIGHT_FAKE, RIGHT_REAL, WON
from gan.adversarial.gradients import SHARE
from gan.pictures.curves import Series, series_of
from gan.run.log import read_metrics

_ACCURACY = "disc_accuracy"
_PLAY = ("discriminator", "adversarial_weight", "logits_", "right_", SHARE, "disc_", AREA)
"""How names of numbers of the game begin."""
_NOTES = {
    RIGHT_REAL: "share of the real patches that D gets right; guessing gives 0.5",
    RIGHT_FAKE: "share of G's patches that D gets right; guessing gives 0.5",
    _ACCURACY: f"D's balanced accuracy on held-out patients: blind below {BLIND}, won above {WON}",
    "discriminator": "D's loss",
    "logits_real": "what D says of true maps on average",
    "logits_fake": "what D says of G's maps on average; equal to the other where D cannot tell",
    "adversarial_weight": "weight of the adversarial term in that step",
    AREA: "share of the predicted maps' area where something changed",
    AREA_TARGET: "the same of the true maps",
    SHARE: "share of the gradient at G's last layer",
}
_GROUPS = ("What G is trained by", "D's play", "On validation patients", "Pace")
_BOUNDS = dict.fromkeys((RIGHT_REAL, RIGHT_FAKE, _ACCURACY), (BLIND, WON))


def charts_of(metrics: Sequence[Path]) -> list[dict[str, Any]]:
    """A chart a number, in groups, with the courses that each run has of it, ready for JSON."""
    series = [series_of(_flat(line) for line in read_metrics(path)) for path in metrics]
    names = dict.fromkeys(name for of_run in series for name in of_run)
    return sorted((_chart(name, series) for name in names), key=lambda chart: chart["order"])


def _chart(name: str, series: Sequence[Series]) -> dict[str, Any]:
    lines = [
        {"run": run, "split": split, "steps": [x for x, _ in points], "values": [y for _, y in points]}
        for run, of in enumerate(series)
        for split, points in of.get(name, {}).items()
    ]
    group = _group(name, {split for of in series for split in of.get(name, ())})
    note = _NOTES.get(SHARE if name.startswith(SHARE) else name, "")
    return {
        "name": name,
        "group": _GROUPS[group],
        "order": group,
        "note": note,
        "bounds": _BOUNDS.get(name),
        "lines": lines,
    }


def _group(name: str, splits: set[str]) -> int:
    if name.startswith(_PLAY):
        return 1
    if name.startswith(("lr_", "skipped")):
        return 3
    return 0 if "train" in splits else 2


def _flat(line: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A line of metrics.jsonl, with the numbers of each source of a mix by the source's name."""
    flat: dict[str, Any] = {}
    for name, value in line.items():
        if isinstance(value, Mapping):
            flat |= {} if name == "weights" else _flat(value, f"{prefix}{name}/")
        else:
            flat[f"{prefix}{name}"] = value
    return flat
