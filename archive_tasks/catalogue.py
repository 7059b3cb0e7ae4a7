"""The catalogue: a local SQLite file for each target, with what this device knows and did.

It speeds things up and reports; it never proves anything. Losing it loses nothing: what is archived is in the
target's manifests. It is private (0600), and every change is on the disk before the next step is taken
(`synchronous=FULL`: with less, a power cut could undo a step that others were built on).
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NamedTuple

from archive_tasks.errors import CatalogueError
from archive_tasks.model import Archive, Receipt
from archive_tasks.names import display, short_hash

_BUSY_SECONDS = 30

_MIGRATIONS = (
    """
create table facts (name text primary key, value text not null) without rowid;
create table runs (
    id integer primary key, started text not null, ended text, root blob not null, outcome text);
create table archives (
    id text primary key, run integer references runs, item blob not null, root blob not null,
    scope text not null, manifest text not null, files integer not null, bytes integer not null,
    created text not null, seen text not null) without rowid;
create table receipts (
    archive_id text primary key references archives, manifest_sha256 text not null,
    proven_by text not null, proven_at text not null) without rowid;
create table attempts (archive_id text primary key, prefix text not null, started text not null) without rowid;
create table journal (number integer primary key, at text not null, what text not null, details text not null);
""",
    """
alter table archives add column host text not null default '';
alter table archives add column storage_class text not null default '';
alter table archives add column manifest_size integer not null default 0;
alter table attempts add column how text not null default '';
create table blocks (
    id integer primary key, archive_id text not null, number integer not null, names blob not null,
    lines blob not null);
create unique index block_of_archive on blocks (archive_id, number);
create table indexed (archive_id text primary key references archives) without rowid;
create table thaws (
    key text primary key, tier text not null, days integer not null, requested text not null) without rowid;
create table restores (
    archive_id text not null, destination blob not null, started text not null,
    primary key (archive_id, destination)) without rowid;
""",
)
"""Each brings the schema from one version to the next; what was written is never changed."""
SCHEMA_VERSION = len(_MIGRATIONS)

Write = Callable[..., Any]
"""(statement, values) within a transaction."""


class Run(NamedTuple):
    """One archive run; `ended` is None when it was cut off."""

    number: int
    started: datetime
    ended: datetime | None
    root: str


class Known(NamedTuple):
    """An archive in the catalogue, with the run that made it and what is proven about it, if anything is.

    `seen` is the digest of what the item's entries were when they were last compared with it.
    """

    archive: Archive
    run: int | None
    seen: str
    receipt: Receipt | None


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


class Catalogue:
    """An open catalogue; safe to use from several threads.

    Args:
        path: its file, made when it is missing (with its folder, private).
        target: URL of the target that it belongs to; None takes the one that it names.

    Raises:
        CatalogueError: it cannot be opened, is damaged, or is of a newer version.
    """

    def __init__(self, path: str, *, target: str | None = None) -> None:
        self.path = path
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
        if target is not None:
            self.set_fact("target", target)
        self.target = target or self.fact("target") or ""

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
        with self.writing() as write:
            proof = (receipt.archive_id, receipt.manifest_sha256, receipt.proven_by, receipt.proven_at.isoformat())
            write("insert or replace into receipts values (?,?,?,?)", proof)
            write("update archives set seen = ? where id = ?", (receipt.seen, receipt.archive_id))
            _journal(write, now, "proven", archive=receipt.archive_id)

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
        return (rows[0][0], datetime.fromisoformat(rows[0][1])) if rows else None

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
            write(
                "insert or replace into archives (id, run, item, root, scope, manifest, files, bytes, created, seen, "
                "host, storage_class, manifest_size) values (?,?,?,?,?,?,?,?,?,?,?,?,?)",
                (
                    archive.id,
                    run,
                    os.fsencode(archive.item),
                    os.fsencode(archive.root),
                    archive.scope,
                    archive.manifest,
                    archive.files,
                    archive.bytes,
                    archive.created.isoformat(),
                    seen,
                    archive.host,
                    archive.storage_class,
                    archive.manifest_size,
                ),
            )
            write("delete from receipts where archive_id = ?", (archive.id,))
            if receipt:
                proof = (archive.id, receipt.manifest_sha256, receipt.proven_by, receipt.proven_at.isoformat())
                write("insert or replace into receipts values (?,?,?,?)", proof)
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
        return list(self._known("order by a.created, a.item"))

    def runs(self) -> list[Run]:
        """All runs, oldest first."""
        rows = self.rows("select id, started, ended, root from runs order by id")
        return [
            Run(
                number,
                datetime.fromisoformat(began),
                datetime.fromisoformat(ended) if ended else None,
                os.fsdecode(root),
            )
            for number, began, ended, root in rows
        ]

    # -- below --------------------------------------------------------------------------------------

    def _known(self, condition: str, *values: object) -> Iterator[Known]:
        query = (
            "select a.id, a.item, a.root, a.scope, a.manifest, a.files, a.bytes, a.created, a.run, "  # noqa: S608 - a constant of this file
            "a.seen, a.host, a.storage_class, a.manifest_size, r.manifest_sha256, r.proven_by, r.proven_at "
            f"from archives a left join receipts r on r.archive_id = a.id {condition}"
        )
        for row in self.rows(query, *values):
            yield _known_from(row, self.target)

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
            for statement in ";".join(_MIGRATIONS[version:]).split(";"):
                write(statement)
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
            except sqlite3.Error as error:
                raise self._unusable(error) from error

    def rows(self, query: str, *values: object) -> list[Any]:
        """The answer to a query."""
        with self._lock:
            try:
                return self._connection.execute(query, values).fetchall()
            except sqlite3.Error as error:
                raise self._unusable(error) from error

    def _unusable(self, error: Exception) -> CatalogueError:
        return CatalogueError(
            f"the catalogue {display(self.path)} cannot be used: {error}; it can be moved away without losing "
            "anything that is archived"
        )


def _create_private(path: str) -> None:
    """SQLite makes its files 0644; its -wal and -shm take over the rights of a file that is there already."""
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))


def _journal(write: Write, now: datetime, what: str, **details: str) -> None:
    write("insert into journal (at, what, details) values (?, ?, ?)", (now.isoformat(), what, json.dumps(details)))


def _known_from(row: Any, target: str) -> Known:
    archive_id, item, root, scope, manifest, files, size, created, run, seen, *more = row
    host, storage_class, manifest_size, sha256, proven_by, proven_at = more
    archive = Archive(
        id=archive_id,
        item=os.fsdecode(item),
        root=os.fsdecode(root),
        scope=scope,
        target=target,
        manifest=manifest,
        files=files,
        bytes=size,
        created=datetime.fromisoformat(created),
        host=host,
        storage_class=storage_class,
        manifest_size=manifest_size,
    )
    receipt = None
    if sha256:
        receipt = Receipt(
            archive_id=archive_id,
            manifest_sha256=sha256,
            proven_by=proven_by,
            proven_at=datetime.fromisoformat(proven_at),
            seen=seen,
        )
    return Known(archive, run, seen, receipt)
