"""Commands in processes forked from that of the tests, which need not import anything again."""

import os
import socket
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.calling import call


def start(
    *command,
    cwd: Path,
    name: str = "child",
    environment: Mapping[str, object] | None = None,
    before: Callable[[], object] = os.setsid,
) -> int:
    """Begin `python -m MODULE ARGS` in a process, by default of a group of its own; returns its number.

    Args:
        command: the module and its arguments.
        cwd: where it runs, and leaves its output.
        name: of the files of its output.
        environment: variables to set.
        before: what the process does first.
    """
    child = os.fork()
    if child:
        return child
    code = 70
    try:
        before()
        os.environ |= {key: str(value) for key, value in (environment or {}).items()}
        done = call(*command, cwd=cwd)
        for kind, text in (("out", done.stdout), ("err", done.stderr)):
            (cwd / f"{name}.{kind}").write_text(text)
        code = done.returncode
    except BaseException:
        traceback.print_exc(file=sys.stderr)
    finally:
        os._exit(code)


def outcome(child: int, *, cwd: Path, name: str = "child") -> subprocess.CompletedProcess[str]:
    """What such a process left behind, once it has ended."""
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    files = [cwd / f"{name}.{kind}" for kind in ("out", "err")]
    return subprocess.CompletedProcess(
        name, code, *(file.read_text() if file.exists() else "" for file in files)
    )


def call_forked(*command, cwd: Path) -> subprocess.CompletedProcess[str]:
    """As `tests.calling.call`, in a process of its own."""
    return outcome(start(*command, cwd=cwd), cwd=cwd)


def call_in_ranks(count: int, *command, cwd: Path) -> subprocess.CompletedProcess[str]:
    """As `tests.calling.call`, by `count` processes that know of each other as those of torchrun do.

    Returns:
        What the first process left behind, with the largest exit code of any.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        shared = {"WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count, "MASTER_ADDR": "127.0.0.1"}
        shared["MASTER_PORT"] = free.getsockname()[1]
    children = [
        start(
            *command, cwd=cwd, name=f"rank_{rank}", environment={"RANK": rank, "LOCAL_RANK": rank, **shared}
        )
        for rank in range(count)
    ]
    done = [outcome(child, cwd=cwd, name=f"rank_{rank}") for rank, child in enumerate(children)]
    done[0].returncode = max((one.returncode for one in done), key=abs)
    return done[0]
