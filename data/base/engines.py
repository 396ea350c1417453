"""Where the tasks of a command are done: processes of this machine, or workers of a cluster."""

from collections.abc import Callable, Generator, Sequence
from typing import Protocol

from data.base.errors import UserError
from data.base.processes import Processes, ResultT, TaskT


class Engine(Protocol):
    """Something that does tasks beside each other."""

    @property
    def workers(self) -> int:
        """How many tasks it does at once."""

    def run(
        self, function: Callable[[TaskT], ResultT], tasks: Sequence[TaskT]
    ) -> Generator[tuple[int, ResultT], None, None]:
        """Call `function` on every task and yield (number of the task, result) as results come in.

        An exception of a task, or an interrupt, ends all of them. Nothing is kept of a result that was
        yielded, and few tasks are under way at a time.

        Args:
            function: a module's function; it and the tasks travel by pickle.
            tasks: what to do; any may be done twice, where a worker dies.

        Raises:
            ProcessDiedError: a process died, or several did of one task.
        """


def engine_of(workers: int, cluster: str | None, *, isolate: bool = False) -> Engine:
    """What the options of a command name.

    Args:
        workers: processes of this machine; 0 for one per core.
        cluster: address of a Dask scheduler instead.
        isolate: use a process of its own even for one worker, since native code may crash it.

    Raises:
        UserError: both are named.
    """
    if cluster is None:
        return Processes(workers, isolate)
    if workers:
        raise UserError("--workers counts processes of this machine; leave it out, or leave out --cluster")
    from data.base.cluster import Cluster

    return Cluster(cluster)
