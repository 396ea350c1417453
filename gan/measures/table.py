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
BY_NAME: Mapping[str, Number] = {
    name: number for section in NUMBERS.values() for name, number in section.items()
}


@dataclass(frozen=True)
class Table:
    """Numbers as text, a row a number or a group, a column for every method; `-` where there is none."""

    title: str
    label: str
    """Of the column of labels."""
    columns: Sequence[str]
    sections: Mapping[str, Mapping[str, Sequence[str]]]
    """Cells by the label of their row, by the name of the section, which may be empty."""

    def text(self) -> str:
        """For a terminal."""
        lines = [self.title] if self.title else []
        lines.append(_row(self.label, self.columns))
        for section, rows in self.sections.items():
            lines += ["", section] if section else []
            lines += [_row(f"  {label}", cells) for label, cells in rows.items()]
        return "\n".join(lines)


def main_table(methods: Mapping[str, Mapping[str, Described]], titles: Mapping[str, str]) -> Table:
    """All numbers, one row each, a column for every method."""
    sections = {}
    for section, numbers in NUMBERS.items():
        sections[section] = {
            how.label: [cell(of.get(name), how) for of in methods.values()] for name, how in numbers.items()
        }
    return Table("", "", list(titles.values()), _told(sections))


def difference_table(differences: Mapping[str, Mapping[str, Described]]) -> Table:
    """Differences of methods, one column each; a star where the interval leaves out 0."""
    rows = {
        how.label.strip(): [cell(of.get(name), how, signed=True) for of in differences.values()]
        for name, how in BY_NAME.items()
    }
    title = "differences (* the 95 % interval leaves out 0)"
    return Table(title, "", list(differences), _told({"": rows}))


def group_tables(
    column: str, groups: Mapping[str, Mapping[str, Any]], titles: Mapping[str, str], shown: Sequence[str]
) -> list[Table]:
    """A few numbers of every group, a table each, with a column for every method."""
    tables = []
    for name in shown:
        rows = {
            f"{group} ({of['pairs']} pairs)": [
                cell(of["methods"][method].get(name), BY_NAME[name]) for method in titles
            ]
            for group, of in groups.items()
        }
        if told := _told({"": rows}):
            tables.append(Table("", f"{BY_NAME[name].label} by {column}", list(titles.values()), told))
    return tables


def _told(sections: Mapping[str, Mapping[str, Sequence[str]]]) -> dict[str, dict[str, Sequence[str]]]:
    """The rows with a number, and the sections that have some."""
    told = {
        section: {label: cells for label, cells in rows.items() if any(cell != "-" for cell in cells)}
        for section, rows in sections.items()
    }
    return {section: rows for section, rows in told.items() if rows}


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
