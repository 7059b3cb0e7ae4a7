"""The catalogue: a local SQLite file for each target, with what this device knows and did.

It speeds things up and reports; it never proves anything. Losing it loses nothing: what is archived is in the
target's manifests. It is private (0600), and every change is on the disk before the next step is taken
(`synchronous=FULL`: with less, a power cut could undo a step that others were built on).
"""

from __future__ import annotations

import json
import os
import re
import shlex
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any, TypeVar

from archive_tasks.catalogue_rows import (
    ARCHIVE_COLUMNS,
    RECEIPT_COLUMNS,
    Known,
    Run,
    archive_row,
    known_from,
    proof_of,
    receipt_row,
    run_from,
)
from archive_tasks.catalogue_schema import MIGRATIONS, SCHEMA_VERSION
from archive_tasks.errors import CatalogueDamaged, CatalogueError
from archive_tasks.model import Archive, Receipt
from archive_tasks.names import display, short_hash

_BUSY_SECONDS = 30

_RECORD = (
    f"insert or replace into archives ({', '.join(ARCHIVE_COLUMNS)}, proof) "  # noqa: S608 - constants of ours
    f"values ({','.join('?' * (len(ARCHIVE_COLUMNS) + 1))})"
)
_KNOWN = (
    f"select {', '.join(f'a.{name}' for name in ARCHIVE_COLUMNS)}, "  # noqa: S608 - constants of ours
    f"{', '.join(f'r.{name}' for name in RECEIPT_COLUMNS)}, a.proof "
    "from archives a left join receipts r on r.archive_id = a.id "
)
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
"""What SQLite answers where the file is well, and something around it is not."""

_UNUSABLE = (sqlite3.Error, UnicodeDecodeError)
"""The second where SQLite's own words quote what is no text any more."""

Write = Callable[..., Any]
"""(statement, values) within a transaction."""
_Value = TypeVar("_Value")


def catalogue_path(data: str, target: str) -> str:
    """File of the catalogue of a target, in the folder `data`."""
    readable = re.sub(r"[^A-Za-z0-9.-]+", "_", target).strip("_")[-60:]
    return os.path.join(data, "catalogues", f"{readable}~{short_hash(os.fsencode(target))}.sqlite")


def list_catalogues(data: str) -> list[str]:
    """Files of all catalogues in `data`."""
    folder = os.path.join(data, "catalogues")
    try:
        return sorted(os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(".sqlite"))
    except FileNotFoundError:
        return []


def set_aside_if_damaged(path: str) -> str:
    """Move a catalogue that is not what was written out of the way. Returns where it is now, empty for a sound one.

    Raises:
        CatalogueError: it cannot be opened, or is of a newer version.
    """
    try:
        with Catalogue(path) as catalogue:
            catalogue.check()
        return ""
    except CatalogueDamaged:
        for side in ("-wal", "-shm", ""):
            with suppress(FileNotFoundError):
                os.replace(path + side, f"{path}.damaged{side}")
        return f"{path}.damaged"


