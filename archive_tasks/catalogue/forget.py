"""Forgetting what a whole target said: all of it, or what its manifests list. One archive: `Catalogue.forget`."""

from __future__ import annotations

from datetime import datetime

from archive_tasks.catalogue import journal
from archive_tasks.catalogue.damage import DAMAGED
from archive_tasks.catalogue.database import Catalogue


def forget_everything(catalogue: Catalogue, *, now: datetime) -> None:
    """Forget the target: its id, its archives and all that was proven. What was done stays in the journal."""
    with catalogue.writing() as write:
        for table in ("receipts", "indexed", "blocks", "objects", "archives", "attempts", "restores"):
            write(f"delete from {table}")  # noqa: S608 - constants of this line
        write("delete from facts where name in ('vault', 'verdict') or name like ?", (f"{DAMAGED}%",))
        journal.add(write, now, "target forgotten")


def forget_entries(catalogue: Catalogue, *, now: datetime) -> None:
    """Forget what follows from the target, so that it is read again: what this device did stays."""
    with catalogue.writing() as write:
        for table in ("indexed", "blocks", "objects"):
            write(f"delete from {table}")  # noqa: S608 - constants of this line
        journal.add(write, now, "entries forgotten")
