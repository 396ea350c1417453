"""Signals that ask a program to stop: none of them is lost."""

import _thread
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

STOPPING = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1") if hasattr(signal, name)
)
"""An interrupt from the keyboard, and what schedulers, containers and closing terminals send."""
_PATIENCE = 0.05
_asked: list[int] = []


@contextmanager
def stoppable() -> Iterator[None]:
    """Have every signal that asks to stop raise `KeyboardInterrupt` in the block.

    Python throws away what is raised in a callback of foreign code; such an interrupt comes again shortly
    after. Signals that are ignored when the program starts, as by `nohup`, stay ignored.

    Raises:
        KeyboardInterrupt: at the latest at the end of the block.
    """
    _asked.clear()
    handlers = handle_stopping(_interrupt)
    hook, sys.unraisablehook = sys.unraisablehook, _send_again
    try:
        yield
        raise_if_asked()
    finally:
        sys.unraisablehook = hook
        restore(handlers)


def raise_if_asked() -> None:
    """Interrupt where an interrupt was swallowed; to be called between pieces of work.

    Raises:
        KeyboardInterrupt: the program was asked to stop and still runs.
    """
    if _asked:
        raise KeyboardInterrupt


def handle_stopping(handler: Any) -> dict[int, Any]:
    """Set the handler of all signals that ask to stop but those that are ignored; the handlers before."""
    before = {number: signal.getsignal(number) for number in STOPPING}
    return {number: signal.signal(number, handler) for number, old in before.items() if old != signal.SIG_IGN}


def restore(handlers: dict[int, Any]) -> None:
    """Undo `handle_stopping`."""
    for number, handler in handlers.items():
        signal.signal(number, handler)


def _interrupt(number: int, _: object) -> NoReturn:
    _asked.append(number)
    raise KeyboardInterrupt


def _send_again(unraisable: Any) -> None:
    if issubclass(unraisable.exc_type, KeyboardInterrupt):
        timer = threading.Timer(_PATIENCE, _thread.interrupt_main)  # once the callback is left
        timer.daemon = True
        timer.start()
    else:
        sys.__unraisablehook__(unraisable)
