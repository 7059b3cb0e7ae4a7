"""The catalogue: a local SQLite file for each target, with what this device knows and did.

It speeds things up and reports; it never proves anything. Losing it loses nothing: what is archived is in the
target's manifests. It is private (0600), and every change is on the disk before the next step is taken
(`synchronous=FULL`: with less, a power cut could undo a step that others were built on).
"""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import re
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any, TypeVar

from archive_tasks.catalogue.rows import (
    ARCHIVE_COLUMNS,
    RECEIPT_COLUMNS,
    KnownArchive,
    Run,
    archive_row,
    known_from,
    proof_of,
    receipt_row,
    run_from,
)
from archive_tasks.catalogue.schema import SCHEMA_VERSION
from archive_tasks.catalogue.upgrade import upgrade
from archive_tasks.errors import CatalogueDamaged, CatalogueError
from archive_tasks.formats.layout import short_hash
from archive_tasks.model import Archive, Receipt, Source
from archive_tasks.names import display, typed

_BUSY_SECONDS = 30

_RECORD = (
    f"insert or replace into archives ({', '.join(ARCHIVE_COLUMNS)}, proof) "  # noqa: S608 - constants of ours
    f"values ({','.join('?' * (len(ARCHIVE_COLUMNS) + 1))})"
)
_KNOWN = (
    f"select {', '.join(f'a.{name}' for name in ARCHIVE_COLUMNS)}, "  # noqa: S608 - constants of ours
    f"{', '.join(f'r.{name}' for name in RECEIPT_COLUMNS)}, a.proof "
    "from archives a left join receipts r on r.manifest = a.manifest "
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
"""What SQLite answers where the file is intact, and something around it is not."""

_UNUSABLE = (sqlite3.Error, UnicodeDecodeError)
"""The second where SQLite's own message quotes text that is damaged."""

_DAMAGED = "damaged "

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
    """Move a damaged catalogue out of the way. Returns where it is now, empty for a sound one.

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
        device: id of this device; archives whose manifest names no device are its own if they were made here.

    Raises:
        CatalogueDamaged: it is damaged.
        CatalogueError: it cannot be opened, or is of a newer version.
    """

    def __init__(self, path: str, *, target: str | None = None, device: str = "") -> None:
        self.path = path
        self.device = device
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

    def note_damage(self, manifests: Sequence[str], *, now: datetime) -> None:
        """Remember that archives were seen to be damaged, so that their items are sent again."""
        for manifest in manifests:
            self.set_fact(f"{_DAMAGED}{manifest}", now.isoformat())

    def note_mended(self, manifests: Iterable[str]) -> None:
        """Archives were seen to be intact, every byte of them, or were repaired."""
        with self.writing() as write:
            for manifest in manifests:
                write("delete from facts where name = ?", (f"{_DAMAGED}{manifest}",))

    def is_damaged(self, manifest: str) -> bool:
        """Was this archive seen to be damaged?"""
        return self.fact(f"{_DAMAGED}{manifest}") is not None

    # -- runs and their attempts --------------------------------------------------------------------

    def begin_run(self, *, root: str, now: datetime) -> int:
        with self.writing() as write:
            values = (now.isoformat(), os.fsencode(root), self.device)
            return int(write("insert into runs (started, root, device) values (?, ?, ?)", values).lastrowid or 0)

    def end_run(self, run: int, *, now: datetime, outcome: dict[str, int]) -> None:
        with self.writing() as write:
            write("update runs set ended = ?, outcome = ? where id = ?", (now.isoformat(), json.dumps(outcome), run))

    def roots(self) -> set[str]:
        """Roots that this device archived from. Runs of older versions name no device, and are its own."""
        rows = self.rows("select distinct root from runs where device in ('', ?)", self.device)
        return {os.fsdecode(root) for (root,) in rows}

    # -- what was done to local copies --------------------------------------------------------------

    def note(self, what: str, *, now: datetime, **details: str) -> None:
        """Add to the journal; it is on the disk when this returns."""
        with self.writing() as write:
            journal(write, now, what, **details)

    def notes(self, *what: str) -> list[tuple[datetime, str, dict[str, str]]]:
        """What the journal holds of these kinds, oldest first: (when, what, details)."""
        marks = ",".join("?" for _ in what)
        rows = self.rows(f"select at, what, details from journal where what in ({marks}) order by number", *what)  # noqa: S608 - question marks
        return [(datetime.fromisoformat(at), kind, json.loads(details)) for at, kind, details in rows]

    def add_receipt(self, receipt: Receipt, *, now: datetime) -> None:
        """Note that an archive which was found in the target is proven, and compared with the item."""
        known = self.known(receipt.manifest)
        if known is None:
            return
        self.record(
            known.archive,
            run=known.run,
            fingerprint=receipt.fingerprint,
            receipt=receipt,
            now=now,
            also=lambda write: journal(write, now, "proven", archive=known.archive.id, manifest=receipt.manifest),
        )

    # -- restores and thaws -------------------------------------------------------------------------

    def begin_restore(self, manifest: str, destination: str, *, now: datetime) -> bool:
        """Remember a restore before it writes anything. True when it was started before, and interrupted."""
        where = (manifest, os.fsencode(destination))
        known = self.rows("select 1 from restores where manifest = ? and destination = ?", *where)
        with self.writing() as write:
            write("insert or ignore into restores values (?,?,?)", (*where, now.isoformat()))
            journal(write, now, "restoring", manifest=manifest)
        return bool(known)

    def end_restore(self, manifest: str, destination: str, *, now: datetime, failed: int) -> None:
        """A restore has ended; one in which something failed can be resumed."""
        with self.writing() as write:
            if not failed:
                write(
                    "delete from restores where manifest = ? and destination = ?", (manifest, os.fsencode(destination))
                )
            journal(write, now, "restored", manifest=manifest, failed=str(failed))

    def note_thaw(self, key: str, *, tier: str, days: int, now: datetime) -> None:
        with self.writing() as write:
            journal(write, now, "thaw requested", key=key, tier=tier, days=str(days))

    # -- archives -----------------------------------------------------------------------------------

    def record(
        self,
        archive: Archive,
        *,
        run: int | None,
        fingerprint: str,
        receipt: Receipt | None,
        now: datetime,
        also: Callable[[Write], None] = lambda _write: None,
    ) -> None:
        """Note an archive that the target holds; its attempt is over.

        Args:
            also: what is written together with it.
        """
        with self.writing() as write:
            row, proof = archive_row(archive, run=run, fingerprint=fingerprint), receipt_row(receipt)
            write(_RECORD, (*row, proof_of(*row, *proof)))
            write("delete from receipts where manifest = ?", (archive.manifest,))
            if receipt:
                write("insert or replace into receipts values (?,?,?,?)", (archive.manifest, *proof))
            write("delete from attempts where prefix = ?", (archive.data,))
            also(write)
            what = "archived" if receipt else "found archived"
            journal(write, now, what, archive=archive.id, manifest=archive.manifest)

    def forget(self, manifest: str, *, now: datetime, why: str) -> None:
        """Forget an archive, and what was proven about it."""
        with self.writing() as write:
            for table in ("receipts", "indexed", "blocks", "objects", "archives"):
                write(f"delete from {table} where manifest = ?", (manifest,))  # noqa: S608 - constants of this line
            journal(write, now, "forgotten", manifest=manifest, why=why)

    def forget_everything(self, *, now: datetime) -> None:
        """Forget the target: its id, its archives and all that was proven. What was done stays in the journal."""
        with self.writing() as write:
            for table in ("receipts", "indexed", "blocks", "objects", "archives", "attempts", "restores"):
                write(f"delete from {table}")  # noqa: S608 - constants of this line
            write("delete from facts where name in ('vault', 'verdict') or name like ?", (f"{_DAMAGED}%",))
            journal(write, now, "target forgotten")

    def forget_entries(self, *, now: datetime) -> None:
        """Forget what follows from the target, so that it is read again: what this device did stays."""
        with self.writing() as write:
            for table in ("indexed", "blocks", "objects"):
                write(f"delete from {table}")  # noqa: S608 - constants of this line
            journal(write, now, "entries forgotten")

    def take_over(self, archive: Archive, *, device: str, root: str, now: datetime) -> None:
        """An archive of another device, or of a root that had another name, belongs to this source from now on."""
        known = self.known(archive.manifest)
        if known is None:
            return
        own = dataclasses.replace(known.archive, device=device, root=root)
        details = {"manifest": archive.manifest, "device": archive.device, "root": archive.root}
        self.record(
            own,
            run=known.run,
            fingerprint=known.fingerprint,
            receipt=known.receipt,
            now=now,
            also=lambda write: journal(write, now, "taken over", **details),
        )

    def known(self, manifest: str) -> KnownArchive | None:
        return next(iter(self._known("where a.manifest = ?", manifest)), None)

    def archives(self) -> list[KnownArchive]:
        """All archives, oldest first."""
        # In the order of the table itself: an index with a flipped bit silently leaves archives out.
        found = self._known("order by a.manifest")
        return sorted(found, key=lambda known: (known.archive.created, os.fsencode(known.archive.item)))

    def archives_of(self, source: Source, item: str) -> list[KnownArchive]:
        """The archives of an item of one source, the newest first."""
        found = [
            known for known in self._known("where a.item = ?", os.fsencode(item)) if known.archive.source == source
        ]
        return sorted(found, key=lambda known: known.archive.order, reverse=True)

    def runs(self) -> list[Run]:
        """All runs, oldest first."""
        rows = self.rows("select id, started, ended, root from runs order by id")
        return self._understood(run_from, rows)

    # -- below --------------------------------------------------------------------------------------

    def _known(self, condition: str, *values: object) -> list[KnownArchive]:
        return self._understood(
            lambda row: known_from(row, self.target, self.device), self.rows(_KNOWN + condition, *values)
        )

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
            try:
                upgrade(write, version)
            except ValueError as error:
                raise self.damaged(error) from error

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
        where = f" --target {typed(self.target)}" if self.target else ""
        return CatalogueDamaged(
            f"the catalogue {display(self.path)} is damaged ({display(str(why))}): build it again with "
            f"catalogue --rebuild{where}; nothing that is archived is lost"
        )

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


def journal(write: Write, now: datetime, what: str, **details: str) -> None:
    write("insert into journal (at, what, details) values (?, ?, ?)", (now.isoformat(), what, json.dumps(details)))
