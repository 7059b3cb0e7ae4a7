"""Root -> Plan. Looks only: nothing is opened but folders, nothing is changed.

The walk of an item stops at its first fresh entry, which settles it, and keeps totals, never a list of
entries; so a scan costs what is stale and not what exists.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime

from archive_tasks.aside import SET_ASIDE
from archive_tasks.errors import ItemUnreadable, UsageError
from archive_tasks.model import Decision, Item, ItemKind, Plan
from archive_tasks.names import display
from archive_tasks.session import Rules, Session
from archive_tasks.side_by_side import may_fork, tally_all
from archive_tasks.staleness import SAME_TIME_IS_ODD_FROM, Tally, decide, keep
from archive_tasks.stub import is_stub
from archive_tasks.walk import Folder, FolderWalk, open_quietly, special_kind, unreadable

NO_ARCHIVE = ".noarchive"
"""An empty file of this name anywhere in an item keeps the item; in the root, it keeps everything."""

_FOLDER, _LINK, _FILE = stat.S_IFDIR, stat.S_IFLNK, stat.S_IFREG


def scan(session: Session, *, private: Iterable[str] = ()) -> Plan:
    """Judge every item of the root.

    Args:
        private: paths that must never be archived: the target's own folder, the catalogues. The item that
            one of them lies in is kept.

    Raises:
        UsageError: there is no such root, or it cannot be read.
    """
    root = session.resolve_root()
    root_fd = _open_root(root)
    try:
        rules = session.rules(root)
        judge = _Judge(session, rules, root_fd, frozenset(os.path.realpath(path) for path in private))
        decisions = tuple(judge.decisions(_item_names(root, root_fd)))
    finally:
        os.close(root_fd)
    return Plan(
        root=root,
        days=session.settings.days,
        clock=rules.clock_name,
        now=session.now,
        decisions=decisions,
        warnings=(*_mount_warnings(rules), *judge.warnings()),
    )


def _open_root(root: str) -> int:
    try:
        return open_quietly(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise UsageError(f"the root {display(root)} cannot be opened: {error.strerror}") from error


def _item_names(root: str, root_fd: int) -> list[str]:
    try:
        return sorted(set(os.listdir(root_fd)) - {SET_ASIDE}, key=os.fsencode)
    except OSError as error:
        raise UsageError(f"the root {display(root)} cannot be read: {error.strerror}") from error


def _mount_warnings(rules: Rules) -> Iterator[str]:
    keeps_no_reads = getattr(os, "ST_NOATIME", 0)  # macOS does not tell
    if rules.clock_name == "atime" and os.statvfs(rules.root).f_flag & keeps_no_reads:
        yield (
            f"{display(rules.root)} is mounted with noatime: it keeps no record of reading, "
            "so the clock atime sees only writing; --clock mtime says the same plainly"
        )


class _Judge:
    def __init__(self, session: Session, rules: Rules, root_fd: int, private: frozenset[str]) -> None:
        self._session = session
        self._rules = rules
        self._root_fd = root_fd
        self._private = private
        self._keeps_all = os.path.lexists(os.path.join(rules.root, NO_ARCHIVE))
        self._one_time: list[tuple[str, int]] = []

    def decisions(self, names: Sequence[str]) -> Iterator[Decision]:
        """A decision for each name. Items are looked at side by side where that is safe, guards asked in turn."""
        looked = {}
        if may_fork(self._rules.functions):
            looked = tally_all(lambda index: self._look(names[index]), len(names))
        for index, name in enumerate(names):
            yield self._reviewed(*(looked.get(index) or self._look(name)))

    def _look(self, name: str) -> tuple[Decision, Tally]:
        """Judge one item by what is seen of it, the guards not asked."""
        tally = Tally(finished=False)
        item = Item(name=name, root=self._rules.root, kind="other")
        try:
            facts = self._stat(name)
            item = Item(name=name, root=self._rules.root, kind=_kind(facts.st_mode))
            if reason := self._reason_before_walking(item, facts):
                return keep(item, reason), tally
            tally = tally_item(item, facts, self._rules, self._root_fd, to_the_end=self._session.settings.full)
            return decide(item, tally, self._rules.limits), tally
        except ItemUnreadable as error:
            return keep(item, str(error), tally), tally
        except OSError as error:
            return keep(item, str(unreadable(name, error)), tally), tally

    def warnings(self) -> Iterator[str]:
        """One line for the items whose files all bear one time: copied or unpacked, not used then."""
        if self._one_time:
            name, files = self._one_time[0]
            more = f" and {len(self._one_time) - 1} more" if len(self._one_time) > 1 else ""
            yield (
                f"all {files} files of {display(name)}{more} bear one and the same time, as after a copy or an "
                f"unpacking: the clock {self._rules.clock_name} may not say when they were used"
            )

    def _stat(self, name: str) -> os.stat_result:
        try:
            return os.stat(name, dir_fd=self._root_fd, follow_symlinks=False)
        except OSError as error:
            raise unreadable(name, error) from error

    def _reason_before_walking(self, item: Item, facts: os.stat_result) -> str | None:
        if self._keeps_all:
            return f"the root holds a {NO_ARCHIVE} file, which keeps everything in it"
        if item.name.startswith(".") and not self._session.settings.hidden:
            return "hidden; --hidden judges it like the rest"
        if is_stub(self._root_fd, item.name):
            return "it says where an archived item is"
        if item.name in {NO_ARCHIVE, ".archiveignore"}:
            return "belongs to the root's own settings"
        if item.kind == "link":
            return "a symlink: it holds no data of its own and is not followed"
        if special := special_kind(facts.st_mode):
            return f"it is {special}, which cannot be archived"
        if any(path == item.path or path.startswith(item.path + "/") for path in self._private):
            return "it holds the target or the catalogue of archive_tasks"
        restored_ns = self._rules.restored.get(item.name, 0)
        if restored_ns > self._rules.limits.stale_up_to_ns:
            return f"restored on {datetime.fromtimestamp(restored_ns / 1e9, UTC):%Y-%m-%d}, which counts as use"
        return left_out(self._rules, item.name, is_folder=item.kind == "folder")

    def _reviewed(self, decision: Decision, tally: Tally) -> Decision:
        """Ask the guards of what would be archived."""
        if not decision.archive:
            return decision
        if tally.one_time and tally.files >= SAME_TIME_IS_ODD_FROM:
            self._one_time.append((decision.item.name, tally.files))
        reasons = self._session.reasons_to_keep(decision.item, self._rules)
        return keep(decision.item, "; ".join(reasons), tally) if reasons else decision


def _kind(mode: int) -> ItemKind:
    kinds: dict[int, ItemKind] = {_FOLDER: "folder", _LINK: "link", _FILE: "file"}
    return kinds.get(stat.S_IFMT(mode), "other")


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

    The loop runs once a file, so what most files need (a stat, two comparisons, two sums) stands here in the
    open; `_count` is for those that could decide something. Measured on 100,000 stale files, calling it for
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
        if _is_folder(entry, below):
            _meet_folder(tally, folder, name, rules)
            continue
        if may_leave_out and left_out(rules, below + name, is_folder=False):
            tally.left_out += 1
            continue
        try:
            facts = entry.stat(follow_symlinks=False)
            used = clock(outside + name, facts)
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
    """May we not read this file? The mode bits answer for most; who else may, the system is asked."""
    mode = facts.st_mode
    if mode & stat.S_IROTH or (mode & stat.S_IRUSR and facts.st_uid == os.geteuid()) or not stat.S_ISREG(mode):
        return False
    return not os.access(name, os.R_OK, dir_fd=dir_fd, effective_ids=os.access in os.supports_effective_ids)


def _is_folder(entry: os.DirEntry[str], below: str) -> bool:
    """Some filesystems do not tell kinds in listings: then this looks, and may be refused."""
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError as error:
        raise unreadable(below + entry.name, error) from error


def _meet_folder(tally: Tally, folder: Folder, name: str, rules: Rules) -> None:
    if left_out(rules, f"{folder.path}/{name}", is_folder=True):
        tally.left_out += 1
        return
    tally.folders += 1
    folder.descend(name)


def _used(item: Item, facts: os.stat_result, rules: Rules) -> int:
    try:
        return rules.clock(item.path, facts)
    except Exception as error:
        raise _unjudged(item.name, rules, error) from error


def _unjudged(path: str, rules: Rules, error: Exception) -> ItemUnreadable:
    if isinstance(error, OSError):
        return unreadable(path, error)
    return ItemUnreadable(f"the clock {rules.clock_name} failed at {display(path)}: {type(error).__name__}: {error}")


def left_out(rules: Rules, path: str, *, is_folder: bool) -> str | None:
    """Why an entry is left out, or None. Raises ItemUnreadable when a plugin's excluder fails."""
    try:
        return rules.left_out(path, is_folder=is_folder)
    except Exception as error:
        raise ItemUnreadable(f"an excluder failed at {display(path)}: {type(error).__name__}: {error}") from error


def _weigh(tally: Tally, path: str, mode: int, used: int, rules: Rules) -> None:
    """Let one file or symlink count as use. Noise is asked about only where it would decide, which is seldom."""
    if stat.S_IFMT(mode) not in (_FILE, _LINK):
        raise ItemUnreadable(f"{display(path)} is {special_kind(mode)}, which cannot be archived")
    is_fresh = used > rules.limits.stale_up_to_ns
    if used <= tally.newest_ns:
        tally.one_time &= used == tally.newest_ns
        if not is_fresh:
            return
    if rules.is_noise(path.rpartition("/")[2]):
        return
    if tally.newest is None or used > tally.newest_ns:
        tally.one_time &= tally.newest is None
        tally.newest, tally.newest_ns = path, used
    tally.fresh += is_fresh
