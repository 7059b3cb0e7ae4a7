"""Root -> Plan. Read-only: nothing is opened but folders, nothing is changed.

The walk of an item stops at its first fresh entry, which settles it, and keeps totals, never a list of
entries; so the cost of a scan follows what is stale, not what exists.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from archive_tasks.disk.open_flags import FOLDER_THROUGH_LINKS
from archive_tasks.disk.walk import open_quietly, special_kind, unreadable
from archive_tasks.errors import ItemUnreadable, UsageError
from archive_tasks.items.guards import reasons_to_keep
from archive_tasks.items.own_files import SET_ASIDE, is_stub
from archive_tasks.items.root import Root
from archive_tasks.items.rules import NO_ARCHIVE, Rules, left_out
from archive_tasks.model import Decision, Item, ItemKind, Plan
from archive_tasks.names import display
from archive_tasks.scan.staleness import SAME_TIME_IS_ODD_FROM, decide, keep
from archive_tasks.scan.tally import Tally, tally_item
from archive_tasks.session import Session
from archive_tasks.workers.forks import may_fork, tally_all


def scan(root: Root, session: Session) -> Plan:
    """Judge every item of the root. An item that holds one of our own folders is kept.

    Raises:
        UsageError: the root cannot be read.
    """
    root_fd = _open_root(root.path)
    try:
        judge = _Judge(root, session, root_fd)
        decisions = tuple(judge.decisions(_item_names(root.path, root_fd)))
    finally:
        os.close(root_fd)
    return Plan(
        root=root.path,
        days=root.settings.days,
        clock=root.rules.clock_name,
        now=session.now,
        decisions=decisions,
        warnings=(*_mount_warnings(root.rules), *judge.warnings()),
    )


def _open_root(root: str) -> int:
    try:
        return open_quietly(root, FOLDER_THROUGH_LINKS)
    except OSError as error:
        raise UsageError(f"the root {display(root)} cannot be opened: {error.strerror}") from error


def _item_names(root: str, root_fd: int) -> list[str]:
    try:
        return sorted(set(os.listdir(root_fd)) - {SET_ASIDE}, key=os.fsencode)
    except OSError as error:
        raise UsageError(f"the root {display(root)} cannot be read: {error.strerror}") from error


def _mount_warnings(rules: Rules) -> Iterator[str]:
    keeps_no_reads = getattr(os, "ST_NOATIME", 0)  # macOS does not say
    if rules.clock_name == "atime" and os.statvfs(rules.root).f_flag & keeps_no_reads:
        yield (
            f"{display(rules.root)} is mounted with noatime: it keeps no record of reading, "
            "so the clock atime reflects only writes; --clock mtime says so plainly"
        )


class _Judge:
    def __init__(self, root: Root, session: Session, root_fd: int) -> None:
        self._session = session
        self._settings = root.settings
        self._rules = root.rules
        self._root_fd = root_fd
        self._private = root.private
        self._keeps_all = os.path.lexists(os.path.join(root.path, NO_ARCHIVE))
        self._one_time: list[tuple[str, int]] = []

    def decisions(self, names: Sequence[str]) -> Iterator[Decision]:
        """A decision for each name. Items are walked in parallel where that is safe, guards asked in turn."""
        looked = {}
        if may_fork(self._rules.functions):
            looked = tally_all(lambda index: self._look(names[index]), len(names))
        for index, name in enumerate(names):
            yield self._reviewed(*(looked.get(index) or self._look(name)))

    def _look(self, name: str) -> tuple[Decision, Tally]:
        """Judge one item by what was seen of it, without asking the guards."""
        tally = Tally(finished=False)
        item = Item(name=name, root=self._rules.root, kind="other")
        try:
            facts = self._stat(name)
            item = Item(name=name, root=self._rules.root, kind=_kind(facts.st_mode))
            if reason := self._reason_before_walking(item, facts):
                return keep(item, reason), tally
            tally = tally_item(item, facts, self._rules, self._root_fd, to_the_end=self._settings.full)
            return decide(item, tally, self._rules.limits), tally
        except ItemUnreadable as error:
            return keep(item, str(error), tally), tally
        except OSError as error:
            return keep(item, str(unreadable(name, error)), tally), tally

    def warnings(self) -> Iterator[str]:
        """One line for the items whose files all have the same time: copied or unpacked, not used then."""
        if self._one_time:
            name, files = self._one_time[0]
            more = f" and {len(self._one_time) - 1} more" if len(self._one_time) > 1 else ""
            yield (
                f"all {files} files of {display(name)}{more} have the same time, as after copying or "
                f"unpacking: the clock {self._rules.clock_name} may not show when they were used"
            )

    def _stat(self, name: str) -> os.stat_result:
        try:
            return os.stat(name, dir_fd=self._root_fd, follow_symlinks=False)
        except OSError as error:
            raise unreadable(name, error) from error

    def _reason_before_walking(self, item: Item, facts: os.stat_result) -> str | None:
        if self._keeps_all:
            return f"the root holds a {NO_ARCHIVE} file, which keeps everything in it"
        if item.name.startswith(".") and not self._settings.hidden:
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
        """Ask the guards about what would be archived."""
        if not decision.archive:
            return decision
        if tally.one_time and tally.files >= SAME_TIME_IS_ODD_FROM:
            self._one_time.append((decision.item.name, tally.files))
        reasons = reasons_to_keep(self._session, decision.item, self._rules)
        return keep(decision.item, "; ".join(reasons), tally) if reasons else decision


def _kind(mode: int) -> ItemKind:
    kinds: dict[int, ItemKind] = {stat.S_IFDIR: "folder", stat.S_IFLNK: "link", stat.S_IFREG: "file"}
    return kinds.get(stat.S_IFMT(mode), "other")
