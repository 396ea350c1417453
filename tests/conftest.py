"""Fixtures that the tests of the stages share."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.micro import command_environment, write_pairs

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run_module(tmp_path: Path) -> Command:
    """Run `python -m MODULE ARGS` in an empty directory, as a user would."""

    def run(module: str, *args: str | Path, cwd: Path = tmp_path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", module, *map(str, args)],
            cwd=cwd,
            env=command_environment(),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return run


@pytest.fixture(scope="session")
def pairs_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixteen pairs of eight patients, 32 px; read only."""
    return write_pairs(tmp_path_factory.mktemp("pairs"))
