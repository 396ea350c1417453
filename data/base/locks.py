"""One writer a folder: a file whose lock ends with the process that holds it, however that ends."""

from pathlib import Path

from filelock import FileLock, Timeout


def try_lock(file: Path) -> FileLock | None:
    """Hold a file in a folder that is there, until it is released or this process ends.

    Child processes do not hold it. Who holds it may delete it, with or without the folder.

    Returns:
        None where somebody else holds it.

    Raises:
        OSError: it cannot be made.
    """
    lock = FileLock(file, blocking=False, thread_local=False)
    try:
        lock.acquire()
    except Timeout:
        return None
    return lock
