"""One item summed up: walked until its first fresh entry settles it, totals kept and never a list of entries."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass

from archive_tasks.disk.walk import Folder, FolderWalk, is_folder, special_kind, unreadable
from archive_tasks.errors import ItemUnreadable
from archive_tasks.items.rules import NO_ARCHIVE, Rules, left_out
from archive_tasks.model import Item
from archive_tasks.names import display

_FILE, _LINK = stat.S_IFREG, stat.S_IFLNK
BEFORE_ALL_TIME = -(1 << 100)
"""In nanoseconds. A filesystem may give any 64-bit number of seconds."""


@dataclass(slots=True)
class Tally:
    """What a walk saw of one item, in totals; it is added to while the walk goes on.

    Attributes:
        newest: path of the entry used last among those that count as use, and when (nanoseconds). After a
            walk that stopped at the first fresh entry it is that entry.
        fresh: how many entries were fresh; a walk that stops at the first leaves 1.
        one_time: True while every file and symlink has the same time.
    """

    newest: str | None = None
    newest_ns: int = BEFORE_ALL_TIME
    fresh: int = 0
    files: int = 0
    bytes: int = 0
    folders: int = 0
    left_out: int = 0
    one_time: bool = True
    finished: bool = True


def tally_item(item: Item, facts: os.stat_result, rules: Rules, root_fd: int, *, to_the_end: bool) -> Tally:
    """Walk one item and add up what it holds; stops at the first fresh entry unless `to_the_end`.

    Raises:
        ItemUnreadable: something in it keeps it: unreadable, special, on another mount, marked, or a clock
            or an excluder of a plugin's that failed.
    """
    tally = Tally()
    if item.kind == "file":
        if os.geteuid() != 0 and _is_closed(facts, item.name, root_fd):
            raise ItemUnreadable(f"{display(item.name)} cannot be read: permission denied")
        tally.files, tally.bytes = 1, facts.st_size
        _weigh(tally, item.name, facts.st_mode, _used(item, facts, rules), rules)
        return tally
    with FolderWalk(root_fd, item.name, mounts=rules.mounts) as walk:
        for folder in walk:
            _tally_folder(tally, folder, rules, to_the_end=to_the_end)
            if tally.fresh and not to_the_end:
                tally.finished = False
                break
    return tally


def _tally_folder(tally: Tally, folder: Folder, rules: Rules, *, to_the_end: bool) -> None:
    """Add up one folder's own entries and have its subfolders walked.

    The loop runs once a file, so what most files need (a stat, two comparisons, two sums) is inlined here;
    `_weigh` is for those that could decide something. Measured on 100,000 stale files, calling it for
    each of them costs a third more.
    """
    below = folder.path + "/"
    outside = f"{rules.root}/{below}"
    clock, may_leave_out = rules.clock, bool(rules.excluders)
    stale_up_to = rules.limits.stale_up_to_ns
    may_be_closed = os.geteuid() != 0
    files = size = 0
    varied = False
    for entry in folder.scan():
        name = entry.name
        if name == NO_ARCHIVE:
            raise ItemUnreadable(f"{display(below + name)} asks to keep it")
        if is_folder(entry, below):
            _meet_folder(tally, folder, name, rules)
            continue
        if may_leave_out and left_out(rules, below + name, is_folder=False):
            tally.left_out += 1
            continue
        try:
            facts = entry.stat(follow_symlinks=False)
            used = clock(outside + name, facts) + 0  # what is not a number fails here, and keeps its item
        except Exception as error:
            raise _unjudged(below + name, rules, error) from error
        if may_be_closed and _is_closed(facts, name, folder.fd):
            raise ItemUnreadable(f"{display(below + name)} cannot be read: permission denied")
        files += 1
        size += facts.st_size
        if used <= tally.newest_ns and used <= stale_up_to and facts.st_mode & 0o170000 == _FILE:
            varied = varied or used != tally.newest_ns
            continue
        _weigh(tally, below + name, facts.st_mode, used, rules)
        if tally.fresh and not to_the_end:
            break
    tally.files += files
    tally.bytes += size
    tally.one_time &= not varied


def _is_closed(facts: os.stat_result, name: str, dir_fd: int) -> bool:
    """May we not read this file? The mode bits answer for most; otherwise the system is asked."""
    mode = facts.st_mode
    if mode & stat.S_IROTH or (mode & stat.S_IRUSR and facts.st_uid == os.geteuid()) or not stat.S_ISREG(mode):
        return False
    return not os.access(name, os.R_OK, dir_fd=dir_fd, effective_ids=os.access in os.supports_effective_ids)


def _meet_folder(tally: Tally, folder: Folder, name: str, rules: Rules) -> None:
    if left_out(rules, f"{folder.path}/{name}", is_folder=True):
        tally.left_out += 1
        return
    tally.folders += 1
    folder.descend(name)


def _used(item: Item, facts: os.stat_result, rules: Rules) -> int:
    try:
        return rules.clock(item.path, facts) + 0
    except Exception as error:
        raise _unjudged(item.name, rules, error) from error


def _unjudged(path: str, rules: Rules, error: Exception) -> ItemUnreadable:
    if isinstance(error, OSError):
        return unreadable(path, error)
    return ItemUnreadable(f"the clock {rules.clock_name} failed at {display(path)}: {type(error).__name__}: {error}")


def _weigh(tally: Tally, path: str, mode: int, used: int, rules: Rules) -> None:
    """Let one file or symlink count as use. Noise is asked about only where it would decide, which is seldom."""
    if stat.S_IFMT(mode) not in (_FILE, _LINK):
        raise ItemUnreadable(f"{display(path)} is {special_kind(mode)}, which cannot be archived")
    is_fresh = used > rules.limits.stale_up_to_ns
    if used <= tally.newest_ns:
        tally.one_time &= used == tally.newest_ns
        if not is_fresh:
            return
    try:
        is_noise = rules.is_noise(path.rpartition("/")[2])
    except Exception as error:
        what = f"{type(error).__name__}: {error}"
        raise ItemUnreadable(f"a noise filter failed at {display(path)}: {what}") from error
    if is_noise:
        return
    if tally.newest is None or used > tally.newest_ns:
        tally.one_time &= tally.newest is None
        tally.newest, tally.newest_ns = path, used
    tally.fresh += is_fresh
