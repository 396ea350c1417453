"""Signals that ask a run to stop: its processes answer them, those that load its data do not."""

import multiprocessing
import multiprocessing.context
import os
import signal
import threading
import time
from typing import Any, NoReturn

import torch
from accelerate import Accelerator
from torch import distributed

from data.base.commandline import INTERRUPTED_EXIT_CODE
from data.base.errors import Interrupted
from data.base.signals import STOPPING, handle_stopping, restore

_ECHO = 5.0
"""Seconds in which torchrun, which passes on the signals that it gets itself, may repeat one."""


class StopSignal:
    """Turns the first signal that asks to stop into a flag; a second one leaves at once.

    Args:
        accelerator: whose processes must agree on the step to stop at; all of them make one of these.
    """

    def __init__(self, accelerator: Accelerator) -> None:
        # On the hosts: devices do not wait for each other.
        several = accelerator.num_processes > 1
        self._group: Any = distributed.new_group(backend="gloo") if several else None
        self._echo = _ECHO if distributed.is_torchelastic_launched() else 0.0
        self._received: float | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "StopSignal":
        self._before = handle_stopping(self._handle)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not Interrupted:  # what has been saved is said undisturbed
            restore(self._before)

    def _handle(self, *_: object) -> None:
        if self._received is None:
            self._received = time.monotonic()
        elif time.monotonic() - self._received >= self._echo:
            _leave()

    def agreed(self, *others: bool) -> list[bool]:
        """Whether any process was told to stop, then whether the others hold on any; all of them ask."""
        answers = [self._received is not None, *others]
        if self._group is None:
            return answers
        flags = torch.tensor(answers, dtype=torch.float32)
        distributed.all_reduce(flags, distributed.ReduceOp.MAX, self._group)
        return [bool(flag) for flag in flags]


def loader_processes(count: int) -> dict[str, Any]:
    """How a `DataLoader` starts `count` processes that go on when the run is told to stop.

    A scheduler signals all processes of a job; a step can only be finished with its data. The SIGTERM by
    which the main process ends them still does.
    """
    options: dict[str, Any] = {"num_workers": count}
    if count and _SHELTERED:
        options["worker_init_fn"] = _listen_to_the_parent
        if multiprocessing.get_context().get_start_method() == "fork":
            options["multiprocessing_context"] = _ShelteredContext()
    return options


def is_of_a_dead_loader(error: BaseException) -> bool:
    """Whether an error, which comes wherever the main process is, says that a loader process died."""
    return isinstance(error, RuntimeError) and str(error).startswith("DataLoader worker")


# Who sent a signal is to be known on Linux only; elsewhere loader processes are left as they are.
_SHELTERED = STOPPING if hasattr(signal, "sigwaitinfo") else ()


class _ShelteredProcess(multiprocessing.context.ForkProcess):
    def start(self) -> None:
        """Start with the signals blocked, so that there is no moment in which one could hit."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _SHELTERED)
        try:
            super().start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _ShelteredContext(multiprocessing.context.ForkContext):
    Process = _ShelteredProcess


def _listen_to_the_parent(_: int) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, _SHELTERED)
    threading.Thread(target=_end_when_told, daemon=True).start()


def _end_when_told() -> None:
    while True:
        told = signal.sigwaitinfo(_SHELTERED)
        if told.si_signo == signal.SIGTERM and told.si_pid == os.getppid():
            os._exit(0)


def _leave() -> NoReturn:
    os.write(2, b"stopped at once; the newest checkpoint is kept\n")
    for child in multiprocessing.active_children():
        child.kill()
    os._exit(INTERRUPTED_EXIT_CODE)
