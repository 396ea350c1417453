"""What every number is called and means, and tables of them for a terminal."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Described = Mapping[str, Any]
"""`value`, and `low` and `high` where there is an interval."""


@dataclass(frozen=True)
class Number:
    """How a number is told."""

    label: str
    digits: int = 3
    higher_is_better: bool = True


NUMBERS: Mapping[str, Mapping[str, Number]] = {
    "pixels": {
        "auroc": Number("AUROC"),
        "average_precision": Number("average precision (AP)"),
        "pair_average_precision": Number("AP, mean over changed pairs"),
        "directed_average_precision": Number("AP, wrong sign is wrong"),
        "appearing_average_precision": Number("AP, appearing"),
        "resolving_average_precision": Number("AP, resolving"),
        "dice": Number("Dice at threshold"),
        "iou": Number("IoU at threshold"),
        "mae": Number("MAE", 4, False),
        "psnr": Number("PSNR (dB)", 1),
        "ssim": Number("SSIM"),
        "correlation": Number("correlation with target"),
        "calibration_error": Number("calibration error", 4, False),
    },
    "lesions": {
        "sensitivity": Number("sensitivity, 1/8..8 false a pair"),
        "small_sensitivity": Number("  small (< 0.5 % of image)"),
        "medium_sensitivity": Number("  medium (0.5 to 2 %)"),
        "large_sensitivity": Number("  large (> 2 %)"),
        "lesions_found": Number("found at threshold"),
        "false_marks": Number("false marks a pair", 2, False),
    },
    "silence (unchanged pairs)": {
        "silent_area": Number("share of area marked", 4, False),
        "silent_marks": Number("marks a pair", 2, False),
        "silent_largest": Number("largest value", 3, False),
    },
    "all pairs": {
        "area": Number("share of area marked", 4, False),
        "marks": Number("marks a pair", 2, False),
        "largest": Number("largest value", 3, False),
    },
    "boxes": {
        "pointing_game": Number("pointing game"),
        "energy_in_box": Number("energy in box"),
        "contrast_to_noise": Number("contrast to noise"),
        "box_iou": Number("IoU at equal area"),
        "box_auroc": Number("pixel AUROC in boxes"),
    },
    "labels": {
        "label_auroc": Number("changed or stable, by mass in lungs: AUROC"),
        "direction_auroc": Number("rising or falling, by sign in lungs: AUROC"),
    },
    "consistency": {
        "reversed_agreement": Number("other way round: Dice of marks"),
        "exposed_agreement": Number("exposed anew: Dice of marks"),
        "itself_area": Number("against itself: area marked", 4, False),
        "itself_largest": Number("against itself: largest value", 3, False),
    },
    "looks (changed pairs)": {
        "critic": Number("fresh critic's accuracy (0.5: fooled)", 3, False),
        "spectral_distance": Number("distance of radial spectra (dB)", 2, False),
        "checkerboard": Number("checkerboard, share of its power", 3, False),
    },
}
"""By section, in the order of the table."""
BROKEN_DOWN = ("pair_average_precision", "dice", "sensitivity", "false_marks", "silent_marks")
"""The numbers that a table of groups shows; summary.json has all."""
_CELL = 26
_ROWS = {name: number for section in NUMBERS.values() for name, number in section.items()}


def main_table(methods: Mapping[str, Mapping[str, Described]], titles: Mapping[str, str]) -> str:
    """All numbers, one row each, a column for every method."""
    lines = [_row("", titles.values())]
    for section, rows in NUMBERS.items():
        cells = {
            number.label: [cell(numbers.get(name), number) for numbers in methods.values()]
            for name, number in rows.items()
        }
        told = {label: row for label, row in cells.items() if any(text != "-" for text in row)}
        if told:
            lines += ["", section, *(_row(f"  {label}", row) for label, row in told.items())]
    return "\n".join(lines)


def difference_table(differences: Mapping[str, Mapping[str, Described]]) -> str:
    """Differences of methods, one column each; a star where the interval leaves out 0."""
    lines = [_row("", differences)]
    for name, number in _ROWS.items():
        cells = [cell(of.get(name), number, signed=True) for of in differences.values()]
        if any(text != "-" for text in cells):
            lines.append(_row(f"  {number.label.strip()}", cells))
    return "\n".join(lines)


def group_table(
    column: str, groups: Mapping[str, Mapping[str, Any]], titles: Mapping[str, str], shown: Sequence[str]
) -> str:
    """A few numbers of every group, a column for every method."""
    lines = []
    for name in shown:
        rows = []
        for group, numbers in groups.items():
            cells = [cell(numbers["methods"][method].get(name), _ROWS[name]) for method in titles]
            if any(text != "-" for text in cells):
                rows.append(_row(f"  {group} ({numbers['pairs']} pairs)", cells))
        if rows:
            lines += ["", _row(f"{_ROWS[name].label} by {column}", titles.values()), *rows]
    return "\n".join(lines)


def _row(label: str, cells: Any) -> str:
    texts = (text if len(text) < _CELL else f"{text[: _CELL - 3]}.." for text in cells)
    return f"{label:<40}" + "".join(f"{text:>{_CELL}}" for text in texts).rstrip()


def cell(number: Described | None, how: Number, *, signed: bool = False) -> str:
    """A number with its interval, a star where a difference leaves out 0; a hyphen where there is none."""
    if number is None or number["value"] is None:
        return "-"
    sign = "+" if signed else ""
    text = f"{number['value']:{sign}.{how.digits}f}"
    low, high = number.get("low"), number.get("high")
    if low is None or high is None:
        return text
    star = "*" if signed and (low > 0 or high < 0) else ""
    return f"{text} [{low:.{how.digits}f}, {high:.{how.digits}f}]{star}"
