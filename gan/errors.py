"""A user's mistake, and how it reaches the user: one line, exit code 2, no traceback."""

import sys
from collections.abc import Callable
from typing import NoReturn

from data.errors import DataError

USER_EXIT_CODE = 2
INTERRUPTED_EXIT_CODE = 130


class UserError(ValueError):
    """An option, a run directory or a checkpoint is not what it should be.

    The message is one line that names the option or the file and the remedy.
    """


class Interrupted(Exception):  # noqa: N818  (it is news, not an error)
    """The run was asked to stop (SIGINT or SIGTERM) and has saved itself; the message says how to go on."""


def fail(message: str) -> NoReturn:
    """Print one line to stderr and exit with code 2."""
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    raise SystemExit(USER_EXIT_CODE)


def run_command(command: Callable[[], None]) -> None:
    """Run an entry point; a `UserError` or `DataError` becomes one line and exit code 2."""
    try:
        command()
    except (UserError, DataError) as error:
        fail(_without_traceback(str(error)))
    except Interrupted as news:
        print(news, file=sys.stderr)
        raise SystemExit(INTERRUPTED_EXIT_CODE) from None
    except KeyboardInterrupt:
        print("interrupted; what is saved of the run can be continued with --resume", file=sys.stderr)
        raise SystemExit(INTERRUPTED_EXIT_CODE) from None


def _without_traceback(message: str) -> str:
    """What a loader process hands over starts with its traceback; the message is the last line."""
    if not message.startswith("Caught "):
        return message
    return message.strip().splitlines()[-1].removeprefix(f"{DataError.__module__}.{DataError.__name__}: ")


def first_line(error: Exception) -> str:
    """Type and first line of whatever a library raised, to be put into a message of one line."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
