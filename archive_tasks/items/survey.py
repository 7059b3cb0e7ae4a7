"""An item's entries in one fixed order, and what follows from them: its id, and whether it has changed.

An item is listed three times: before the upload for its id, during it, and after it. Each listing must show
the same entries; sixteen bytes an entry are kept of the first, to find which one differs.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from archive_tasks.disk.ctime_trial import counting_ctime
from archive_tasks.disk.walk import FolderWalk, special_kind, unreadable
from archive_tasks.errors import ItemChanged, ItemUnreadable
from archive_tasks.items.rules import NO_ARCHIVE, Rules, left_out
from archive_tasks.model import Entry, EntryKind, Item
from archive_tasks.names import display

MARK_BYTES = 16
_KINDS: dict[int, EntryKind] = {stat.S_IFREG: "file", stat.S_IFDIR: "folder", stat.S_IFLNK: "link"}
CTIME_COUNTS = hasattr(os, "O_NOATIME")
"""Without O_NOATIME, access times are put back after reading, which moves the ctime: then it says nothing."""


class Listed(NamedTuple):
    """One entry, or something left out (`why` says why), with the open folder that it was seen in.

    `dir_fd` is open until the next one is asked for.
    """

    entry: Entry
    dir_fd: int
    name: str
    why: str | None = None


@dataclass(slots=True)
class Survey:
    """What one listing of an item showed.

    Attributes:
        id: 32 hex digits that follow from paths, types, sizes and modification times (of folders: no time).
        newest: path of the entry used last among those that count as use; None when none does.
        newest_ctime_ns: of its files and links; later than every look where one says nothing.
        packable: number of files that are not empty and small enough for a pack.
        marks: sixteen bytes an entry.
    """

    id: str = ""
    files: int = 0
    folders: int = 0
    bytes: int = 0
    newest: str | None = None
    newest_ns: int = 0
    newest_ctime_ns: int = 0
    packable: int = 0
    marks: bytearray = field(default_factory=bytearray)

    @property
    def fingerprint(self) -> str:
        """Digest of the marks, for the catalogue."""
        return hashlib.sha256(self.marks).hexdigest()


def list_entries(item: Item, rules: Rules, root_fd: int) -> Iterator[Listed]:
    """The item itself, then what is in it: a folder's entries by name, then its subfolders.

    Raises:
        ItemUnreadable: an entry cannot be read or stored, or a marker asks to keep the item.
    """
    try:
        facts = os.stat(item.name, dir_fd=root_fd, follow_symlinks=False)
    except OSError as error:
        raise unreadable(item.name, error) from error
    entry = _entry(item.name, as_it_counts(facts, inodes_count=rules.inodes_count))
    yield Listed(entry, root_fd, item.name)
    if entry.kind == "folder":
        with FolderWalk(root_fd, item.name, mounts=rules.mounts) as walk:
            for folder in walk:
                for name in folder.names():
                    listed = _look(
                        folder.path,
                        name,
                        as_it_counts(folder.stat(name), inodes_count=rules.inodes_count),
                        folder.fd,
                        rules,
                    )
                    yield listed
                    if listed.entry.kind == "folder" and listed.why is None:
                        folder.descend(name)


def _look(folder: str, name: str, facts: os.stat_result, dir_fd: int, rules: Rules) -> Listed:
    path = f"{folder}/{name}"
    if name == NO_ARCHIVE:
        raise ItemUnreadable(f"{display(path)} asks to keep it")
    why = left_out(rules, path, is_folder=stat.S_ISDIR(facts.st_mode))
    if why:
        return Listed(Entry(path, _KINDS.get(stat.S_IFMT(facts.st_mode), "file"), facts), dir_fd, name, why)
    return Listed(_entry(path, facts), dir_fd, name)


def as_it_counts(facts: os.stat_result, *, inodes_count: bool) -> os.stat_result:
    """Inode 0 stands for one that means nothing."""
    if inodes_count:
        return facts
    reduced: Any = facts.__reduce__()
    ordered, named = reduced[1]
    return os.stat_result((ordered[0], 0, *ordered[2:]), named)


def _entry(path: str, facts: os.stat_result) -> Entry:
    kind = _KINDS.get(stat.S_IFMT(facts.st_mode))
    if kind is None:
        raise ItemUnreadable(f"{display(path)} is {special_kind(facts.st_mode)}, which cannot be archived")
    return Entry(path, kind, facts)


def survey_item(item: Item, rules: Rules, root_fd: int, *, pack_below: int) -> Survey:
    """List the item once and sum it up. Raises ItemUnreadable."""
    survey = Survey()
    identity = hashlib.sha256(b"archive_tasks id 1\0")
    for listed in list_entries(item, rules, root_fd):
        if listed.why is None:
            identity.update(_identity(listed.entry))
            _add(survey, listed, rules, pack_below)
        survey.marks += entry_fingerprint(listed)
    survey.id = identity.hexdigest()[:32]
    return survey


def check_unchanged(survey: Survey, item: Item, rules: Rules, root_fd: int) -> None:
    """List the item once more. Raises ItemChanged, naming the first entry that is not as it was surveyed."""
    for _ in watched(list_entries(item, rules, root_fd), survey):
        pass


def watched(listing: Iterator[Listed], survey: Survey) -> Iterator[Listed]:
    """Pass a listing on while it shows what was surveyed. Raises ItemChanged where it does not."""
    position = 0
    for listed in listing:
        expected = survey.marks[position : position + MARK_BYTES]
        position += MARK_BYTES
        if entry_fingerprint(listed) != expected:
            raise ItemChanged(f"{display(listed.entry.path)} changed, appeared, or follows something that vanished")
        yield listed
    if position != len(survey.marks):
        raise ItemChanged("something in it vanished while it was archived")


def _add(survey: Survey, listed: Listed, rules: Rules, pack_below: int) -> None:
    path, kind, facts = listed.entry
    if kind == "folder":
        survey.folders += 1
        return
    survey.files += 1
    survey.packable += kind == "file" and 0 < facts.st_size < pack_below
    survey.bytes += facts.st_size
    survey.newest_ctime_ns = max(survey.newest_ctime_ns, counting_ctime(facts))
    try:
        used = rules.clock(os.path.join(rules.root, path), facts)
        if (survey.newest is None or used > survey.newest_ns) and not rules.is_noise(listed.name):
            survey.newest, survey.newest_ns = path, used
    except Exception as error:
        raise ItemUnreadable(f"{display(path)} could not be judged: {type(error).__name__}: {error}") from error


def _identity(entry: Entry) -> bytes:
    """A line of what the id follows from. A folder's own time is not in it: merely listing tools change it."""
    path, kind, facts = entry
    what = "" if kind == "folder" else f" {facts.st_size} {facts.st_mtime_ns}"
    return f"{kind}{what} {path}\0".encode(errors="surrogateescape")  # a third of what os.fsencode costs


def entry_fingerprint(listed: Listed) -> bytes:
    """Sixteen bytes that no two states of an entry share. The device is not in them: many filesystems get another
    number at each mount, and a ctime to the nanosecond with an inode distinguishes two disks as well.
    """
    path, kind, facts = listed.entry
    if listed.why is not None:
        return hashlib.blake2b(f"{kind} {listed.why} ".encode() + os.fsencode(path), digest_size=MARK_BYTES).digest()
    fingerprint = f"{kind} {facts.st_ino} {facts.st_mode} "
    if kind != "folder":
        fingerprint += f"{facts.st_size} {facts.st_mtime_ns} {facts.st_ctime_ns if CTIME_COUNTS else 0} "
    return hashlib.blake2b((fingerprint + path).encode(errors="surrogateescape"), digest_size=MARK_BYTES).digest()
