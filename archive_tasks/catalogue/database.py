"""The catalogue: a local file for each target; here, the facts, archives and receipts that it holds.

It speeds things up and reports; it never proves anything. Losing it loses nothing: what is archived is in the
target's manifests.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Callable
from datetime import datetime

from archive_tasks.catalogue import journal
from archive_tasks.catalogue.rows import (
    ARCHIVE_COLUMNS,
    RECEIPT_COLUMNS,
    KnownArchive,
    Write,
    archive_row,
    known_from,
    proof_of,
    receipt_row,
)
from archive_tasks.catalogue.sqlite_file import SqliteFile
from archive_tasks.formats.layout import short_hash
from archive_tasks.model import Archive, Receipt, Source

_RECORD = (
    f"insert or replace into archives ({', '.join(ARCHIVE_COLUMNS)}, proof) "  # noqa: S608 - constants of ours
    f"values ({','.join('?' * (len(ARCHIVE_COLUMNS) + 1))})"
)
_KNOWN = (
    f"select {', '.join(f'a.{name}' for name in ARCHIVE_COLUMNS)}, "  # noqa: S608 - constants of ours
    f"{', '.join(f'r.{name}' for name in RECEIPT_COLUMNS)}, a.proof "
    "from archives a left join receipts r on r.manifest = a.manifest "
)


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


class Catalogue(SqliteFile):
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
        self.device = device
        super().__init__(path, target=target or "")
        try:
            if target is not None:
                self.set_fact("target", target)
            self.target = target or self.fact("target") or ""
        except BaseException:
            self.close()
            raise

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
            journal.add(write, now, what, archive=archive.id, manifest=archive.manifest)

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
            also=lambda write: journal.add(write, now, "proven", archive=known.archive.id, manifest=receipt.manifest),
        )

    def forget(self, manifest: str, *, now: datetime, why: str) -> None:
        """Forget an archive, and what was proven about it."""
        with self.writing() as write:
            for table in ("receipts", "indexed", "blocks", "objects", "archives"):
                write(f"delete from {table} where manifest = ?", (manifest,))  # noqa: S608 - constants of this line
            journal.add(write, now, "forgotten", manifest=manifest, why=why)

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
            also=lambda write: journal.add(write, now, "taken over", **details),
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

    def _known(self, condition: str, *values: object) -> list[KnownArchive]:
        return self.understood(
            lambda row: known_from(row, self.target, self.device), self.rows(_KNOWN + condition, *values)
        )
