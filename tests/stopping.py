"""Commands that get a signal at a moment one can name, so that no test must be fast enough to send it.

`python -m tests.stopping SIGNAL FUNCTION CALL MODULE ARGS` is `python -m MODULE ARGS` that sends itself the
signal when FUNCTION (`package.module.name`) has returned for the CALL-th time, from 1.
"""

import itertools
import pkgutil
import runpy
import signal
import sys

import pytest


def signal_after(patch: pytest.MonkeyPatch, number: int, function: str, call: int) -> None:
    """Have this process send itself the signal when the function has returned for the `call`-th time."""
    original = pkgutil.resolve_name(function)
    calls = itertools.count(1)

    def call_and_signal(*args, **options):
        result = original(*args, **options)
        if next(calls) == call:
            signal.raise_signal(number)
        return result

    patch.setattr(function, call_and_signal)


if __name__ == "__main__":
    number, function, call, *sys.argv = sys.argv[1:]
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has its background jobs ignore it
    with pytest.MonkeyPatch.context() as monkeypatch:
        signal_after(monkeypatch, int(number), function, int(call))
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
