"""Work spread over many machines, by a Dask cluster that runs already."""

import logging
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import chdir, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from data.base.errors import UserError, first_line
from data.base.processes import ResultT, TaskT, in_turn

if TYPE_CHECKING:
    from distributed import Client

_CONNECT_S, _LOOK_S, _PATIENCE_S = 10.0, 1.0, 60.0
_GONE = (OSError, RuntimeError, AttributeError)
"""What a client raises, by where it was, whose scheduler has gone."""


@dataclass(frozen=True)
class Cluster:
    """Workers of a Dask scheduler: one thread each, with this toolkit, on a file system that all of them see.

    A worker that dies costs its tasks another try. Paths mean there what they mean here.

    Attributes:
        address: of the scheduler, such as tcp://10.0.0.1:8786.
    """

    address: str

    @property
    def workers(self) -> int:
        """How many there are now, at least 1, since they may be on their way.

        Raises:
            UserError: the scheduler does not answer.
        """
        with self._client() as client:
            return max(1, len(client.nthreads()))

    def run(
        self, function: Callable[[TaskT], ResultT], tasks: Sequence[TaskT]
    ) -> Generator[tuple[int, ResultT], None, None]:
        """See `data.base.engines.Engine`.

        Raises:
            ProcessDiedError: several workers died of a task.
            UserError: the cluster is not there, goes away or lacks something.
        """
        if not tasks:
            return
        with self._client() as client, client.get_executor(pure=False) as executor:
            from distributed import KilledWorker

            there = partial(_work, function, str(Path.cwd()))
            room = _Watch(client, self.address).room
            try:
                yield from in_turn(executor, there, tasks, room=room, died=KilledWorker, look_s=_LOOK_S)
            except CancelledError as error:
                raise _gone(self.address) from error
            except ModuleNotFoundError as error:
                raise UserError(
                    f"--cluster {self.address}: a worker lacks {error.name}; start workers where this "
                    "toolkit is installed with all that it needs"
                ) from error
            finally:
                with suppress(*_GONE):
                    executor.shutdown(wait=False)

    @contextmanager
    def _client(self) -> Iterator["Client"]:
        try:
            from distributed import Client
        except ModuleNotFoundError as error:
            raise UserError("--cluster needs Dask: pip install 'radiograph-change-gan[cluster]'") from error
        for name in ("distributed", "distributed.client"):  # what goes wrong is said here
            logging.getLogger(name).setLevel(logging.CRITICAL)
        try:
            client = Client(self.address, timeout=_CONNECT_S, set_as_default=False)
        except (OSError, ValueError, ImportError) as error:
            raise UserError(
                f"--cluster {self.address} cannot be reached ({first_line(error)}); give the address that "
                "`dask scheduler` says, such as tcp://10.0.0.1:8786"
            ) from error
        try:
            yield client
        finally:
            with suppress(*_GONE):
                client.close()


@dataclass
class _Watch:
    """Looks after a cluster while its results are waited for."""

    client: "Client"
    address: str
    looked: float = 0.0
    seen: float = field(default_factory=time.monotonic)
    """When there was a worker."""
    workers: int = 0

    def room(self) -> int:
        """How many tasks may be under way, by what was there within the last second.

        Raises:
            UserError: there is no scheduler, or there was no worker for a minute.
        """
        now = time.monotonic()
        if now - self.looked >= _LOOK_S:
            try:
                self.looked, self.workers = now, len(self.client.nthreads())
            except _GONE as error:
                raise _gone(self.address) from error
        if self.workers:
            self.seen = now
        elif now - self.seen > _PATIENCE_S:
            raise UserError(
                f"--cluster {self.address} has had no worker for {_PATIENCE_S:.0f} s; start some with "
                f"`dask worker {self.address} --nthreads 1`"
            )
        return max(1, 2 * self.workers)


def _gone(address: str) -> UserError:
    return UserError(
        f"--cluster {address} does not answer any more; what is finished is kept, and the same command goes "
        "on once it is back"
    )


def _work(function: Callable[[TaskT], ResultT], folder: str, task: TaskT) -> ResultT:
    """Do a task on a worker, in the folder that relative paths start from."""
    from distributed import get_worker

    worker = get_worker()
    if worker.state.nthreads != 1:
        raise UserError(
            f"--cluster: the worker {worker.address} has {worker.state.nthreads} threads, which get in each "
            "other's way; start workers with --nthreads 1, and as many as there are cores"
        )
    if not Path(folder).is_dir():
        raise UserError(
            f"--cluster: the worker {worker.address} sees no folder {folder}; have the same file system "
            "there at the same place"
        )
    with chdir(folder):
        return function(task)
