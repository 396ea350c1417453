"""Command lines: options from a dataclass, a user's mistake as one line and exit code 2, no traceback."""

import contextlib
import errno
import io
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn, TypeVar

import tyro

from data.base.errors import DataError, Interrupted, UserError
from data.base.signals import stoppable

USER_EXIT_CODE = 2
INTERRUPTED_EXIT_CODE = 130
BROKEN_PIPE_EXIT_CODE = 141
_DISK_ERRORS = (errno.ENOSPC, errno.EROFS, errno.EDQUOT)

AnyT = TypeVar("AnyT")


def argv() -> list[str]:
    """The command line without the program's name."""
    return sys.argv[1:]


def fail(message: str) -> NoReturn:
    """Print one line to stderr and exit with code 2."""
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    raise SystemExit(USER_EXIT_CODE)


def run_command(command: Callable[[], None]) -> None:
    """Run an entry point; a `UserError` becomes one line and exit code 2, an interrupt exit code 130."""
    try:
        with stoppable():
            command()
    except UserError as error:
        fail(_without_traceback(str(error)))
    except Interrupted as news:
        print(news, file=sys.stderr)
        raise SystemExit(INTERRUPTED_EXIT_CODE) from None
    except BrokenPipeError:  # whoever read the output has enough, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(BROKEN_PIPE_EXIT_CODE) from None
    except OSError as error:
        if error.errno not in _DISK_ERRORS:
            raise
        place = f"{error.filename}: " if error.filename else ""
        fail(f"{place}{error.strerror}; make room, or write to another disk")
    except KeyboardInterrupt:
        print("interrupted; what is saved is kept, and the same command goes on from there", file=sys.stderr)
        raise SystemExit(INTERRUPTED_EXIT_CODE) from None


def _without_traceback(message: str) -> str:
    """What a loader process hands over starts with its traceback; the message is the last line."""
    if not message.startswith("Caught "):
        return message
    return message.strip().splitlines()[-1].removeprefix(f"{DataError.__module__}.{DataError.__name__}: ")


def tyro_parse(config: type[AnyT], args: Sequence[str], *, prog: str, default: AnyT | None = None) -> AnyT:
    """`tyro.cli`, with its boxed error message folded into one line.

    Raises:
        UserError: the arguments do not fit.
    """
    shown = io.StringIO()
    keywords: dict[str, Any] = {} if default is None else {"default": default}
    # A message is folded again: tyro need not break it into lines.
    wide = {} if "--help" in args or "-h" in args else {"COLUMNS": "10000"}
    try:
        with contextlib.redirect_stderr(shown), environment(**wide):
            return tyro.cli(config, prog=prog, args=args, **keywords)
    except SystemExit as stop:
        if stop.code == 0:
            raise
        raise UserError(_fold(shown.getvalue())) from None


@contextlib.contextmanager
def environment(**variables: str) -> Iterator[None]:
    """Have environment variables of some values, which libraries and new processes look at, for a while."""
    before = os.environ.copy()
    os.environ.update(variables)
    try:
        yield
    finally:
        for name in variables:
            os.environ.pop(name)
        os.environ.update({name: before[name] for name in variables if name in before})


def _fold(boxed: str) -> str:
    """One line out of tyro's box: the message, and the flags it proposes."""
    lines = [line.strip("│╭╮╰╯─ \n") for line in boxed.splitlines() if not line.startswith(("╭", "╰"))]
    lines = [line for line in lines if line]
    if len(lines) > 1 and not lines[1].strip(
        "-"
    ):  # in ASCII a title underlined with hyphens stands for a box
        del lines[:2]
    lines = [line for line in lines if line.strip("-")]
    message = [line for line in lines if "full helptext" not in line]
    proposed = [line.split()[0].rstrip(",") for line in message if line.startswith("--")]
    head: list[str] = []
    for line in message:
        if line.startswith(("Perhaps you meant", "Argument helptext", "--")):
            break
        head.append(line)
    text = " ".join(head) or " ".join(boxed.split())
    if message[0].startswith("Missing from"):
        missing = [line for line in message if line.startswith("-") or re.fullmatch("[A-Z]+", line)]
        text = f"missing: {', '.join(missing)}"
    if proposed and text.startswith("Unrecognized"):
        text += f"; perhaps {' or '.join(dict.fromkeys(proposed))}"
    return f"{text}; see --help"
