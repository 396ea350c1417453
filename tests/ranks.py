"""Commands run by several processes at once, forked from that of the tests: nothing is imported again."""

import os
import socket
import subprocess
import sys
import traceback
from pathlib import Path

from tests.calling import call


def call_in_ranks(count: int, module: str, *args, cwd: Path) -> subprocess.CompletedProcess[str]:
    """As `tests.calling.call`, by `count` processes that know of each other as those of torchrun do.

    Returns:
        What the first process left behind, with the largest exit code of any.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    outputs = [(cwd / f"rank_{rank}.out", cwd / f"rank_{rank}.err") for rank in range(count)]
    children = [_fork(rank, count, port, outputs[rank], (module, *args), cwd) for rank in range(count)]
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    told = [path.read_text() if path.exists() else "" for path in outputs[0]]
    return subprocess.CompletedProcess([module, *args], max(codes, key=abs), *told)


def _fork(rank: int, count: int, port: int, outputs: tuple[Path, Path], command: tuple, cwd: Path) -> int:
    child = os.fork()
    if child:
        return child
    code = 70
    try:
        ranks = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count}
        os.environ |= {name: str(value) for name, value in ranks.items()}
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        done = call(*command, cwd=cwd)
        for path, text in zip(outputs, (done.stdout, done.stderr), strict=True):
            path.write_text(text)
        code = done.returncode
    except BaseException:
        traceback.print_exc(file=sys.stderr)
    finally:
        os._exit(code)
