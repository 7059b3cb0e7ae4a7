"""The S3 servers as fixtures: started once a session, each test in a bucket of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any

import pytest

from archive_tasks.default_plugins.stores.s3.store import S3Store
from archive_tasks.settings import make_settings
from tests.support import fault_proxy as proxies
from tests.support.servers import S3Server, StrictMiddleware, moto_server, rclone_server


@pytest.fixture(scope="session")
def moto_s3() -> Iterator[S3Server]:
    with moto_server() as server:
        yield server


@pytest.fixture(scope="session")
def strict_s3() -> Iterator[S3Server]:
    """Checks checksums as S3 does, so that its word is proof."""
    with moto_server(StrictMiddleware, kind="strict") as server:
        yield server


@pytest.fixture(scope="session")
def rclone_s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with rclone_server(tmp_path_factory.mktemp("rclone")) as server:
        yield server


@pytest.fixture(scope="session")
def rclone_tls_s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with rclone_server(tmp_path_factory.mktemp("rclone-tls"), tls=True) as server:
        yield server


@pytest.fixture(params=["moto_s3", "strict_s3", "rclone_s3", "rclone_tls_s3"])
def s3(request: pytest.FixtureRequest) -> S3Server:
    """Each of the servers in turn."""
    server: S3Server = request.getfixturevalue(request.param)
    return server


@pytest.fixture
def fault_proxy() -> Iterator[Callable[[str], proxies.FaultProxy]]:
    """`fault_proxy(endpoint)` makes a proxy before that server; it ends with the test."""
    with ExitStack() as open_proxies:
        yield lambda upstream: open_proxies.enter_context(proxies.fault_proxy(upstream))


@pytest.fixture
def store_at(monkeypatch: pytest.MonkeyPatch) -> Callable[..., S3Store]:
    """`store_at(server)` opens a new bucket there; the client library does not wait between its three tries."""
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=lambda _seconds: None))

    def open_it(server: S3Server, *, endpoint: str = "", bucket: str = "", **s3: Any) -> S3Store:
        for name, value in server.env.items():
            monkeypatch.setenv(name, value)
        if endpoint:
            monkeypatch.setenv("AWS_ENDPOINT_URL_S3", endpoint)
        settings = make_settings({"part_size": "5M", "s3": s3}, {}, {})
        return S3Store(f"s3://{bucket or server.make_bucket()}/some/prefix", settings)

    return open_it
