import math
from types import SimpleNamespace

import pytest

from data.base.checks import among, at_least, below, between, inside, require


def given(value):
    return SimpleNamespace(x=value)


ACCEPTED = {
    "at least": (lambda value: at_least(given(value), 1, "x"), [1, 1.5, 10**9, None]),
    "not negative": (lambda value: at_least(given(value), 0, "x"), [0, 0.0, 3]),
    "at least, or": (lambda value: at_least(given(value), 32, "x", otherwise="native"), [32, "native"]),
    "between": (lambda value: between(given(value), 0, 0.5, "x"), [0, 0.2, 0.5]),
    "inside": (lambda value: inside(given(value), 0, 1, "x"), [0.001, 0.999]),
    "below": (lambda value: below(given(value), 1, "x"), [-5, 0.999]),
    "among": (lambda value: among(given(value), ("a", "b"), "x"), [("b",), ("a", "b")]),
}
REFUSED = {
    "at least": [(0, "x is 0; it must be at least 1"), (math.inf, "x is inf; it must be finite")],
    "not negative": [(-1, "x is -1; it must not be negative"), (math.nan, "x is nan; it must be finite")],
    "at least, or": [(8, "x is 8; it must be at least 32, or native")],
    "between": [
        (-0.1, "x is -0.1; it must be between 0 and 0.5"),
        (0.6, "x is 0.6; it must be between 0 and 0.5"),
        (math.nan, "x is nan; it must be between 0 and 0.5"),
    ],
    "inside": [(0, "x is 0; it must be between 0 and 1"), (1, "x is 1; it must be between 0 and 1")],
    "below": [(1, "x is 1; it must be below 1"), (math.nan, "x is nan; it must be below 1")],
    "among": [
        ((), "x is empty; name at least one of a, b"),
        (("d", "a", "c"), "x names c, d; the legal names are a, b"),
    ],
}


@pytest.mark.parametrize(
    ("check", "value"), [(name, value) for name in ACCEPTED for value in ACCEPTED[name][1]]
)
def test_a_value_in_range_passes(check, value):
    ACCEPTED[check][0](value)


@pytest.mark.parametrize(
    ("check", "value", "message"), [(name, *case) for name in REFUSED for case in REFUSED[name]]
)
def test_a_value_out_of_range_is_named_with_what_it_may_be(check, value, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        ACCEPTED[check][0](value)


def test_every_name_is_checked_and_may_say_what_it_is_a_part_of():
    options = SimpleNamespace(a=1, b=-1)
    with pytest.raises(ValueError, match=r"^pose\.b is -1; it must not be negative$"):
        at_least(options, 0, "pose.a", "pose.b")


def test_a_rule_of_its_own():
    require(True, "ratio", 3, "be odd")
    with pytest.raises(ValueError, match=r"^ratio is 4; it must be odd$"):
        require(False, "ratio", 4, "be odd")
