"""Other users of this machine: work that is done under another uid, with other groups, in a process of its own."""

from __future__ import annotations

import contextlib
import os
import pickle
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.conftest import Ran

T = TypeVar("T")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become other users")


@dataclass(frozen=True)
class User:
    """Somebody. Everything that they do has been imported before: they may not be able to read our libraries."""

    uid: int
    groups: tuple[int, ...]
    umask: int = 0o077

    def start(self, work: Callable[[], T]) -> Callable[[], T]:
        """Begin; what is returned waits for the end, and raises what the work raised."""
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            self._become_and_work(work, writer)
        os.close(writer)

        def wait() -> T:
            with os.fdopen(reader, "rb") as answer:
                data = answer.read()
            os.waitpid(child, 0)
            error, said, value = pickle.loads(data)
            if error is not None:
                raise error from RuntimeError(said)
            return value  # type: ignore[no-any-return]

        return wait

    def do(self, work: Callable[[], T]) -> T:
        return self.start(work)()

    def run(self, *arguments: str, home: Path) -> Ran:
        """Run a command of ours. Their settings and catalogues are below `home`."""
        return self.do(lambda: command(*arguments, home=home))

    def _become_and_work(self, work: Callable[[], Any], writer: int) -> None:
        try:
            os.setgroups(self.groups)
            os.setgid(self.groups[0])
            os.setuid(self.uid)
            os.umask(self.umask)
            answer = (None, "", work())
        except BaseException as error:  # noqa: BLE001 - told to the parent
            answer = (error, traceback.format_exc(), None)
        os.write(writer, pickle.dumps(answer))
        os._exit(0)


def command(*arguments: str, home: Path) -> Ran:
    """Run a command of ours in this process."""
    from archive_tasks.program import main

    with (
        contextlib.chdir(home),
        _home_of(home),
        _captured(home / "out", sys.stdout) as out,
        _captured(home / "err", sys.stderr) as err,
    ):
        before, sys.argv = sys.argv, ["archive-tasks", *arguments]
        try:
            main()
            code = 0
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else int(bool(ended.code))
        finally:
            sys.argv = before
    return Ran(code, out.read_text(), err.read_text())


@contextmanager
def _home_of(home: Path) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(HOME=str(home), XDG_DATA_HOME=str(home / "data"), XDG_CONFIG_HOME=str(home / "config"))
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def _captured(path: Path, stream: Any) -> Iterator[Path]:
    with path.open("w") as file:
        name = "stdout" if stream is sys.stdout else "stderr"
        setattr(sys, name, file)
        try:
            yield path
        finally:
            setattr(sys, name, stream)


@pytest.fixture
def common() -> Iterator[Path]:
    """A folder that every user reaches: pytest's own are private."""
    with tempfile.TemporaryDirectory(prefix="archive-tasks-users-") as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)
