"""What tests in several rooms need."""

import os
from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(scope="session")
def s3_server() -> Iterator[None]:
    """A server on this machine that speaks S3; every process started meanwhile finds it."""
    pytest.importorskip("s3fs", reason="needs the extra `cloud`")
    moto_server = pytest.importorskip("moto.server", reason="needs the dependency group `dev`")
    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    found_there = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in found_there.items():
            patch.setenv(name, value)
        yield
    server.stop()


@pytest.fixture
def bucket(s3_server: None, request: pytest.FixtureRequest) -> Iterator["Bucket"]:
    """An empty bucket."""
    name = f"b{abs(hash(request.node.nodeid)):x}-{os.getpid()}"
    store = pytest.importorskip("fsspec").filesystem("s3", use_listings_cache=False)
    store.mkdir(name)
    yield Bucket(f"s3://{name}", store)
    store.rm(name, recursive=True)


class Bucket:
    """A place in object storage."""

    def __init__(self, url: str, store: Any) -> None:
        self.url = url
        self.store = store

    def put(self, name: str, content: bytes) -> str:
        self.store.pipe(f"{self.url}/{name}", content)
        return f"{self.url}/{name}"

    def files(self) -> dict[str, bytes]:
        root = self.url.removeprefix("s3://") + "/"
        return {name.removeprefix(root): self.store.cat(name) for name in self.store.find(root)}

    def note(self) -> bytes:
        """Which publication of `out` lies there; nothing where none does."""
        name = f"{self.url}/out/.docscan.published.json"
        return bytes(self.store.cat_file(name)) if self.store.exists(name) else b""
