"""What whole runs and mistakes start from."""

import pytest

from tests.micro import ADVERSARIAL, PRETRAIN, run


@pytest.fixture(scope="module")
def workplace(tmp_path_factory, pairs_folder):
    """A directory in which both stages have run once."""
    folder = tmp_path_factory.mktemp("workplace")
    for module, options in (("gan.pretrain", PRETRAIN), ("gan.adversarial", ADVERSARIAL)):
        done = run(module, *options, "--data.path", pairs_folder, cwd=folder)
        assert done.returncode == 0, done.stderr
    return folder
