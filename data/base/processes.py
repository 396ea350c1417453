"""Work spread over processes, with what can go wrong there told apart."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from data.base.commandline import environment
from data.base.errors import UserError
from data.base.signals import STOPPING, raise_if_asked

TaskT = TypeVar("TaskT")
ResultT = TypeVar("ResultT")


class ProcessDiedError(UserError):
    """A process died without a word: memory ran out, or native code crashed.

    Attributes:
        started: numbers of the tasks that were under way, one of which is to blame.
        waiting: numbers of the tasks that had not begun.
    """

    def __init__(self, started: Sequence[int], waiting: Sequence[int]) -> None:
        super().__init__(
            "a worker process died: either memory ran out (use fewer workers; what is finished is kept), or "
            "a decoder crashed (python -m data.check names the file), or the script that started it does "
            "not guard its main part with `if __name__ == '__main__':`"
        )
        self.started = list(started)
        self.waiting = list(waiting)


def require_one_process(command: str) -> None:
    """Refuse to be one of several processes that a launcher has started.

    Raises:
        UserError: naming the command.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UserError(f"{command} is one process by itself; start it without accelerate launch or torchrun")


def available_cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_processes(
    function: Callable[[TaskT], ResultT], tasks: Sequence[TaskT], *, workers: int, isolate: bool = False
) -> Generator[tuple[int, ResultT], None, None]:
    """Call `function` on every task and yield (number of the task, result) as results come in.

    With one worker everything happens in this process. An exception of a task ends all of them; so does an
    interrupt, at once. Each process computes with one thread, as there is one for every core.

    Args:
        function: a module's function; it and the tasks travel to the processes by pickle.
        tasks: what to do. Make them worth some hundredths of a second each; every one is a message.
        workers: processes; 0 for one per core.
        isolate: use a process of its own even for one worker, since native code may crash it.

    Raises:
        ProcessDiedError: a process died.
    """
    workers = min(workers or available_cores(), len(tasks))
    if workers == 0 or (workers == 1 and not isolate):
        for number, task in enumerate(tasks):
            raise_if_asked()
            yield number, function(task)
        return
    # Forking a process that has used threads can deadlock; spawned ones start clean.
    context = multiprocessing.get_context("spawn")
    others = set(multiprocessing.active_children())
    one_thread_each = environment(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")
    with one_thread_each, ProcessPoolExecutor(workers, context, _start) as pool:
        try:
            yield from in_turn(pool, function, tasks, room=lambda: 2 * workers, died=BrokenProcessPool)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for child in set(multiprocessing.active_children()) - others:
                child.terminate()
            raise


def in_turn(
    executor: Executor,
    function: Callable[[TaskT], ResultT],
    tasks: Sequence[TaskT],
    *,
    room: Callable[[], int],
    died: type[Exception],
    look_s: float | None = None,
) -> Generator[tuple[int, ResultT], None, None]:
    """Hand tasks to an executor, few at a time, and yield (number, result) as results come in.

    Few are under way: a million tasks cost no memory, and a crash leaves few suspects.

    Args:
        executor: what does them.
        function: called on each task.
        tasks: what to do.
        room: how many may be under way now.
        died: what the executor raises where a process died.
        look_s: ask for `room` after so many seconds without a result, too.

    Raises:
        ProcessDiedError: a process died.
    """
    begun, under_way = 0, dict[Future[ResultT], int]()
    try:
        while under_way or begun < len(tasks):
            most = room()
            while begun < len(tasks) and len(under_way) < most:
                under_way[executor.submit(function, tasks[begun])] = begun
                begun += 1
            raise_if_asked()
            done, _ = wait(under_way, look_s, FIRST_COMPLETED)
            for future in done:
                result = future.result()
                yield under_way.pop(future), result
    except died as error:
        raise ProcessDiedError(sorted(under_way.values()), range(begun, len(tasks))) from error


@dataclass(frozen=True)
class Processes:
    """Processes of this machine; see `in_processes` for what the two settings mean."""

    asked: int = 0
    isolate: bool = False

    @property
    def workers(self) -> int:
        """How many there are at most."""
        return self.asked or available_cores()

    def run(
        self, function: Callable[[TaskT], ResultT], tasks: Sequence[TaskT]
    ) -> Generator[tuple[int, ResultT], None, None]:
        """See `data.base.engines.Engine`."""
        return in_processes(function, tasks, workers=self.asked, isolate=self.isolate)


@contextmanager
def one_thread() -> Iterator[None]:
    """Have torch compute with one thread, for a while or, as `@one_thread()`, in a function.

    Sums over threads round differently; with one, every machine agrees.
    """
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _start() -> None:
    for number in set(STOPPING) - {signal.SIGTERM}:  # by which the parent ends them
        signal.signal(number, signal.SIG_IGN)  # the parent decides what an interrupt means
    threading.Thread(target=_end_with_the_parent, daemon=True).start()


def _end_with_the_parent() -> None:
    """A parent that was killed can stop nobody; without this, its workers would wait for tasks forever."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
