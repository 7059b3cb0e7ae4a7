"""How an entry gets its name in a folder: at once, whole, and without taking another's.

A new file goes one of three ways, by what the filesystem can do:

- nameless: O_TMPFILE, then a link to /proc/self/fd/N. A crash leaves nothing. (open(2), O_TMPFILE) The link needs
  `dst_dir_fd`: without it os.link is link(2), which does not follow that path to the file, whatever the flags.
- link: a temporary name, then a second link with the right name. For NFS, older FUSE, macOS.
- rename: a temporary name, then renameat2 with RENAME_NOREPLACE, or a look and a rename. For FAT and others
  that have no hard links.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Literal, NamedTuple

from archive_tasks.disk.folders import OpenFolder, remove_quietly, temporary_name
from archive_tasks.disk.open_flags import NEW_FILE
from archive_tasks.errors import EntryOccupied
from archive_tasks.names import display

OnConflict = Literal["refuse", "overwrite", "both"]
Way = Literal["nameless", "link", "rename"]
Attach = Callable[[str], None]
"""Makes the entry appear under a name of its folder, whole. Raises FileExistsError when the name is taken."""

_LONGEST_NAME = 255
_LONGEST_ENDING = 32


class Written(NamedTuple):
    """An entry in the destination.

    Attributes:
        path: where, relative to the destination; not the path asked for when that was taken and both are kept.
        lost: what it is back without.
    """

    path: str
    lost: tuple[str, ...] = ()


class NamedPlace(NamedTuple):
    """Where an entry goes: `name` in an open folder; `path` is the whole, relative to the destination."""

    folder: OpenFolder
    name: str
    path: str


class Ways:
    """How files come into being, found out once for each filesystem: others may be mounted below."""

    def __init__(self) -> None:
        self._known: dict[int, Way] = {}

    def at(self, folder: OpenFolder) -> Way:
        """The best way that works there, as far as can be known without a name. Raises OSError when none does."""
        way = self._known.get(folder.device)
        if way is None:
            way = self._known[folder.device] = "nameless" if _makes_nameless(folder) else _find_named_way(folder)
        return way

    def without_nameless(self, folder: OpenFolder) -> Way:
        """The same, after a nameless file could be made there but could not be named."""
        way = self._known[folder.device] = _find_named_way(folder)
        return way


def _makes_nameless(folder: OpenFolder) -> bool:
    """Tried without giving it a name: a crash in between would leave that."""
    try:
        os.close(open_nameless(folder))
    except OSError:
        return False
    return True


def _find_named_way(folder: OpenFolder) -> Way:
    """Tried with an empty file. Raises OSError when no file can be made."""
    name, second = temporary_name(), temporary_name()
    try:
        os.close(open_named(folder, name))
        linked = _can(lambda: os.link(name, second, src_dir_fd=folder.fd, dst_dir_fd=folder.fd, follow_symlinks=False))
        return "link" if linked else "rename"
    finally:
        remove_quietly(folder, name)
        remove_quietly(folder, second)


def give_name(place: NamedPlace, attach: Attach, on_conflict: OnConflict) -> str:
    """Let the entry appear under its name, or do as `on_conflict` says when that is taken.

    Returns:
        The path at which it was written.

    Raises:
        EntryOccupied: the name is taken, and may not be replaced.
        OSError: it cannot be done.
    """
    try:
        attach(place.name)
        return place.path
    except FileExistsError as error:
        if on_conflict == "refuse":
            raise EntryOccupied(f"{display(place.path)} was not restored: something else has its name") from error
    if on_conflict == "overwrite":
        _replace(place, attach)
        return place.path
    return _attach_beside(place, attach)


def check_replaceable(place: NamedPlace, facts: os.stat_result) -> None:
    """Raises EntryOccupied for what is neither a file nor a symlink: it is never overwritten."""
    if not (stat.S_ISREG(facts.st_mode) or stat.S_ISLNK(facts.st_mode)):
        what = "a folder" if stat.S_ISDIR(facts.st_mode) else "something that is not a file"
        raise EntryOccupied(f"{display(place.path)} was not restored: {what} has its name, and is never overwritten")


def names_beside(name: str) -> Iterator[str]:
    """`a (restored).txt`, `a (restored 2).txt`, ..., each at most 255 bytes long."""
    stem, ending = os.path.splitext(name)
    if len(os.fsencode(ending)) > _LONGEST_ENDING:
        stem, ending = name, ""
    number = 1
    while True:
        suffix = f" (restored{f' {number}' if number > 1 else ''}){ending}"
        shortened = stem
        while len(os.fsencode(shortened + suffix)) > _LONGEST_NAME:
            shortened = shortened[:-1]
        yield shortened + suffix
        number += 1


def _replace(place: NamedPlace, attach: Attach) -> None:
    fd = place.folder.fd
    with suppress(FileNotFoundError):
        check_replaceable(place, os.stat(place.name, dir_fd=fd, follow_symlinks=False))
    temporary = temporary_name()
    try:
        attach(temporary)
        os.rename(temporary, place.name, src_dir_fd=fd, dst_dir_fd=fd)
    except IsADirectoryError as error:
        raise EntryOccupied(f"{display(place.path)} was not restored: a folder has its name") from error
    finally:
        # still there when it failed, and when both names are links of one file: rename(2) does nothing then
        remove_quietly(place.folder, temporary)


def _attach_beside(place: NamedPlace, attach: Attach) -> str:
    for name in names_beside(place.name):
        try:
            attach(name)
        except FileExistsError:
            continue
        return place.path[: len(place.path) - len(place.name)] + name
    raise AssertionError("names never end")


def open_nameless(folder: OpenFolder) -> int:
    """A new file without a name. Raises OSError, also where that is not supported."""
    if not hasattr(os, "O_TMPFILE"):
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
    return os.open(".", os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600, dir_fd=folder.fd)


def open_named(folder: OpenFolder, name: str) -> int:
    """A new file that only its owner may look into. Raises OSError, also when there is one."""
    return os.open(name, NEW_FILE, 0o600, dir_fd=folder.fd)


def _can(act: Callable[[], None]) -> bool:
    try:
        act()
    except OSError:
        return False
    return True
