"""Range checks of options: a value out of range is a `ValueError` that names the option and what it may be.

Options are attributes of a dataclass; where it is a part of another, `name` may say so: `pose.degrees`.
"""

import math
from collections.abc import Sequence
from typing import Any


def require(holds: bool, name: str, value: object, rule: str) -> None:
    """Refuse a value for which something does not hold; `rule` goes on after "it must"."""
    if not holds:
        raise ValueError(f"{name} is {value}; it must {rule}")


def at_least(options: object, least: float, *names: str, otherwise: str | None = None) -> None:
    """Refuse finite numbers below `least` and all that are not finite; None and the word `otherwise` pass."""
    rule = f"be at least {least}" if least or otherwise else "not be negative"
    for name in names:
        value = _value(options, name)
        if value is not None and value != otherwise:
            require(abs(value) < math.inf, name, value, "be finite")
            require(least <= value, name, value, f"{rule}, or {otherwise}" if otherwise else rule)


def between(options: object, low: float, high: float, *names: str) -> None:
    """Refuse numbers outside `[low, high]`."""
    for name in names:
        value = _value(options, name)
        require(low <= value <= high, name, value, f"be between {low} and {high}")


def inside(options: object, low: float, high: float, *names: str) -> None:
    """Refuse numbers outside `(low, high)`."""
    for name in names:
        value = _value(options, name)
        require(low < value < high, name, value, f"be between {low} and {high}")


def below(options: object, limit: float, *names: str) -> None:
    """Refuse numbers that are not below `limit`."""
    for name in names:
        require(_value(options, name) < limit, name, _value(options, name), f"be below {limit}")


def among(options: object, legal: Sequence[str], name: str) -> None:
    """Refuse a tuple of names that is empty or has others than the legal ones."""
    given = _value(options, name)
    if not given:
        raise ValueError(f"{name} is empty; name at least one of {', '.join(legal)}")
    if unknown := set(given) - set(legal):
        raise ValueError(f"{name} names {', '.join(sorted(unknown))}; the legal names are {', '.join(legal)}")


def weights_of(entries: Sequence[str], name: str) -> dict[str, float]:
    """The weights of `NAME=WEIGHT` entries by name; other forms, and weights not above 0, are refused."""
    weights: dict[str, float] = {}
    for entry in entries:
        key, _, text = entry.rpartition("=")
        try:
            weight = float(text)
        except ValueError:
            weight = math.nan
        require(bool(key) and 0 < weight < math.inf, name, entry, "be NAME=WEIGHT with a weight above 0")
        require(key not in weights, name, " ".join(entries), f"name {key} once")
        weights[key] = weight
    return weights


def _value(options: object, name: str) -> Any:
    return getattr(options, name.rpartition(".")[2])
