"""Restores in the catalogue: those under way, so that one that was cut off is resumed, and what was thawed for them."""

from __future__ import annotations

import os
from datetime import datetime

from archive_tasks.catalogue import journal
from archive_tasks.catalogue.database import Catalogue


def begin_restore(catalogue: Catalogue, manifest: str, destination: str, *, now: datetime) -> bool:
    """Remember a restore before it writes anything. True when it was started before, and interrupted."""
    where = (manifest, os.fsencode(destination))
    known = catalogue.rows("select 1 from restores where manifest = ? and destination = ?", *where)
    with catalogue.writing() as write:
        write("insert or ignore into restores values (?,?,?)", (*where, now.isoformat()))
        journal.add(write, now, "restoring", manifest=manifest)
    return bool(known)


def end_restore(catalogue: Catalogue, manifest: str, destination: str, *, now: datetime, failed: int) -> None:
    """A restore has ended; one in which something failed can be resumed."""
    with catalogue.writing() as write:
        if not failed:
            write("delete from restores where manifest = ? and destination = ?", (manifest, os.fsencode(destination)))
        journal.add(write, now, "restored", manifest=manifest, failed=str(failed))


def note_thaw(catalogue: Catalogue, key: str, *, tier: str, days: int, now: datetime) -> None:
    journal.note(catalogue, "thaw requested", now=now, key=key, tier=tier, days=str(days))