class Catalogue:
    """An open catalogue; safe to use from several threads.

    Args:
        path: its file, made when it is missing (with its folder, private).
        target: URL of the target that it belongs to; None takes the one that it names.

    Raises:
        CatalogueDamaged: it is no catalogue any more.
        CatalogueError: it cannot be opened, or is of a newer version.
    """

    def __init__(self, path: str, *, target: str | None = None) -> None:
        self.path = path
        self.target = target or ""
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
            if target is not None:
                self.set_fact("target", target)
            self.target = target or self.fact("target") or ""
        except BaseException:
            self._connection.close()
            raise

    def check(self) -> None:
        """Look at all of it. Raises CatalogueDamaged."""
        problems = self.rows("pragma integrity_check")
        if problems != [("ok",)]:
            raise self.damaged(str(problems[0][0]).splitlines()[-1])
        self.archives()
        self.runs()

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Catalogue:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- facts about the target ---------------------------------------------------------------------

    def fact(self, name: str) -> str | None:
        rows = self.rows("select value from facts where name = ?", name)
        return str(rows[0][0]) if rows else None

    def set_fact(self, name: str, value: str) -> None:
        if self.fact(name) != value:
            with self.writing() as write:
                write("insert or replace into facts values (?, ?)", (name, value))

    # -- runs and their attempts --------------------------------------------------------------------

    def begin_run(self, *, root: str, now: datetime) -> int:
        with self.writing() as write:
            cursor = write("insert into runs (started, root) values (?, ?)", (now.isoformat(), os.fsencode(root)))
            return int(cursor.lastrowid or 0)

    def end_run(self, run: int, *, now: datetime, outcome: dict[str, int]) -> None:
        with self.writing() as write:
            write("update runs set ended = ?, outcome = ? where id = ?", (now.isoformat(), json.dumps(outcome), run))

    def attempt(self, archive_id: str, *, how: str, since: datetime) -> str | None:
        """Prefix of the objects of an attempt at this archive that did not finish and can be gone on with.

        Args:
            how: what the bytes of its objects follow from; one that made them otherwise is no help.
            since: one that began before is left to `prune`, which must not meet somebody going on with it.
        """
        rows = self.rows(
            "select prefix from attempts where archive_id = ? and how = ? and started >= ?",
            archive_id,
            how,
            since.isoformat(),
        )
        return str(rows[0][0]) if rows else None

    def begin_attempt(self, archive_id: str, *, prefix: str, how: str, now: datetime) -> None:
        """Remember the attempt, before its first object is written."""
        with self.writing() as write:
            write("insert or replace into attempts values (?, ?, ?, ?)", (archive_id, prefix, now.isoformat(), how))
            _journal(write, now, "attempt", archive=archive_id, prefix=prefix)

    def forget_attempt(self, archive_id: str, *, now: datetime, why: str) -> None:
        with self.writing() as write:
            write("delete from attempts where archive_id = ?", (archive_id,))
            _journal(write, now, "attempt given up", archive=archive_id, why=why)

    def forget_attempts_below(self, prefix: str, *, now: datetime) -> None:
        """Attempts whose objects are about to be removed are gone on with no more."""
        with self.writing() as write:
            write("delete from attempts where prefix = ?", (prefix,))
            _journal(write, now, "orphan removed", prefix=prefix)

    # -- what was done to local copies --------------------------------------------------------------

    def note(self, what: str, *, now: datetime, **details: str) -> None:
        """Add to the journal; it is on the disk when this returns."""
        with self.writing() as write:
            _journal(write, now, what, **details)

    def notes(self, *what: str) -> list[tuple[datetime, str, dict[str, str]]]:
        """What the journal holds of these kinds, oldest first: (when, what, details)."""
        marks = ",".join("?" for _ in what)
        rows = self.rows(f"select at, what, details from journal where what in ({marks}) order by number", *what)  # noqa: S608 - question marks
        return [(datetime.fromisoformat(at), kind, json.loads(details)) for at, kind, details in rows]

    def add_receipt(self, receipt: Receipt, *, now: datetime) -> None:
        """Note that an archive which was found in the target is proven, and compared with the item."""
        known = self.known(receipt.archive_id)
        if known is None:
            return
        self.record(
            known.archive,
            run=known.run,
            seen=receipt.seen,
            receipt=receipt,
            now=now,
            also=lambda write: _journal(write, now, "proven", archive=receipt.archive_id),
        )

    # -- restores and thaws -------------------------------------------------------------------------

    def begin_restore(self, archive_id: str, destination: str, *, now: datetime) -> bool:
        """Remember a restore before it writes anything. True when it was begun before, and cut off."""
        where = (archive_id, os.fsencode(destination))
        known = self.rows("select 1 from restores where archive_id = ? and destination = ?", *where)
        with self.writing() as write:
            write("insert or ignore into restores values (?,?,?)", (*where, now.isoformat()))
            _journal(write, now, "restoring", archive=archive_id)
        return bool(known)

    def end_restore(self, archive_id: str, destination: str, *, now: datetime, failed: int) -> None:
        """A restore has come to its end; one in which something failed can be gone on with."""
        with self.writing() as write:
            if not failed:
                write(
                    "delete from restores where archive_id = ? and destination = ?",
                    (archive_id, os.fsencode(destination)),
                )
            _journal(write, now, "restored", archive=archive_id, failed=str(failed))

    def thaw_requested(self, key: str) -> tuple[str, datetime] | None:
        """(tier, when) of the last request to thaw an object."""
        rows = self.rows("select tier, requested from thaws where key = ?", key)
        return next(iter(self._understood(lambda row: (row[0], datetime.fromisoformat(row[1])), rows)), None)

    def note_thaw(self, key: str, *, tier: str, days: int, now: datetime) -> None:
        with self.writing() as write:
            write("insert or replace into thaws values (?,?,?,?)", (key, tier, days, now.isoformat()))
            _journal(write, now, "thaw requested", key=key, tier=tier)

    # -- archives -----------------------------------------------------------------------------------

    def record(
        self,
        archive: Archive,
        *,
        run: int | None,
        seen: str,
        receipt: Receipt | None,
        now: datetime,
        also: Callable[[Write], None] = lambda _write: None,
    ) -> None:
        """Note an archive that the target holds; its attempt is over.

        Args:
            also: what is written together with it.
        """
        with self.writing() as write:
            row, proof = archive_row(archive, run=run, seen=seen), receipt_row(receipt)
            write(_RECORD, (*row, proof_of(*row, *proof)))
            write("delete from receipts where archive_id = ?", (archive.id,))
            if receipt:
                write("insert or replace into receipts values (?,?,?,?)", (archive.id, *proof))
            write("delete from attempts where archive_id = ?", (archive.id,))
            also(write)
            _journal(write, now, "archived" if receipt else "found archived", archive=archive.id)

    def forget(self, archive_id: str, *, now: datetime, why: str) -> None:
        """Forget an archive that is in the target no more."""
        with self.writing() as write:
            for table, column in (("receipts", "archive_id"), ("indexed", "archive_id"), ("archives", "id")):
                write(f"delete from {table} where {column} = ?", (archive_id,))  # noqa: S608 - constants of this line
            write("delete from blocks where archive_id = ?", (archive_id,))
            _journal(write, now, "forgotten", archive=archive_id, why=why)

    def forget_entries(self, *, now: datetime) -> None:
        """Forget what follows from the target, so that it is read anew: what this device did stays."""
        with self.writing() as write:
            write("delete from indexed")
            write("delete from blocks")
            _journal(write, now, "entries forgotten")

    def known(self, archive_id: str) -> Known | None:
        return next(iter(self._known("where a.id = ?", archive_id)), None)

    def archives(self) -> list[Known]:
        """All archives, oldest first."""
        return self._known("order by a.created, a.item")

    def runs(self) -> list[Run]:
        """All runs, oldest first."""
        rows = self.rows("select id, started, ended, root from runs order by id")
        return self._understood(run_from, rows)

    # -- below --------------------------------------------------------------------------------------

    def _known(self, condition: str, *values: object) -> list[Known]:
        return self._understood(lambda row: known_from(row, self.target), self.rows(_KNOWN + condition, *values))

    def _understood(self, meaning: Callable[[Any], _Value], rows: Sequence[Any]) -> list[_Value]:
        try:
            return [meaning(row) for row in rows]
        except (ValueError, TypeError) as error:
            raise self.damaged(error) from error

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
            for statement in ";".join(MIGRATIONS[version:]).split(";"):
                write(statement)
            _prove_again(write)
            write(f"pragma user_version = {SCHEMA_VERSION}")

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

    def damaged(self, why: object) -> CatalogueDamaged:
        """The error that says so, and what to do."""
        where = f" --target {shlex.quote(display(self.target))}" if self.target else ""
        return CatalogueDamaged(
            f"the catalogue {display(self.path)} is damaged ({display(str(why))}): build it anew with "
            f"catalogue --rebuild{where}; nothing that is archived is lost"
        )

    def _unusable(self, error: Exception) -> CatalogueError:
        if isinstance(error, _UNUSABLE) and getattr(error, "sqlite_errorcode", 0) & 0xFF not in _NOT_ITS_FAULT:
            return self.damaged(error)
        return CatalogueError(
            f"the catalogue {display(self.path)} cannot be used: {error}; it can be moved away without losing "
            "anything that is archived"
        )


def _create_private(path: str) -> None:
    """SQLite makes its files 0644; its -wal and -shm take over the rights of a file that is there already."""
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))


def _prove_again(write: Write) -> None:
    """Give the rows of an older version their proofs."""
    for *row, _ in write(_KNOWN).fetchall():
        write("update archives set proof = ? where id = ?", (proof_of(*row), row[0]))


def _journal(write: Write, now: datetime, what: str, **details: str) -> None:
    write("insert into journal (at, what, details) values (?, ?, ?)", (now.isoformat(), what, json.dumps(details)))
