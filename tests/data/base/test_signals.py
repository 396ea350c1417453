"""A signal that asks to stop stops, wherever it lands."""

import signal
import time
from contextlib import suppress

import pytest

from data.base.processes import in_processes
from data.base.signals import STOPPING, stoppable


class Callback:
    """What Python calls from code that takes no exceptions."""

    def __del__(self):
        signal.raise_signal(signal.SIGTERM)


@pytest.fixture(autouse=True)
def heeded():
    """Whatever the tests were started with, nothing is ignored."""
    handlers = {number: signal.signal(number, signal.SIG_DFL) for number in STOPPING}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", STOPPING)
def test_every_one_of_them_interrupts(number):
    with pytest.raises(KeyboardInterrupt), stoppable():
        signal.raise_signal(number)
        pytest.fail("the signal was lost")
    assert signal.getsignal(number) == signal.SIG_DFL


def test_what_is_ignored_at_the_start_stays_ignored():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as by nohup
    with stoppable():
        signal.raise_signal(signal.SIGHUP)


def test_one_that_lands_in_a_callback_comes_again():
    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt), stoppable():
        landed = Callback()
        del landed
        while time.monotonic() < begun + 20:
            time.sleep(0.01)
    assert time.monotonic() < begun + 10


def swallow(number: int) -> int:
    if number == 1:
        with suppress(BaseException):  # as some libraries do
            signal.raise_signal(signal.SIGINT)
    return number


def test_one_that_was_swallowed_ends_the_work_at_the_next_task():
    done = []
    with pytest.raises(KeyboardInterrupt), stoppable():
        done.extend(number for number, _ in in_processes(swallow, range(5), workers=1))
    assert done == [0, 1]


def test_one_that_was_swallowed_in_the_end_is_no_success():
    with pytest.raises(KeyboardInterrupt), stoppable():
        swallow(1)
    with stoppable():
        pass  # and is forgotten then
