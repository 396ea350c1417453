import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from data.base.errors import UserError
from data.base.processes import ProcessDiedError, in_processes, require_one_process
from tests.micro import command_environment


def square(number: int) -> int:
    return number**2


def own_process(_: int) -> int:
    return os.getpid()


def refuse(number: int) -> int:
    if number == 3:
        raise KeyError("three")
    return number


def die(number: int) -> int:
    if number == 5:
        os.kill(os.getpid(), signal.SIGSEGV)
    return number


def sleep(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


@pytest.mark.parametrize("workers", [1, 2])
def test_every_task_is_done_once(workers):
    assert sorted(in_processes(square, range(20), workers=workers)) == [(n, n**2) for n in range(20)]


def test_no_tasks():
    assert list(in_processes(square, [], workers=2)) == []


def test_one_worker_needs_no_process_unless_asked():
    assert dict(in_processes(own_process, [0], workers=1)) == {0: os.getpid()}
    assert dict(in_processes(own_process, [0], workers=1, isolate=True))[0] != os.getpid()


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_of_a_task_comes_through(workers):
    with pytest.raises(KeyError, match="three"):
        list(in_processes(refuse, range(10), workers=workers))


def test_a_crash_names_few_suspects():
    done: list[int] = []
    with pytest.raises(ProcessDiedError) as caught:
        for number, _ in in_processes(die, range(50), workers=2):
            done.append(number)
    death = caught.value
    assert 5 in death.started
    assert len(death.started) <= 4
    assert sorted([*done, *death.started, *death.waiting]) == list(range(50))


def test_an_interrupt_does_not_wait_for_what_is_under_way():
    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        for _ in in_processes(sleep, [0.01, 120.0, 120.0], workers=2):
            raise KeyboardInterrupt
    assert time.monotonic() - begun < 60


def test_workers_of_a_killed_parent_end(tmp_path):
    """A real process, killed: nothing can tell its workers, which must find out themselves."""
    script = tmp_path / "script.py"
    script.write_text(
        "import os, time\n"
        "from pathlib import Path\n"
        "from data.base.processes import in_processes\n"
        "def work(folder):\n"
        "    (Path(folder) / f'{os.getpid()}.pid').touch()\n"
        "    time.sleep(120)\n"
        "if __name__ == '__main__':\n"
        f"    list(in_processes(work, [{str(tmp_path)!r}] * 2, workers=2))\n"
    )
    parent = subprocess.Popen([sys.executable, script], env=command_environment())
    workers = eventually(lambda: len(found := list(tmp_path.glob("*.pid"))) == 2 and found)
    parent.kill()
    parent.wait()
    assert eventually(lambda: not any(is_running(int(path.stem)) for path in workers))


def eventually(condition):
    deadline = time.monotonic() + 60
    while not (value := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return value


def is_running(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


def test_a_command_that_is_one_process_is_not_started_as_several(monkeypatch):
    require_one_process("gan.predict")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match=r"gan.predict is one process by itself; start it without"):
        require_one_process("gan.predict")
