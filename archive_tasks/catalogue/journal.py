"""The journal in the catalogue: what this device did, in order. Nothing is taken back from it."""

from __future__ import annotations

import json
from datetime import datetime

from archive_tasks.catalogue.rows import Write
from archive_tasks.catalogue.sqlite_file import SqliteFile


def note(catalogue: SqliteFile, what: str, *, now: datetime, **details: str) -> None:
    """Add to the journal; it is on the disk when this returns."""
    with catalogue.writing() as write:
        add(write, now, what, **details)


def add(write: Write, now: datetime, what: str, **details: str) -> None:
    """As `note`, together with what else is written in the transaction."""
    write("insert into journal (at, what, details) values (?, ?, ?)", (now.isoformat(), what, json.dumps(details)))


def notes(catalogue: SqliteFile, *what: str) -> list[tuple[datetime, str, dict[str, str]]]:
    """What the journal holds of these kinds, oldest first: (when, what, details)."""
    marks = ",".join("?" for _ in what)
    rows = catalogue.rows(f"select at, what, details from journal where what in ({marks}) order by number", *what)  # noqa: S608 - question marks
    return [(datetime.fromisoformat(at), kind, json.loads(details)) for at, kind, details in rows]
