"""Keep libraries from writing to the terminal about files that are odd; what is wrong is said in one line."""

import logging
import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_LIBRARIES = r"(pydicom|PIL|tifffile|nibabel|numpy|data\.files)(\.|$)"
_LOGGERS = ("pydicom", "PIL", "tifffile")
_lock = threading.Lock()
_stderr_lock = threading.Lock()
_STDERR = 2
_readers = 0
_filters: warnings.catch_warnings | None = None

for _name in _LOGGERS:  # a library without any handler logs to stderr
    logging.getLogger(_name).addHandler(logging.NullHandler())


@contextmanager
def quiet() -> Iterator[None]:
    """Ignore the warnings of the libraries that decode files while at least one thread is within.

    Python keeps the filters of warnings for the whole process. The first thread to enter adds to them and the
    last to leave restores them, so that readers in several threads do not restore each other's.
    """
    global _readers, _filters
    with _lock:
        if not _readers:
            _filters = warnings.catch_warnings()
            _filters.__enter__()
            warnings.filterwarnings("ignore", module=_LIBRARIES)
        _readers += 1
    try:
        yield
    finally:
        with _lock:
            _readers -= 1
            if not _readers and _filters is not None:
                _filters.__exit__(None, None, None)
                _filters = None


@contextmanager
def without_stderr() -> Iterator[None]:
    """Discard what is written to the process's standard error.

    For libtiff, which writes there what is wrong with a file and cannot be told not to. What another thread
    writes meanwhile is lost as well, so this is kept to the calls into it.
    """
    with _stderr_lock, open(os.devnull, "wb") as nowhere:  # noqa: PTH123
        terminal = os.dup(_STDERR)
        os.dup2(nowhere.fileno(), _STDERR)
        try:
            yield
        finally:
            os.dup2(terminal, _STDERR)
            os.close(terminal)
