"""What takes long to make is made once a test run, whichever test process asks first."""

import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder that `make` fills; every test process gets the same one and only reads it."""
    base = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:  # each of them has a folder of its own, side by side
        base = base.parent
    folder = base / "shared" / name
    folder.parent.mkdir(exist_ok=True)
    done = folder.with_name(f"{name}.done")
    with FileLock(folder.with_name(f"{name}.lock")):
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)  # of a process that failed
            folder.mkdir()
            make(folder)
            done.touch()
    return folder


def computed_once(factory: pytest.TempPathFactory, name: str, compute: Callable[[], object]) -> Any:
    """What `compute` returns; every test process gets a copy of the same."""
    folder = made_once(factory, name, lambda folder: (folder / "value").write_bytes(pickle.dumps(compute())))
    return pickle.loads((folder / "value").read_bytes())
