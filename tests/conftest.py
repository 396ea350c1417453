"""Fixtures that the tests of the stages share."""

from pathlib import Path

import pytest

from tests.micro import write_pairs
from tests.shared import made_once


@pytest.fixture(scope="session")
def pairs_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixteen pairs of eight patients, 32 px; read only."""
    return made_once(tmp_path_factory, "pairs", write_pairs)
