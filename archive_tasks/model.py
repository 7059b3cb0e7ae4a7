"""The values that the parts of archive_tasks hand to each other. All are frozen; times are UTC.

Paths of entries are relative to the root, separated by `/`, and begin with the item's name. They are `str`
as `os.fsdecode` makes them, so a name that is not valid UTF-8 keeps its bytes (`os.fsencode` gives them back).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple

ItemKind = Literal["file", "folder", "link", "other"]
EntryKind = Literal["file", "folder", "link"]

NANOSECONDS_PER_DAY = 86_400 * 10**9

Clock = Callable[[str, os.stat_result], int]
"""(path, lstat result) -> when the entry was last used, in nanoseconds since the epoch.

`path` is the entry's absolute path; it is for clocks that need more than the stat result."""

Excluder = Callable[[str, bool], str | None]
"""(path relative to the root, is it a folder) -> why the entry is left out, or None to keep it in."""

NoiseFilter = Callable[[str], bool]
"""(name of an entry) -> True when the entry does not count as use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderExcluder:
    """An excluder that judges folders only, so that files need not be asked one by one.

    Attributes:
        excludes: path relative to the root -> why the folder is left out, or None to keep it in.
    """

    excludes: Callable[[str], str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What a guard is shown: one folder of a stale item; for an item that is a file, that file and what is beside it.

    Attributes:
        path: of the folder, relative to the root; "" is the root itself.
        fd: handle of the folder, open while the guard looks.
        inodes: of every entry, by name.
        folders: names of those that are folders.
        stat: name -> its own stat, links not followed. Raises ItemUnreadable. It costs a system call.
        left_out: name -> why the entry is left out, or None.
    """

    path: str
    fd: int
    inodes: Mapping[str, int]
    folders: frozenset[str]
    stat: Callable[[str], os.stat_result]
    left_out: Callable[[str], str | None]

    def path_of(self, name: str) -> str:
        """Path of an entry, relative to the root."""
        return f"{self.path}/{name}" if self.path else name


def _nothing_beside(name: str) -> Iterable[str]:
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """Keeps stale items at home, by what their folders list.

    Attributes:
        looks: called for each folder of a stale item -> reasons to keep the item. It reads no file that may be a
            placeholder, follows no link, and changes no access time.
        beside: name of an item that is a file -> names that matter to this guard if they are beside it.
    """

    looks: Callable[[Listing], Iterable[str]]
    beside: Callable[[str], Iterable[str]] = _nothing_beside


