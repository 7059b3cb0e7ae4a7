"""Keeps items with a lock file that a program puts beside a document while it is open.

Office, LibreOffice, WPS, AutoCAD, Vim, Emacs, Lightroom, InDesign, Premiere and Access; by names alone. A lock that is
older than this computer's last start may be a leftover, which the reason says; it keeps the item all the same, for
the document may be open on another machine.
"""

from __future__ import annotations

import re
import stat
import time
from collections.abc import Iterator

from archive_tasks import hookimpl
from archive_tasks.model import Guard, Listing
from archive_tasks.names import display
from archive_tasks.settings import Settings

_DOCUMENTS = "docx?|xlsx?|pptx?|wps|et|dps"
_LOCKS = (
    (r"~\$.+", "Microsoft Office"),
    (r"\.~lock\..+#", "LibreOffice"),
    (rf"\.~.+\.(?:{_DOCUMENTS})", "WPS Office"),
    (r".+\.dwl2?", "AutoCAD"),
    (r"\.(?:.+\.)?sw[nop]", "Vim"),
    (r"\.#.+", "Emacs"),
    (r".+\.lrcat\.lock", "Lightroom"),
    (r"~.+\.idlk", "InDesign"),
    (r".+\.prlock", "Premiere"),
    (r".+\.laccdb", "Microsoft Access"),
)
_FIRST = ("~", ".~", ".#", ".")
_LAST = (".dwl", ".dwl2", ".lrcat.lock", ".prlock", ".laccdb")
_PROGRAMS = tuple(program for _, program in _LOCKS)
_ANY = re.compile("|".join(f"({pattern})" for pattern, _ in _LOCKS), re.DOTALL)
_LONGEST_DROPPED = 3
"""Word drops one or two letters of a longer name to make room for its `~$`."""


def locker(name: str) -> str | None:
    """The program whose lock has such a name, or None."""
    if not (name.startswith(_FIRST) or name.endswith(_LAST)):
        return None
    found = _ANY.fullmatch(name)
    return _PROGRAMS[found.lastindex - 1] if found and found.lastindex else None


def is_lock(listing: Listing, name: str, program: str) -> bool:
    """Emacs' lock is a link that leads nowhere; CVS left files of such names behind."""
    return name not in listing.folders and (program != "Emacs" or stat.S_ISLNK(listing.stat(name).st_mode))


def locks_beside(name: str) -> list[str]:
    """Names of the locks that a document of this name has; InDesign's hold letters by chance."""
    stem = name.rpartition(".")[0] or name
    office = [f"~${name[dropped:]}" for dropped in range(_LONGEST_DROPPED)]
    vim = [f".{name}.sw{letter}" for letter in "pon"]
    by_stem = [f"{stem}.{ending}" for ending in ("dwl", "dwl2", "prlock", "laccdb")]
    return [*office, *vim, *by_stem, f".~lock.{name}#", f".~{name}", f".#{name}", f"{name}.lock"]


def started_ns() -> int:
    """When this computer was started, nanoseconds since the epoch."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.time_ns() - time.clock_gettime_ns(clock)


def make_lock_guard(started: int) -> Guard:
    """A guard against locks; `started` is when this computer was started, nanoseconds since the epoch."""

    def looks(listing: Listing) -> Iterator[str]:
        for name in listing.inodes:
            if (program := locker(name)) and is_lock(listing, name, program):
                yield _reason(display(listing.path_of(name)), program, old=listing.stat(name).st_mtime_ns < started)

    return Guard(looks=looks, beside=locks_beside)


def _reason(path: str, program: str, *, old: bool) -> str:
    if old:
        return (
            f"{path} is a lock of {program}, older than this computer's last start: "
            "if the document is open nowhere, remove the lock"
        )
    return f"{path} is a lock of {program}: close the document there"


@hookimpl
def make_guard(root: str, settings: Settings) -> Guard:
    return make_lock_guard(started_ns())
