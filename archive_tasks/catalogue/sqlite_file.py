"""The SQLite file under the catalogue: opened and brought up to date, transactions, and what its errors mean.

It is private (0600), and every change is on the disk before the next step is taken (`synchronous=FULL`: with less, a
power cut could undo a step that others were built on).
"""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from archive_tasks.catalogue.rows import Write
from archive_tasks.catalogue.schema import SCHEMA_VERSION
from archive_tasks.catalogue.upgrade import upgrade
from archive_tasks.errors import CatalogueDamaged, CatalogueError
from archive_tasks.names import display, typed

_BUSY_SECONDS = 30

_NOT_ITS_FAULT = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_READONLY,
    }
)
"""What SQLite answers where the file is intact, and something around it is not."""

_UNUSABLE = (sqlite3.Error, UnicodeDecodeError)
"""The second where SQLite's own message quotes text that is damaged."""

_Value = TypeVar("_Value")


class SqliteFile:
    """An open file; safe to use from several threads.

    Args:
        path: made when it is missing (with its folder, private).
        target: URL of the target that it is about, for what is said of damage; empty where that is not known.

    Raises:
        CatalogueDamaged: it is damaged.
        CatalogueError: it cannot be opened, or is of a newer version.
    """

    def __init__(self, path: str, *, target: str) -> None:
        self.path = path
        self.target = target
        self._lock = threading.RLock()
        try:
            _create_private(path)
            self._connection = sqlite3.connect(
                path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
        except (OSError, sqlite3.Error) as error:
            raise self._unusable(error) from error
        try:
            self._prepare()
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        self._connection.close()

    @contextmanager
    def writing(self) -> Iterator[Write]:
        """One transaction: all of what is written, or nothing."""
        with self._lock:
            try:
                self._connection.execute("begin immediate")
                try:
                    yield self._connection.execute
                except BaseException:
                    self._connection.execute("rollback")
                    raise
                self._connection.execute("commit")
            except _UNUSABLE as error:
                raise self._unusable(error) from error

    def rows(self, query: str, *values: object) -> list[Any]:
        """The answer to a query."""
        with self._lock:
            try:
                return self._connection.execute(query, values).fetchall()
            except _UNUSABLE as error:
                raise self._unusable(error) from error

    def understood(self, meaning: Callable[[Any], _Value], rows: Sequence[Any]) -> list[_Value]:
        """What rows mean. Raises CatalogueDamaged for one that means nothing."""
        try:
            return [meaning(row) for row in rows]
        except (ValueError, TypeError) as error:
            raise self.damaged(error) from error

    def damaged(self, why: object) -> CatalogueDamaged:
        """The error that says so, and what to do."""
        where = f" --target {typed(self.target)}" if self.target else ""
        return CatalogueDamaged(
            f"the catalogue {display(self.path)} is damaged ({display(str(why))}): build it again with "
            f"catalogue --rebuild{where}; nothing that is archived is lost"
        )

    def _prepare(self) -> None:
        for pragma in ("journal_mode = wal", "synchronous = full", "foreign_keys = on"):
            self.rows(f"pragma {pragma}")
        if self.rows("pragma user_version")[0][0] == SCHEMA_VERSION:
            return
        with self.writing() as write:
            version = write("pragma user_version").fetchone()[0]
            if version > SCHEMA_VERSION:
                raise CatalogueError(
                    f"the catalogue {display(self.path)} was written by a newer archive-tasks: upgrade this one"
                )
            try:
                upgrade(write, version)
            except ValueError as error:
                raise self.damaged(error) from error

    def _unusable(self, error: Exception) -> CatalogueError:
        if isinstance(error, _UNUSABLE) and getattr(error, "sqlite_errorcode", 0) & 0xFF not in _NOT_ITS_FAULT:
            return self.damaged(error)
        if _is_full(error, os.path.dirname(self.path)):
            return CatalogueError(
                f"the disk of the data folder {display(os.path.dirname(os.path.dirname(self.path)))} is full, so "
                "the catalogue there cannot be written: free some space on it by hand, and run the same command again; "
                "what is archived is safe"
            )
        return CatalogueError(
            f"the catalogue {display(self.path)} cannot be used: {error}; it can be moved away without losing "
            "anything that is archived"
        )


def _is_full(error: Exception, folder: str) -> bool:
    """Is the disk full? SQLite reports that for some writes only, and others as failed: so the disk is asked."""
    if isinstance(error, OSError):
        return error.errno in {errno.ENOSPC, errno.EDQUOT}
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code not in {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN}:
        return bool(code == sqlite3.SQLITE_FULL)
    try:
        disk = os.statvfs(folder)
    except OSError:
        return False
    return disk.f_bavail == 0 or (disk.f_files > 0 and disk.f_favail == 0)


def _create_private(path: str) -> None:
    """SQLite makes its files 0644; its -wal and -shm take the mode of an existing file."""
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
