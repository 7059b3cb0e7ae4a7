"""Keeps items with an SQLite database that a program has not closed: a `-wal`, `-journal` or `-shm` is beside it.

Without its write-ahead log or its hot journal a database lacks its last changes, or is broken; with them it may be
caught mid-change. Nothing is read: names and sizes decide, as the formats have them (sqlite.org/fileformat2.html):
a database is of whole pages of 512 bytes or a multiple, a `-shm` of blocks of 32 KiB, a log begins with 32 bytes.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator

from archive_tasks import hookimpl
from archive_tasks.model import Guard, Listing
from archive_tasks.names import display
from archive_tasks.settings import Settings

_ENDINGS = ("-wal", "-journal", "-shm")
_PAGE = 512
_SHARED_BLOCK = 32_768
_LOG_HEADER = 32


def sizes(listing: Listing, *names: str) -> list[int]:
    """Sizes of those that are files; -1 for anything else, or what is not there."""
    found = [listing.stat(name) if name in listing.inodes else None for name in names]
    return [facts.st_size if facts and stat.S_ISREG(facts.st_mode) else -1 for facts in found]


def finding(listing: Listing, database: str) -> str | None:
    """Why the database counts as not closed, or None."""
    size, log, journal, shared = sizes(listing, database, *(database + ending for ending in _ENDINGS))
    if size < 0 or size % _PAGE:
        return None
    if log > _LOG_HEADER:
        return f"changes are still in {display(database)}-wal"
    if journal > 0:
        return f"a change is unfinished in {display(database)}-journal"
    if shared > 0 and shared % _SHARED_BLOCK == 0:
        return f"{display(database)}-shm is there only while it is open, or after a crash"
    return None


def databases(listing: Listing) -> list[str]:
    """Names that have something beside them which SQLite could have left, in the order of the listing."""
    beside = (name.rpartition("-")[0] for name in listing.inodes if name.endswith(_ENDINGS))
    return [name for name in dict.fromkeys(beside) if name in listing.inodes]


def names_beside(name: str) -> list[str]:
    """What matters to an item that is a database, or belongs to one."""
    database = next((name.removesuffix(ending) for ending in _ENDINGS if name.endswith(ending)), name)
    return [database, *(database + ending for ending in _ENDINGS)]


@hookimpl
def make_guard(root: str, settings: Settings) -> Guard:
    def looks(listing: Listing) -> Iterator[str]:
        for database in databases(listing):
            if why := finding(listing, database):
                path = display(listing.path_of(database))
                yield f"{path} is a database that no program has closed ({why}): open and close it with its program"

    return Guard(looks=looks, beside=names_beside)
