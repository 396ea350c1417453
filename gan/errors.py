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
        # A loader process hands its error over with its traceback before the message.
        fail(str(error).strip().splitlines()[-1].removeprefix(f"{DataError.__module__}.DataError: "))
    except Interrupted as news:
        print(news, file=sys.stderr)
        raise SystemExit(INTERRUPTED_EXIT_CODE) from None
    except KeyboardInterrupt:
        print("interrupted before there was anything to save", file=sys.stderr)
        raise SystemExit(INTERRUPTED_EXIT_CODE) from None
