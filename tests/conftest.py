"""Fixtures that the tests of the stages share."""

from pathlib import Path

import pytest

from tests.micro import write_pairs


@pytest.fixture(scope="session")
def pairs_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixteen pairs of eight patients, 32 px; read only."""
    return write_pairs(tmp_path_factory.mktemp("pairs"))
