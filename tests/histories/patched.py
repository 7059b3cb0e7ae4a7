"""What is put in the place of Python's own while histories are played: one thread a device, no chance but the seed's."""

from __future__ import annotations

import fcntl
import gc
import importlib
import os
import pkgutil
import secrets
import signal
import socket
import sqlite3
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any
from unittest import mock

import archive_tasks
from archive_tasks.archive import run as archive
from archive_tasks.clean import proof as compare
from archive_tasks.clean import quarantine as quarantine
from archive_tasks.disk import leases
from archive_tasks.disk.ctime_trial import CtimeTrial
from archive_tasks.items import survey as entries
from tests.histories.turns import Died, current_actor, current_turns, hook_into_python
from tests.histories.world import Filesystem

_WRITES = ("begin", "commit", "insert", "update", "delete")


class Inline:
    """An executor that works in the thread that asks, at once: a device has one thread."""

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def submit(self, work: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(work(*arguments, **named))
        except Died:
            raise
        except BaseException as error:  # noqa: BLE001 - as an executor does
            future.set_exception(error)
        return future

    def map(self, work: Callable[..., Any], *arguments: Any) -> Iterator[Any]:
        return iter([work(*one) for one in zip(*arguments, strict=False)])

    def shutdown(self, **_: Any) -> None: ...

    def __enter__(self) -> Inline:
        return self

    def __exit__(self, *_: object) -> None: ...


class TurningConnection(sqlite3.Connection):
    """Takes a turn before a transaction and may die before or after it; a dead device writes nothing."""

    def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
        actor = current_actor()
        if actor is None or actor.quiet:
            return super().execute(statement, *values)
        if actor.dead and statement != "rollback":
            raise Died(actor.name)
        if statement.startswith("begin"):
            current_turns().point(actor, "disk", "transaction")
            cursor = super().execute(statement, *values)
            actor.in_transaction = True
            return cursor
        cursor = super().execute(statement, *values)
        if statement in {"commit", "rollback"}:
            actor.in_transaction = False
        return cursor


def _connect(*arguments: Any, **options: Any) -> sqlite3.Connection:
    return _real_connect(*arguments, factory=TurningConnection, **options)


def _nothing(*_: Any) -> None:
    """Memory needs no syncing."""


def _hostname() -> str:
    actor = current_actor()
    return actor.device.host if actor and actor.device else _real_hostname()


def _random_bytes(size: int) -> bytes:
    actor = current_actor()
    return actor.tokens.randbytes(size) if actor else _real_urandom(size)


def _open(path: Any, flags: int, *rest: Any, **named: Any) -> int:
    fd = _real_open(path, flags, *rest, **named)
    actor = current_actor()
    if actor and not actor.quiet:
        for other in current_turns().actors:
            other.handles.pop(fd, None)
        facts = os.fstat(fd)
        actor.handles[fd] = (facts.st_dev, facts.st_ino)
    return fd


def _close(fd: int) -> None:
    _real_close(fd)
    actor = current_actor()
    if actor:
        actor.handles.pop(fd, None)


def _fdopen(fd: int, *rest: Any, **named: Any) -> Any:
    file = _real_fdopen(fd, *rest, **named)
    actor = current_actor()
    if actor:
        actor.handles.pop(fd, None)
    return file


_real_connect, _real_hostname, _real_urandom = sqlite3.connect, socket.gethostname, os.urandom
_real_open, _real_close, _real_fdopen = os.open, os.close, os.fdopen
_real_as_it_counts = entries.as_it_counts


def _try_ctime(_folder: int) -> CtimeTrial:
    """What a trial finds on the world's filesystem; where the clock ticks slowly, it may tick in the middle of one."""
    filesystem = _filesystem()
    counts = filesystem.ctime == "fine" or (filesystem.ctime == "coarse" and _random_bytes(1)[0] % 2 == 0)
    return CtimeTrial(counts=counts, now_ns=filesystem.now_ns(), inodes_stay=filesystem.inodes_stay)


def _time_ns(_trial: CtimeTrial) -> int:
    return _filesystem().now_ns()


def _as_it_counts(facts: os.stat_result, *, inodes_count: bool) -> os.stat_result:
    return _real_as_it_counts(_filesystem().shows(facts), inodes_count=inodes_count)


def _filesystem() -> Filesystem:
    actor = current_actor()
    assert actor is not None
    return actor.device.world.filesystem  # type: ignore[no-any-return]


class _Leases:
    """In the place of fcntl: a lease is granted where no user of the world has the file open for writing."""

    F_RDLCK, F_UNLCK = fcntl.F_RDLCK, fcntl.F_UNLCK

    def fcntl(self, fd: int, _command: int, kind: int) -> None:
        if kind == self.F_RDLCK and _filesystem().is_open(os.fstat(fd).st_ino):
            raise BlockingIOError


@contextmanager
def patched() -> Iterator[None]:
    """While histories are played."""
    hook_into_python()
    _load_everything()
    gc.freeze()
    before = signal.signal(signal.SIGIO, signal.SIG_IGN)  # else nobody asks for a lease
    patches = [
        mock.patch.object(sqlite3, "connect", _connect),
        mock.patch.object(socket, "gethostname", _hostname),
        mock.patch.object(secrets, "token_hex", lambda size=16: _random_bytes(size).hex()),
        mock.patch.object(os, "urandom", _random_bytes),
        mock.patch.object(archive, "try_ctime", _try_ctime),
        mock.patch.object(quarantine, "try_ctime", _try_ctime),
        mock.patch.object(CtimeTrial, "time_ns", _time_ns),
        mock.patch.object(entries, "as_it_counts", _as_it_counts),
        mock.patch.object(compare, "as_it_counts", _as_it_counts),
        mock.patch.object(leases, "fcntl", _Leases()),
        mock.patch.object(os, "sync", _nothing),
        mock.patch.object(os, "fsync", _nothing),
        mock.patch.object(os, "open", _open),
        mock.patch.object(os, "close", _close),
        mock.patch.object(os, "fdopen", _fdopen),
        *(mock.patch.object(module, "ThreadPoolExecutor", Inline) for module in _users_of_threads()),
    ]
    for one in patches:
        one.start()
    try:
        yield
    finally:
        for one in reversed(patches):
            one.stop()
        signal.signal(signal.SIGIO, before)
        gc.unfreeze()


def _load_everything() -> None:
    """A module that is loaded late is no event, but takes its time in the middle of a turn."""
    for found in pkgutil.walk_packages(archive_tasks.__path__, "archive_tasks."):
        importlib.import_module(found.name)


def _users_of_threads() -> list[Any]:
    return [
        module
        for name, module in sorted(sys.modules.items())
        if name.startswith("archive_tasks.")
        and not name.startswith("archive_tasks.testing")
        and hasattr(module, "ThreadPoolExecutor")
    ]
