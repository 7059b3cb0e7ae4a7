"""Fixtures for all tests: a user of their own, so that nothing of the machine's leaks in or out."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from archive_tasks.plugins import make_plugin_manager
from archive_tasks.session import Session
from archive_tasks.settings import make_settings
from tests.support.moment import NOW
from tests.support.warm import Warm

hypothesis.settings.register_profile("shared machine", deadline=None)
hypothesis.settings.load_profile("shared machine")

SLOW = frozenset(
    # A process for each command, a server, another machine's Python, another user, a tracer: seconds a test.
    ["cli", "s3", "moto_s3", "strict_s3", "rclone_s3", "rclone_tls_s3", "make_host", "make_place", "place", "strace"]
)
"""Fixtures whose tests are slow."""

pytest_plugins = ["tests.support.s3_fixtures", "tests.support.evidence_fixtures"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is slow, so that `-m "not slow"` leaves a loop of less than a minute."""
    for item in items:
        crosses_rooms = Path(__file__).parent / "whole" in item.path.parents
        if crosses_rooms or SLOW & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(autouse=True)
def _own_user(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the user's own settings, credentials or catalogues."""
    home = tmp_path_factory.mktemp("home")
    for variable in [name for name in os.environ if name.startswith(("AWS_", "ARCHIVE_TASKS_", "INVOKE_", "XDG_"))]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_DATA_HOME", str(home / "data"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "config"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    return folder


@pytest.fixture
def other_disk(tmp_path: Path) -> Iterator[Path]:
    shm = Path("/dev/shm")
    if not shm.is_dir() or shm.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no other filesystem here")
    with tempfile.TemporaryDirectory(dir=shm) as folder:
        yield Path(folder)


@pytest.fixture
def make_session(tmp_path: Path) -> Callable[..., Session]:
    """A session at NOW with the built-in plugins: `make_session(root, days=30, plugins=[...])`."""

    def make(root: Path | str, *, plugins: Any = (), now: datetime = NOW, **settings: Any) -> Session:
        made = make_settings({"root": str(root), **settings}, {}, {})
        return Session(
            made, make_plugin_manager(extra=list(plugins), off=made.plugins_off), now=now, data=str(tmp_path / "data")
        )

    return make


_WARM: dict[bool, Warm] = {}


def warm(*, product: bool) -> Warm:
    """What runs the commands of this process' tests."""
    if product not in _WARM:
        _WARM[product] = Warm(product=product)
    return _WARM[product]


def pytest_unconfigure() -> None:
    for server in _WARM.values():
        server.close()


@dataclass(frozen=True)
class Ran:
    """A finished command."""

    code: int
    out: str
    err: str


class CommandLine:
    """Runs `invoke` as a user does: a process of its own, in a folder with a tasks.py."""

    def __init__(self, project: Path) -> None:
        self.project = project
        self.environment: dict[str, str] = {}

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "invoke", *arguments]

    def env(self) -> dict[str, str]:
        return {**os.environ, **self.environment}

    def run(self, *arguments: str, stdin: str | None = None, timeout: float = 120) -> Ran:
        server = warm(product="MACHINE_CLOCK" not in self.environment)
        if type(self).command is CommandLine.command and server.can_run(self.env()):
            return self._run_warm(server, *arguments, stdin=stdin or "", timeout=timeout)
        done = subprocess.run(
            self.command(*arguments),
            cwd=self.project,
            env=self.env(),
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            errors="surrogateescape",
            timeout=timeout,
            check=False,
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    def _run_warm(self, server: Warm, *arguments: str, stdin: str, timeout: float) -> Ran:
        ended = server.run(
            "invoke",
            *arguments,
            cwd=str(self.project),
            environment=self.env(),
            stdin=stdin.encode(errors="surrogateescape"),
            timeout=timeout,
        )
        out, err = (text.decode(errors="surrogateescape") for text in (ended.out, ended.err))
        return Ran(ended.code, out, err)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(*arguments),
            cwd=self.project,
            env=self.env(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


@pytest.fixture
def cli(tmp_path: Path) -> CommandLine:
    """A project of a user's: a folder with a tasks.py that loads ours."""
    project = tmp_path / "project"
    project.mkdir()
    (project / "tasks.py").write_text("from archive_tasks import ns\n")
    return CommandLine(project)
