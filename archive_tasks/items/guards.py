"""One walk of a stale item for all its guards together: what of it must stay at home, by what its folders list.

Nothing is read but folders, no link is followed, and folders that are left out are not entered. Folders are opened so
that no access time is left behind where the system allows that.
"""

from __future__ import annotations

import errno
import logging
import os
import stat
from collections.abc import Iterator, Sequence

from archive_tasks.disk.open_flags import FOLDER_THROUGH_LINKS
from archive_tasks.disk.walk import Folder, FolderWalk, is_folder, open_quietly, unreadable
from archive_tasks.errors import ItemUnreadable
from archive_tasks.items.rules import Rules
from archive_tasks.model import Guard, Item, Listing
from archive_tasks.names import display
from archive_tasks.plugins import answers
from archive_tasks.session import Session

MOST_REASONS = 5
"""Reasons kept from one guard; after that it is not asked again."""
_log = logging.getLogger("archive_tasks")


def reasons_to_keep(session: Session, item: Item, rules: Rules) -> list[str]:
    """Every plugin's reasons; a plugin that fails counts as a reason.

    Args:
        rules: those of the item's root. Their guards may go by what they saw some seconds ago, so before anything is
            removed `rules_that_look_now` come first.
    """
    reasons: list[str] = []
    for plugin, ask in answers(session.manager, "reasons_to_keep", item=item, settings=session.settings):
        try:
            answer = ask()
            reasons += [display(str(reason)) for reason in ([answer] if isinstance(answer, str) else answer or ())]
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a guard raises keeps the item
            _log.debug("reasons_to_keep of %s failed", plugin, exc_info=True)
            reasons.append(display(f"the plugin {plugin} could not judge it: {type(error).__name__}: {error}"))
    return reasons + ask_guards(item, rules)


def ask_guards(item: Item, rules: Rules) -> list[str]:
    """Reasons of the rules' guards to keep the item; what cannot be found out is a reason too."""
    asked = [_Asked(plugin, guard) for plugin, guard in rules.guards]
    if not asked:
        return []
    problems: list[str] = []
    try:
        root_fd = open_quietly(rules.root, FOLDER_THROUGH_LINKS)
        try:
            for listing in _listings(item, rules, root_fd, asked):
                for one in asked:
                    one.show(listing)
        finally:
            os.close(root_fd)
    except ItemUnreadable as error:
        problems.append(str(error))
    except OSError as error:
        problems.append(str(unreadable(item.name, error)))
    except Exception as error:  # noqa: BLE001 - an excluder of a plugin's says which folders are entered
        _log.debug("an excluder failed", exc_info=True)
        problems.append(display(f"an excluder failed: {type(error).__name__}: {error}"))
    return list(dict.fromkeys([reason for one in asked for reason in one.reasons] + problems))


class _Asked:
    """A guard and what it said of one item."""

    def __init__(self, plugin: str, guard: Guard) -> None:
        self.reasons: list[str] = []
        self.guard = guard
        self._plugin = plugin

    def show(self, listing: Listing) -> None:
        if len(self.reasons) >= MOST_REASONS:
            return
        try:
            found = [display(str(reason)) for reason in self.guard.looks(listing)]
        except ItemUnreadable as error:
            found = [str(error)]
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a guard raises keeps the item
            _log.debug("the guard of %s failed", self._plugin, exc_info=True)
            found = [display(f"the plugin {self._plugin} could not judge it: {type(error).__name__}: {error}")]
        self.reasons = [*self.reasons, *found][:MOST_REASONS]


def _listings(item: Item, rules: Rules, root_fd: int, asked: Sequence[_Asked]) -> Iterator[Listing]:
    if item.kind != "folder":
        names = {item.name}.union(*(one.guard.beside(item.name) for one in asked))
        yield _beside(names, rules, root_fd)
        return
    with FolderWalk(root_fd, item.name, mounts=rules.mounts) as walk:
        for folder in walk:
            yield _listing(folder, rules)


def _beside(names: set[str], rules: Rules, root_fd: int) -> Listing:
    """The item, which is a file, and those of the named that are beside it in the root."""

    def look(name: str) -> os.stat_result:
        return os.stat(name, dir_fd=root_fd, follow_symlinks=False)

    found: dict[str, os.stat_result] = {}
    for name in names:
        try:
            found[name] = look(name)
        except FileNotFoundError:
            continue
        except OSError as error:
            # a name too long for the filesystem says nothing, because no file can have it
            if error.errno != errno.ENAMETOOLONG:
                raise unreadable(name, error) from error
    return Listing(
        path="",
        fd=root_fd,
        inodes={name: facts.st_ino for name, facts in found.items()},
        folders=frozenset(name for name, facts in found.items() if stat.S_ISDIR(facts.st_mode)),
        stat=found.__getitem__,
        left_out=lambda name: rules.left_out(name, is_folder=False),
    )


def _listing(folder: Folder, rules: Rules) -> Listing:
    """One folder's entries; its subfolders are walked next, except those that are left out."""
    below = folder.path + "/"
    inodes: dict[str, int] = {}
    folders: set[str] = set()
    for entry in folder.scan():
        name = entry.name
        inodes[name] = entry.inode()
        if is_folder(entry, below):
            folders.add(name)
            if not rules.left_out(below + name, is_folder=True):
                folder.descend(name)
    return Listing(
        path=folder.path,
        fd=folder.fd,
        inodes=inodes,
        folders=frozenset(folders),
        stat=folder.stat,
        left_out=lambda name: rules.left_out(below + name, is_folder=name in folders),
    )
