"""Tasks on the workers of a Dask cluster: a real one, on this machine."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from data.base import cluster as module
from data.base.cluster import Cluster
from data.base.engines import engine_of
from data.base.errors import DataError, UserError
from data.base.processes import ProcessDiedError, Processes
from tests.data.clusters import start_cluster
from tests.micro import command_environment

done: list[int] = []


def square(number: int) -> int:
    done.append(number)
    return number**2


def refuse(number: int) -> int:
    if number == 3:
        raise DataError("three.png is no picture; leave it out")
    return number


def sleep(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def lack(_: int) -> None:
    raise ModuleNotFoundError("No module named 'kornia'", name="kornia")


def die_once(mark: Path) -> tuple[str, str]:
    """A process that does this for the first time is killed by it."""
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return mark.name, str(Path.cwd())


def die(number: int) -> int:
    if number == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


@pytest.fixture
def engine(cluster):
    done.clear()
    return Cluster(cluster.scheduler_address)


def test_every_task_is_done_once(engine):
    assert engine.workers == 2
    assert sorted(engine.run(square, range(20))) == [(n, n**2) for n in range(20)]
    assert sorted(done) == list(range(20))
    assert list(engine.run(square, [])) == []


def test_few_tasks_are_under_way(engine, cluster):
    results = engine.run(square, range(1000))
    for _ in range(3):
        next(results)
    time.sleep(0.2)
    assert len(done) <= 3 + 2 * engine.workers + 1
    assert len(cluster.scheduler.tasks) <= 2 * engine.workers + 1  # results go when they are read
    results.close()
    assert Processes(2).workers == engine.workers  # a pool of as many has as many under way


def test_an_error_of_a_task_comes_through(engine):
    with pytest.raises(DataError, match=r"^three\.png is no picture; leave it out$"):
        list(engine.run(refuse, range(10)))


def test_an_interrupt_does_not_wait_and_calls_off_what_has_not_begun(engine, cluster):
    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        for _ in engine.run(sleep, [0.01, *[1.0] * 20]):
            raise KeyboardInterrupt
    assert time.monotonic() - begun < 1
    assert not [task for task in cluster.scheduler.tasks.values() if task.state == "queued"]


def test_what_a_worker_lacks_is_named(engine):
    with pytest.raises(
        UserError, match="a worker lacks kornia; start workers where this toolkit is installed"
    ):
        list(engine.run(lack, range(3)))


def test_workers_with_several_threads_are_refused():
    with (
        start_cluster(n_workers=1, threads_per_worker=2) as other,
        pytest.raises(UserError, match=r"has 2 threads, which .* start workers with --nthreads 1"),
    ):
        list(Cluster(other.scheduler_address).run(square, range(3)))


def test_a_worker_that_does_not_see_the_folder_is_refused(engine, tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "cwd", lambda: tmp_path / "elsewhere")
    with pytest.raises(UserError, match=r"sees no folder .*/elsewhere; have the same file system there"):
        list(engine.run(square, range(3)))


def test_a_cluster_without_workers_is_waited_for_but_not_forever(monkeypatch):
    monkeypatch.setattr(module, "_PATIENCE_S", 0.2)
    monkeypatch.setattr(module, "_LOOK_S", 0.1)
    with start_cluster(n_workers=0) as empty:
        engine = Cluster(empty.scheduler_address)
        assert engine.workers == 1
        with pytest.raises(
            UserError, match=r"has had no worker for 0 s; start some with `dask worker tcp://"
        ):
            list(engine.run(square, range(3)))


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nowhere", "tcp://127.0.0.1:port", "ftp://a:1"])
def test_an_address_where_no_scheduler_is(address, monkeypatch, capfd):
    monkeypatch.setattr(module, "_CONNECT_S", 0.2)
    with pytest.raises(UserError, match=rf"--cluster {address} cannot be reached .* `dask scheduler` says"):
        list(Cluster(address).run(square, range(3)))
    assert capfd.readouterr() == ("", "")


SCHEDULER = """
from distributed import LocalCluster
if __name__ == "__main__":
    options = {"dashboard_address": ":0", "threads_per_worker": 1, "processes": False, "protocol": "tcp"}
    with LocalCluster(n_workers=2, **options) as cluster:
        print(cluster.scheduler_address, flush=True)
        input()
"""


def test_a_cluster_that_goes_away_is_said_in_a_line(capfd):
    """A real one, killed: nothing tells the client."""
    other = subprocess.Popen(
        [sys.executable, "-c", SCHEDULER],
        env=command_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with other:
        results = Cluster(other.stdout.readline().strip()).run(sleep, [0.01, *[60.0] * 20])
        next(results)
        other.kill()
        with pytest.raises(UserError, match="does not answer any more; what is finished is kept"):
            list(results)
    assert capfd.readouterr().err == ""


def test_a_killed_worker_costs_its_tasks_a_second_try(tmp_path, monkeypatch):
    """Worker processes, really killed; they work where the command was started."""
    with start_cluster(n_workers=2, processes=True) as processes:
        monkeypatch.chdir(tmp_path)
        engine, marks = Cluster(processes.scheduler_address), [tmp_path / str(number) for number in range(8)]
        for mark in marks[1:]:
            mark.touch()
        found = dict(engine.run(die_once, marks))
        assert found == {number: (str(number), str(tmp_path)) for number in range(8)}

        processes.scheduler.allowed_failures = 0
        results = dict[int, int]()
        with pytest.raises(ProcessDiedError) as caught:
            results.update(engine.run(die, range(50)))
        assert 5 in caught.value.started
        assert len(caught.value.started) <= 4


def test_workers_are_either_of_this_machine_or_of_a_cluster():
    assert engine_of(2, None) == Processes(2)
    assert engine_of(0, "tcp://127.0.0.1:8786") == Cluster("tcp://127.0.0.1:8786")
    with pytest.raises(UserError, match="--workers counts processes of this machine"):
        engine_of(2, "tcp://127.0.0.1:8786")
