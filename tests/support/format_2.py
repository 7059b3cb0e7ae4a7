"""What a version left behind whose manifests had format 2: unpacked where its paths say, for one test at a time."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tarfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import filelock

from archive_tasks.testing.trees import File, Link
from tests.support.checkout import FIXTURES

FIXTURE = FIXTURES / "format-2.tar.xz"
PLACE = Path("/tmp/archive-tasks-format-2")
"""Its manifests, its catalogue and its slot hold this path, and manifests cannot be rewritten without another digest."""
ROOT, TARGET, DATA = PLACE / "Documents", PLACE / "target", PLACE / "data"

BAD = os.fsdecode(b"caf\xe9\n")
TREE: dict[str, Any] = {
    "thesis": {
        "a.txt": File("alpha\n", mode=0o640),
        "run.sh": File("#!/bin/sh\n", mode=0o755),
        "empty": File(""),
        "big": File(bytes(range(256)) * 12),
        "deep": {BAD: File("bad\n"), "über.csv": File("1,2\n"), "hollow": {}},
        "link": Link("deep/../a.txt"),
    },
    "note.md": File("the first note\n"),
    "photos": {"p1": File("photo one\n"), "p2": File(b"\x00\x01" * 1500), "sub": {"p3": File("photo three\n")}},
    "letters": {"l1": File("letter one\n")},
    "film": {"reel": File(b"reel" * 700), "cut": File("cut\n")},
}
"""What was archived: `photos` is set aside; the receipt of `letters` was lost when its ctime moved; of `film` the objects
were sent, and nothing was committed. `thesis/deep/same` is a hard link of `thesis/a.txt`, `note.md` was changed once.
"""


@contextmanager
def held() -> Iterator[None]:
    """The place, for this process alone."""
    with filelock.FileLock(f"{PLACE}.lock", timeout=280):
        shutil.rmtree(PLACE, ignore_errors=True)
        PLACE.mkdir(mode=0o700)
        try:
            yield
        finally:
            shutil.rmtree(PLACE, ignore_errors=True)


@contextmanager
def unpacked() -> Iterator[None]:
    """Everything as it was left, in its place; only inodes and times of changes are new."""
    with held():
        with tarfile.open(FIXTURE) as archive:
            for member in archive:
                assert not member.name.startswith(("/", ".."))
                archive.extract(member, PLACE, filter="fully_trusted")
                if member.issym():  # whose times tarfile leaves alone
                    os.utime(PLACE / member.name, (member.mtime,) * 2, follow_symlinks=False)
        note_place()
        yield


def catalogue() -> Path:
    (found,) = (DATA / "archive_tasks" / "catalogues").glob("*.sqlite")
    return found


def note_place() -> None:
    """The folder at the root's path is the one that was archived; that it has another inode is tar's doing."""
    place = f"{os.statvfs(ROOT).f_fsid:x} {ROOT.stat().st_ino}"
    with closing(sqlite3.connect(catalogue())) as connection, connection:
        changed = connection.execute("update facts set value = ? where name like 'place of root %'", (place,))
        assert changed.rowcount == 1
