"""What the tests of evidence share: places and hosts."""

from __future__ import annotations

import os
import urllib.request
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.hosts import Host
from tests.support.places import FolderPlace, Hidden, MotoPlace, Place, RclonePlace
from tests.support.servers import S3Server, free_port, moto_server, rclone_server


@pytest.fixture(scope="session")
def _moto_that_hides() -> Iterator[tuple[S3Server, Hidden]]:
    hidden = Hidden()
    with moto_server(hidden.wrap) as server:
        yield server, hidden


@pytest.fixture(scope="session")
def _rclone_that_looks(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[S3Server, Path, Callable[[], None]]]:
    """With a way to have it look at its files anew. (With `--dir-cache-time 0s` it does so always, and locks up.)"""
    folder, control = tmp_path_factory.mktemp("rclone-that-looks"), f"127.0.0.1:{free_port()}"
    request = urllib.request.Request(f"http://{control}/vfs/forget", data=b"", method="POST")
    with rclone_server(folder, flags=("--rc", "--rc-no-auth", "--rc-addr", control)) as server:
        yield server, folder / "data", lambda: urllib.request.urlopen(request, timeout=30).close()


@pytest.fixture
def make_place(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], Place]:
    """`make_place("rclone")`: a new place of that kind."""

    def make(kind: str) -> Place:
        if kind == "folder":
            return FolderPlace(tmp_path / "nas")
        if kind == "moto":
            return MotoPlace(*request.getfixturevalue("_moto_that_hides"))
        return RclonePlace(*request.getfixturevalue("_rclone_that_looks"))

    return make


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that takes a `place` runs on a folder, and two of three on one of the servers; with EVERY_PLACE=1 on all."""
    found = metafunc._arg2fixturedefs.get("place", [])
    if "place" in metafunc.fixturenames and found and found[-1].func is _place_of_each_kind:
        some = (["rclone"], ["moto"], [])[zlib.crc32(metafunc.function.__name__.encode()) % 3]
        servers = ["rclone", "moto"] if os.environ.get("EVERY_PLACE") else some
        metafunc.parametrize("place", ["folder", *servers], indirect=True)


def _place_of_each_kind(request: pytest.FixtureRequest, make_place: Callable[[str], Place]) -> Place:
    """Each kind of place in turn."""
    return make_place(request.param)


place = pytest.fixture(name="place")(_place_of_each_kind)


@pytest.fixture
def nas(make_place: Callable[[str], Place]) -> FolderPlace:
    found = make_place("folder")
    assert isinstance(found, FolderPlace)
    return found


@pytest.fixture
def make_host(tmp_path: Path) -> Callable[..., Host]:
    """`make_host("laptop", place)`: a machine of that name; two of one name are two machines."""
    number = iter(range(1_000))

    def make(name: str, place: Place | None = None, *, data: Path | None = None) -> Host:
        return Host(name, tmp_path / f"host{next(number)}", place, data=data)

    return make
