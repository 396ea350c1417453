import math

import pytest

from gan.run.schedules import ema_decay, learning_rate_factor


def factors(schedule, total=10, warmup=4):
    return [
        learning_rate_factor(step, total=total, warmup=warmup, schedule=schedule) for step in range(total + 1)
    ]


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
def test_warm_up_rises_linearly_and_reaches_the_peak(schedule):
    assert factors(schedule)[:5] == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0])


def test_courses_after_the_warm_up():
    assert factors("constant")[4:] == [1.0] * 7
    assert factors("linear")[4:] == pytest.approx([1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6, 0])
    assert factors("cosine")[4:] == pytest.approx([(1 + math.cos(math.pi * k / 6)) / 2 for k in range(7)])


def test_no_warm_up_and_a_run_shorter_than_its_warm_up():
    assert learning_rate_factor(0, total=5, warmup=0, schedule="cosine") == 1
    assert learning_rate_factor(2, total=3, warmup=10, schedule="cosine") == pytest.approx(0.3)


def test_ema_decay_rises_to_its_value():
    assert ema_decay(0, decay=0.999) == pytest.approx(0.1)
    assert ema_decay(90, decay=0.999) == pytest.approx(91 / 100)
    assert ema_decay(10**6, decay=0.999) == 0.999
    assert ema_decay(5, decay=0.0) == 0.0
