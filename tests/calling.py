"""Commands run in the process of the tests, where only what comes of them matters.

Importing torch takes seconds. What a process of its own proves (signals, launchers, imports, memory) is
proved with `tests.micro.run`; everything else is called here, and must come to the same.
"""

import logging
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from data.base.signals import STOPPING
from tests.micro import command_environment

# What Python starts with, last first, and pytest replaces.
_FILTERS = (
    ("ignore", ResourceWarning, ""),
    ("ignore", ImportWarning, ""),
    ("ignore", PendingDeprecationWarning, ""),
    ("ignore", DeprecationWarning, ""),
    ("default", DeprecationWarning, "__main__"),
)


def call(module, *args, cwd) -> subprocess.CompletedProcess[str]:
    """`python -m MODULE ARGS` to its end, in this process; what a process of its own would leave behind.

    Output is caught where it would leave the process, so that of child processes and of native code is in it.
    An exception becomes a traceback and exit code 1.
    """
    with _file() as out, _file() as err:
        with _streams(out, err), _surroundings(cwd), _fresh_devices():
            code = _exit_code(module, list(map(str, args)))
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read())
    return subprocess.CompletedProcess([module, *args], code, *texts)


def _file() -> TextIO:
    return tempfile.TemporaryFile("w+", encoding="utf-8")


def _exit_code(module: str, args: list[str]) -> int:
    argv, sys.argv = sys.argv, [module, *args]
    main = sys.modules.pop(f"{module}.__main__", None)  # of which runpy would warn, where a test imported it
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as stop:
        if stop.code is None or isinstance(stop.code, int):
            return stop.code or 0
        print(stop.code, file=sys.stderr)
        return 1
    except Exception:
        traceback.print_exc()
        return 1
    finally:
        sys.argv = argv
        if main is not None:
            sys.modules[f"{module}.__main__"] = main
    return 0


@contextmanager
def _streams(out: TextIO, err: TextIO) -> Iterator[None]:
    """Standard output and error go to files, and so does what loggers send there."""
    streams = sys.stdout, sys.stderr
    copies = [os.dup(number) for number in (1, 2)]
    for number, file in ((1, out), (2, err)):
        os.dup2(file.fileno(), number)
    try:
        with _writer(1) as new_out, _writer(2) as new_err:
            sys.stdout, sys.stderr = new_out, new_err
            with _logging_to(new_err, afterwards=streams[1]):
                yield
    finally:
        sys.stdout, sys.stderr = streams
        for number, copy in zip((1, 2), copies, strict=True):
            os.dup2(copy, number)
            os.close(copy)


def _writer(number: int) -> TextIO:
    return os.fdopen(number, "w", 1, encoding="utf-8", closefd=False)


@contextmanager
def _logging_to(stream: TextIO, *, afterwards: TextIO) -> Iterator[None]:
    """Loggers as in a fresh process: pytest's handlers away, those of libraries on the new stream."""
    before = {logger: (logger.level, list(logger.handlers)) for logger in _loggers()}
    logging.root.handlers = []
    _log_to(stream)
    try:
        yield
    finally:
        _log_to(afterwards)
        for logger, (level, handlers) in before.items():
            logger.setLevel(level)
            logger.handlers = handlers


def _loggers() -> list[logging.Logger]:
    named = logging.root.manager.loggerDict.values()
    return [logging.root, *(logger for logger in named if isinstance(logger, logging.Logger))]


def _log_to(stream: TextIO) -> None:
    for handler in (handler for logger in _loggers() for handler in logger.handlers):
        if type(handler) is logging.StreamHandler:
            handler.stream = stream


@contextmanager
def _surroundings(cwd: Path) -> Iterator[None]:
    """Directory, environment, import path, signal handlers and warnings of a process that starts in `cwd`."""
    place, environment, path = Path.cwd(), dict(os.environ), list(sys.path)
    handlers = {number: signal.getsignal(number) for number in STOPPING}
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has its background jobs ignore it
    os.chdir(cwd)
    os.environ.update(command_environment())
    sys.path.insert(0, str(cwd))
    try:
        with warnings.catch_warnings():
            warnings.resetwarnings()
            for action, category, module in _FILTERS:
                warnings.filterwarnings(action, category=category, module=module)
            warnings.showwarning = _print_warning
            yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        sys.path[:] = path
        os.environ.clear()
        os.environ.update(environment)
        os.chdir(place)


def _print_warning(message, category, filename, lineno, file=None, line=None) -> None:
    (file or sys.stderr).write(warnings.formatwarning(message, category, filename, lineno, line))


@contextmanager
def _fresh_devices() -> Iterator[None]:
    """One thread, as `command_environment` gives a process, and nothing of what accelerate has in mind."""
    import torch
    from accelerate.state import AcceleratorState, GradientState, PartialState

    states = [state._shared_state for state in (AcceleratorState, GradientState, PartialState)]
    before, threads, dtype = (
        [dict(state) for state in states],
        torch.get_num_threads(),
        torch.get_default_dtype(),
    )
    for state in states:
        state.clear()
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float32)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.set_default_dtype(dtype)
        for state, usual in zip(states, before, strict=True):
            state.clear()
            state.update(usual)
