"""What whole runs and mistakes start from."""

import pytest

from tests.micro import ADVERSARIAL, PRETRAIN, run
from tests.shared import made_once


@pytest.fixture(scope="session")
def workplace(tmp_path_factory, pairs_folder):
    """A directory in which both stages have run once, as a user would type it; read only."""

    def train_both(folder):
        for module, options in (("gan.pretrain", PRETRAIN), ("gan.adversarial", ADVERSARIAL)):
            done = run(module, *options, "--data.path", pairs_folder, cwd=folder)
            assert done.returncode == 0, done.stderr

    return made_once(tmp_path_factory, "workplace", train_both)
