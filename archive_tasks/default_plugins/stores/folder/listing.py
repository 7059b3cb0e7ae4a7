"""What is in a folder target. Links are not followed, and none is overlooked."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from archive_tasks.default_plugins.stores.folder.folders import INCOMING, check_no_link, link_in_the_way

_NOT_OURS = frozenset({INCOMING, "lost+found"})
"""At the top. `lost+found` comes with a new disk, is closed to all but root, and cannot be a key."""


def listed(top: str, prefix: str) -> Iterator[tuple[str, os.stat_result]]:
    """Files below `top` whose keys begin with `prefix`, and what is said of each.

    A link in the prefix's path, or below it, would hide what is behind it. Without a prefix each link
    is listed itself: what holds one is not empty.

    Raises:
        StoreUnusable: there is a link.
        OSError: a folder cannot be read.
    """
    waiting = [prefix.rpartition("/")[0]]
    _check_way(top, waiting[0])
    while waiting:
        folder = waiting.pop()
        for entry in _entries(os.path.join(top, folder)):
            key = f"{folder}/{entry.name}" if folder else entry.name
            if not key.startswith(prefix) or key in _NOT_OURS:
                continue
            if entry.is_symlink() and prefix:
                raise link_in_the_way(entry.path)
            if entry.is_dir(follow_symlinks=False):
                waiting.append(key)
            elif entry.is_symlink() or entry.is_file(follow_symlinks=False):
                yield from _described(key, entry)


def _check_way(top: str, folder: str) -> None:
    for name in folder.split("/") if folder else ():
        top = os.path.join(top, name)
        check_no_link(top)


def _described(key: str, entry: os.DirEntry[str]) -> Iterator[tuple[str, os.stat_result]]:
    """What vanishes meanwhile is not there."""
    try:
        facts = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return
    yield key, facts


def _entries(folder: str) -> Sequence[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return ()
