"""Killing a run at a moment of the test's choosing: what tests that pull the plug share.

An action runs in a forked child, which counts its looks and writes and ends itself by SIGKILL at one of them.
Python tells of most (`sys.addaudithook`); fsync, pwrite and what SQLite is told have no audit event and are wrapped,
in the child alone. A pwrite that is the last one writes half of its bytes first.
"""

from __future__ import annotations

import itertools
import os
import signal
import sqlite3
import sys
import traceback
import warnings
from collections.abc import Callable
from typing import Any, Never

Action = Callable[[], object]

EVENTS = frozenset(
    {
        "open",
        "os.chmod",
        "os.chown",
        "os.link",
        "os.listdir",
        "os.mkdir",
        "os.remove",
        "os.rename",
        "os.rmdir",
        "os.scandir",
        "os.setxattr",
        "os.symlink",
        "os.truncate",
        "os.utime",
    }
)
NEVER = 0
"""`at` for an action that ends itself with `die()`."""
_STATEMENTS = ("begin", "insert", "update", "delete", "commit", "rollback")


def run_and_die(action: Action, *, at: int) -> bool:
    """Do it in a child that kills itself at its `at`-th event, from 1 on.

    Returns:
        False when it ended before that.

    Raises:
        AssertionError: it failed by itself; why is on the child's standard error.
    """
    child = _forked(lambda: _do(action, _Events(last=at)))
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL, f"the child died of signal {os.WTERMSIG(status)}"
        return True
    assert status == 0, "what was to be killed failed by itself"
    return False


def count_events(action: Action) -> int:
    """How many events it has when nothing stops it; it is done, in a child."""
    reader, writer = os.pipe()

    def count() -> None:
        events = _Events(last=NEVER)
        _do(action, events)
        os.write(writer, str(next(events.numbers) - 1).encode())

    child = _forked(count)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        answer = pipe.read()
    _, status = os.waitpid(child, 0)
    assert status == 0, "what was to be counted failed by itself"
    return int(answer)


def spread(events: int, points: int) -> list[int]:
    """At most `points` of the events from 1 on, evenly, the last one among them."""
    points = min(events, points)
    return [events * number // points for number in range(1, points + 1)]


class _Events:
    """Numbers events, of all threads, and dies at the `last`."""

    def __init__(self, *, last: int) -> None:
        self.numbers = itertools.count(1)  # next() of it is one step for all threads
        self._last = last

    def happen(self, final: Action = lambda: None) -> None:
        """Another one; does what is `final` before it dies of it."""
        if next(self.numbers) == self._last:
            final()
            die()


def die() -> Never:
    """End this process as `kill -9` does."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("unreachable")


def _do(action: Action, events: _Events) -> None:
    def hook(event: str, _arguments: Any) -> None:
        if event in EVENTS:
            events.happen()

    _wrap(events)
    sys.addaudithook(hook)
    action()


def _wrap(events: _Events) -> None:
    """Make events of what has no audit event."""
    fsync, pwrite, connect = os.fsync, os.pwrite, sqlite3.connect

    def counted_fsync(fd: int) -> None:
        events.happen()
        fsync(fd)

    def counted_pwrite(fd: int, data: Any, offset: int) -> int:
        view = memoryview(data)
        events.happen(lambda: pwrite(fd, view[: len(view) // 2], offset))
        return pwrite(fd, data, offset)

    class Counted(sqlite3.Connection):
        def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
            cursor = super().execute(statement, *values)
            if statement.startswith(_STATEMENTS):
                events.happen()
            return cursor

    def counted_connect(*arguments: Any, **options: Any) -> sqlite3.Connection:
        return connect(*arguments, factory=Counted, **options)

    for module, name, counted in (
        (os, "fsync", counted_fsync),
        (os, "pwrite", counted_pwrite),
        (sqlite3, "connect", counted_connect),
    ):
        setattr(module, name, counted)


def _forked(work: Action) -> int:
    """A child that does the work and ends, without anything of pytest's being done twice."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12: pytest-xdist's workers have a second thread
        child = os.fork()
    if child:
        return child
    code = 1
    try:
        work()
        code = 0
    except BaseException:  # noqa: BLE001 - nothing may leave the child but its code
        traceback.print_exc()
    finally:
        os._exit(code)
