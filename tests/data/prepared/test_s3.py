"""Prepared data in object storage: a server of S3's protocol on this machine, where moto is installed."""

import socket
import socketserver
import threading
from dataclasses import replace
from itertools import count

import pytest

from data import DataConfig, DataError, load_pairs
from data.base.processes import Processes
from data.prepare.writing import Recipe, prepare_records
from tests.data.opened import pairs_of
from tests.micro import write_pairs

moto_server = pytest.importorskip("moto.server")
s3fs = pytest.importorskip("s3fs")

NUMBERS = count()
"""Of buckets, which servers of one process share."""
RECIPE = Recipe(size=32, bits=16, change="magnitude", intensity="dicom", framing="pad", on_error="raise")
DENIED = (
    b"HTTP/1.1 403 Forbidden\r\nContent-Type: application/xml\r\nConnection: close\r\n\r\n"
    b"<Error><Code>InvalidAccessKeyId</Code><Message>The key is not known.</Message></Error>"
)


class Proxy(socketserver.ThreadingTCPServer):
    """Passes connections on to a port, until it is told to break some of them or to deny all."""

    allow_reuse_address = daemon_threads = True

    def __init__(self, port):
        super().__init__(("127.0.0.1", 0), Passing)
        self.port, self.connections, self.broken = port, count(1), 0
        self.breaks_every, self.denies = 0, False
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_address[1]}"


class Passing(socketserver.BaseRequestHandler):
    def handle(self):
        proxy = self.server
        if proxy.breaks_every and next(proxy.connections) % proxy.breaks_every == 0:
            proxy.broken += 1
            return
        if proxy.denies:
            self.request.recv(65536)
            self.request.sendall(DENIED)
            return
        with socket.create_connection(("127.0.0.1", proxy.port)) as there:
            back = threading.Thread(target=pour, args=(there, self.request), daemon=True)
            back.start()
            pour(self.request, there)
            back.join()


def pour(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


@pytest.fixture
def stored(tmp_path, monkeypatch):
    """A prepared data set in a bucket, its options, the proxy in front of the server, and the bucket."""
    data = write_pairs(tmp_path / "pairs", patients=8, pairs=2)
    local = DataConfig(path=data, image_size=32, batch_size=2)
    prepare_records(load_pairs(data, local), tmp_path / "out", RECIPE, engine=Processes(1), progress=False)
    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    proxy = Proxy(server.get_host_and_port()[1])
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.address)
    s3fs.S3FileSystem.clear_instance_cache()
    bucket = s3fs.S3FileSystem(skip_instance_cache=True)
    place = f"bucket-{next(NUMBERS)}/out"
    bucket.mkdir(place.partition("/")[0])
    bucket.put(str(tmp_path / "out"), place, recursive=True)
    config = replace(local, path=None, prepared=f"s3://{place}", cache_dir=tmp_path / "cache")
    yield config, tmp_path / "out", proxy, bucket
    proxy.shutdown()
    server.stop()
    s3fs.S3FileSystem.clear_instance_cache()


def ids(split):
    return sorted(sample.id for sample in split)


def test_it_gives_what_the_folder_gives_also_over_connections_that_break(stored):
    config, folder, proxy, _ = stored
    local = replace(config, prepared=str(folder))
    proxy.breaks_every = 3
    for split in ("val", "test"):
        ours, expected = pairs_of(config, split), pairs_of(local, split)
        assert [x.id for x in ours] == [x.id for x in expected]
        assert all(one.followup.equal(other.followup) for one, other in zip(ours, expected, strict=True))
    found, expected = ids(pairs_of(config, "train")), ids(pairs_of(local, "train"))
    assert set(found) <= set(expected)
    assert len(found) == len(expected) // 2 * 2
    assert proxy.broken


def test_a_credential_that_is_wrong_is_one_line(stored):
    config, _, proxy, _ = stored
    proxy.denies = True
    with pytest.raises(DataError, match=r"s3://\S+/prepared.json cannot be read") as caught:
        pairs_of(config, "val")
    assert "\n" not in str(caught.value)


def test_an_object_that_vanishes_is_one_line(stored):
    config, _, _, bucket = stored
    train = pairs_of(config, "train")
    place = config.prepared.removeprefix("s3://")
    bucket.rm(bucket.ls(f"{place}/train")[-1])
    with pytest.raises(DataError, match=r"--data.prepared: s3://\S+/out cannot be read") as caught:
        list(train)
    assert "\n" not in str(caught.value)
    bucket.rm(bucket.ls(f"{place}/test")[0])
    with pytest.raises(DataError, match=r"s3://\S+/test/\S+ cannot be copied"):
        pairs_of(config, "test")