class Entry(NamedTuple):
    """One file, folder or symlink seen inside an item (or the item itself)."""

    path: str
    kind: EntryKind
    stat: os.stat_result


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A direct child of the root: kept whole or archived whole."""

    name: str
    root: str
    kind: ItemKind

    @property
    def path(self) -> str:
        """The item's absolute path."""
        return os.path.join(self.root, self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What should happen to one item, and why.

    Attributes:
        archive: True to archive the item, False to keep it.
        reason: a sentence; every decision has one.
        newest: path of the entry used last; for an item that is kept because an entry is fresh, that
            entry (the first one met, unless the scan was full). None when nothing was judged.
        newest_ns: when that entry was used, nanoseconds since the epoch.
        files: number of files and symlinks; None when the scan stopped before it knew.
        bytes: their size in bytes; None when the scan stopped before it knew.
        fresh: how many entries are fresh; known only after a full scan of an item that is kept.
        left_out: number of entries that an exclusion leaves out (a folder counts once).
    """

    item: Item
    archive: bool
    reason: str
    newest: str | None = None
    newest_ns: int | None = None
    files: int | None = None
    bytes: int | None = None
    fresh: int | None = None
    left_out: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The decisions for one root, before anything happens.

    Attributes:
        root: absolute path.
        days: an item is stale when it was last used at least this many days ago.
        clock: name of the clock that judged it.
        now: the moment that ages are counted from.
        decisions: one for each item, by name.
        warnings: what makes the judgement doubtful, e.g. a mount that keeps no access times.
    """

    root: str
    days: int
    clock: str
    now: datetime
    decisions: tuple[Decision, ...]
    warnings: tuple[str, ...] = ()

    @property
    def to_archive(self) -> tuple[Decision, ...]:
        return tuple(decision for decision in self.decisions if decision.archive)

    @property
    def to_keep(self) -> tuple[Decision, ...]:
        return tuple(decision for decision in self.decisions if not decision.archive)


class Source(NamedTuple):
    """Who archived an item, and from where. Items are identified by source and name.

    Attributes:
        device: id of the device; empty for the unnamed device of a host (formats 1 and 2 did not name it).
        host: name of that host; empty where there is a device.
        root: absolute path.
    """

    device: str
    host: str
    root: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """One archived copy of one item, named by the key of its manifest.

    Attributes:
        id: 32 hex digits that follow from the item's paths, types, sizes and times; many archives may have it.
        manifest: key of its manifest in the target.
        files: number of files and symlinks.
        bytes: size of the files in bytes.
        host: name of the machine that made it.
        storage_class: class that its objects were written to, in the store's words; empty for the target's own,
            or where another device made it.
        manifest_size: bytes of the manifest; 0 where it is not known.
        device: id of the device that made it, or took it over; empty where none is named.
        number: counts the archives of an item of one source, from 1; 0 in formats 1 and 2.
        replaces: key of the manifest of a damaged archive of the same listing, which this one stands in for.
        data: prefix of its objects.
    """

    id: str
    item: str
    root: str
    scope: str
    target: str
    manifest: str
    files: int
    bytes: int
    created: datetime
    host: str = ""
    storage_class: str = ""
    manifest_size: int = 0
    device: str = ""
    number: int = 0
    replaces: str = ""
    data: str = ""

    @property
    def source(self) -> Source:
        return Source(self.device, "" if self.device else self.host, self.root)

    @property
    def order(self) -> tuple[int, datetime, str]:
        """Sorts the archives of one source and item, the newest last. Numbers decide: no clock can be trusted to.

        Formats 1 and 2 have no numbers, and two runs of one source at once may take the same one.
        """
        return self.number, self.created, self.manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What is proven about one archive: that the store holds every byte of it.

    Attributes:
        manifest: key of the archive's manifest.
        manifest_sha256: hex digest of the manifest as it was read back from the store.
        proven_by: `checksum` when the store, known to refuse wrong ones, confirmed each object's;
            `read-back` when every byte was read again and hashed.
        fingerprint: digest of inode, mode, size, mtime and ctime of the item's entries when it was archived. An item
            that shows another may have been rewritten behind an unchanged size and mtime.
    """

    manifest: str
    manifest_sha256: str
    proven_by: Literal["checksum", "read-back"]
    proven_at: datetime
    fingerprint: str


class Failure(NamedTuple):
    """An item that was not archived, and why."""

    item: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one archive run did.

    Attributes:
        archives: made in this run.
        already: those that the target held before.
        kept: items that the plan, or a later look, kept.
        failed: items that should have been archived and were not.
    """

    target: str
    archives: tuple[Archive, ...] = ()
    already: tuple[Archive, ...] = ()
    kept: tuple[Failure, ...] = ()
    failed: tuple[Failure, ...] = ()


class Attributes(NamedTuple):
    """What a manifest says about an entry besides its contents.

    Attributes:
        mode: permission bits; what is above 0o7777 does not count.
        mtime_ns: nanoseconds since the epoch.
        uid: number of the owner, -1 when unknown; `gid` alike.
        user: name of the owner, empty when unknown; `group` alike. A name takes precedence over a number.
        xattrs: extended attributes, name -> value.
    """

    mode: int
    mtime_ns: int
    uid: int = -1
    gid: int = -1
    user: str = ""
    group: str = ""
    xattrs: Mapping[str, bytes] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """`days` before `now`, an instant in nanoseconds since the epoch: what was last used then, or before, is stale."""

    now_ns: int
    days: int

    @property
    def stale_up_to_ns(self) -> int:
        return self.now_ns - self.days * NANOSECONDS_PER_DAY

    def days_idle(self, used_ns: int) -> int:
        """Whole days since then; negative for a time to come."""
        return (self.now_ns - used_ns) // NANOSECONDS_PER_DAY


def nanoseconds(moment: datetime) -> int:
    """A moment as nanoseconds since the epoch, without a float in between."""
    return int(moment.timestamp()) * 10**9 + moment.microsecond * 1000
