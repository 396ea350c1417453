"""Room on the disk, and what is said when there is none."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from data.base.errors import DataError, first_line
from gan.run.signals import is_of_a_dead_loader


@contextmanager
def named_if_not_written(path: Path) -> Iterator[None]:
    """Make a user's mistake, which names `path`, of how torch and safetensors say that a disk is full."""
    try:
        yield
    except (RuntimeError, SafetensorError) as error:
        if is_of_a_dead_loader(error):
            raise
        raise DataError(
            f"{path} cannot be written ({first_line(error)}); make room, what was saved before is kept"
        ) from error


def require_room(folder: Path, needed: float, what: str, remedy: str) -> None:
    """Refuse to begin what the disk has no room for.

    Raises:
        DataError: fewer than `needed` bytes are free where `folder` is.
    """
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise DataError(
            f"{folder}: {what} {needed / 1e9:.2f} GB and {free / 1e9:.2f} GB are free; make room, or {remedy}"
        )
