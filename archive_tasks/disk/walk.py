"""A walk that follows nothing and swallows nothing.

Folders are opened one below the other by handle, without following links, so that a folder swapped for a
link during the walk leads nowhere, and so that neither depth nor length of a path matters. What cannot be read,
is of a kind that cannot be stored, or is on another mount ends the walk with ItemUnreadable.
"""

from __future__ import annotations

import errno
import os
import stat
from collections import deque
from collections.abc import Iterator

from archive_tasks.disk.open_flags import FOLDER, FOLDER_THROUGH_LINKS
from archive_tasks.errors import ItemUnreadable
from archive_tasks.names import display

_NO_ATIME = getattr(os, "O_NOATIME", 0)
_SPECIAL = {
    stat.S_IFSOCK: "a socket",
    stat.S_IFIFO: "a fifo",
    stat.S_IFBLK: "a block device",
    stat.S_IFCHR: "a character device",
}


def open_quietly(name: str, flags: int, *, dir_fd: int | None = None) -> int:
    """Open without leaving an access time behind, where the system allows that (it asks for ownership)."""
    try:
        return os.open(name, flags | _NO_ATIME, dir_fd=dir_fd)
    except PermissionError:
        return os.open(name, flags, dir_fd=dir_fd)


def special_kind(mode: int) -> str | None:
    """What a mode's file type is called when it cannot be archived; None for files, folders and symlinks."""
    return _SPECIAL.get(stat.S_IFMT(mode))


class Folder:
    """An open folder inside an item. `path` is relative to the root; `device` the filesystem's number."""

    __slots__ = ("_waiting", "device", "fd", "path")

    def __init__(self, path: str, fd: int) -> None:
        self.path = path
        self.fd = fd
        self.device = os.fstat(fd).st_dev
        self._waiting: deque[str] = deque()

    def scan(self) -> Iterator[os.DirEntry[str]]:
        """The entries, in the filesystem's order. Raises ItemUnreadable."""
        try:
            with os.scandir(self.fd) as entries:
                yield from entries
        except OSError as error:
            raise unreadable(self.path, error) from error

    def names(self) -> list[str]:
        """The names of the entries, sorted by their bytes. Raises ItemUnreadable."""
        try:
            names = os.listdir(self.fd)
        except OSError as error:
            raise unreadable(self.path, error) from error
        return sorted(names) if all(map(str.isascii, names)) else sorted(names, key=os.fsencode)

    def stat(self, name: str) -> os.stat_result:
        """The entry's own stat, links not followed. Raises ItemUnreadable."""
        try:
            return os.stat(name, dir_fd=self.fd, follow_symlinks=False)
        except OSError as error:
            raise unreadable(f"{self.path}/{name}", error) from error

    def descend(self, name: str) -> None:
        """Have the subfolder `name` walked after this folder's own entries."""
        self._waiting.append(name)

    def _next(self) -> str | None:
        return self._waiting.popleft() if self._waiting else None

    def _close(self) -> None:
        os.close(self.fd)


class FolderWalk:
    """Walks an item's folders: each comes before those in it, which its reader chose by `descend`.

    Args:
        root_fd: handle of the root.
        name: the item's name.
        mounts: paths, relative to the root, on which something is mounted.
    """

    def __init__(self, root_fd: int, name: str, *, mounts: frozenset[str] = frozenset()) -> None:
        self._mounts = mounts
        self._open: list[Folder] = []
        self._device = os.fstat(root_fd).st_dev
        self._enter(name, name, root_fd)

    def __enter__(self) -> FolderWalk:
        return self

    def __exit__(self, *_: object) -> None:
        while self._open:
            self._open.pop()._close()

    def __iter__(self) -> Iterator[Folder]:
        """Raises ItemUnreadable for a folder that cannot be opened or is on another mount."""
        yield self._open[-1]
        while self._open:
            parent = self._open[-1]
            name = parent._next()
            if name is None:
                self._open.pop()._close()
                continue
            yield self._enter(f"{parent.path}/{name}", name, parent.fd)

    def _enter(self, path: str, name: str, parent_fd: int) -> Folder:
        try:
            fd = open_quietly(name, FOLDER, dir_fd=parent_fd)
        except OSError as error:
            raise unreadable(path, error) from error
        folder = Folder(path, fd)
        self._forget_finished()
        self._open.append(folder)
        if folder.device != self._device or path in self._mounts:
            raise ItemUnreadable(f"another filesystem is mounted at {display(path)}")
        return folder

    def _forget_finished(self) -> None:
        """A folder with nothing left to descend into need not stay open: a deep chain costs one handle."""
        while self._open and not self._open[-1]._waiting:
            self._open.pop()._close()


class FolderHandles:
    """Handles of the folders below a root, each opened from its parent's without following links.

    Args:
        root: its path, or a handle of it, which stays the caller's.

    Meant for paths that come in the order of a walk: what leads to the folder asked for last stays open.
    """

    def __init__(self, root: str | int) -> None:
        self._root = os.dup(root) if isinstance(root, int) else os.open(root, FOLDER_THROUGH_LINKS)
        self._open: list[tuple[str, int]] = []
        self._path: str = ""

    def __enter__(self) -> FolderHandles:
        return self

    def __exit__(self, *_: object) -> None:
        self._keep([])
        os.close(self._root)

    def handle(self, path: str) -> int:
        """The folder's handle, good until the next call. `path` is relative to the root, "" is the root itself.

        Raises:
            OSError: it cannot be opened, or something in it is a link.
        """
        if path != self._path or not path:
            names = path.split("/") if path else []
            self._keep(names)
            for name in names[len(self._open) :]:
                parent = self._open[-1][1] if self._open else self._root
                self._open.append((name, open_quietly(name, FOLDER, dir_fd=parent)))
            self._path = path
        return self._open[-1][1] if self._open else self._root

    def _keep(self, names: list[str]) -> None:
        """Close what does not lead to `names`."""
        same = 0
        while same < min(len(names), len(self._open)) and self._open[same][0] == names[same]:
            same += 1
        while len(self._open) > same:
            os.close(self._open.pop()[1])
        self._path = ""


def is_folder(entry: os.DirEntry[str], below: str) -> bool:
    """Is it a folder? Links are not followed.

    Some filesystems do not report kinds in listings: then this needs a stat, which may be refused.

    Args:
        below: path of the folder that it is in, with a slash at the end.

    Raises:
        ItemUnreadable: the system refused.
    """
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError as error:
        raise unreadable(below + entry.name, error) from error


def unreadable(path: str, error: OSError) -> ItemUnreadable:
    """The reason that an OSError at `path` makes."""
    if isinstance(error, FileNotFoundError):
        return ItemUnreadable(f"{display(path)} vanished while it was looked at")
    if error.errno == errno.ELOOP:  # what O_NOFOLLOW answers
        return ItemUnreadable(f"{display(path)} changed into a symlink while it was looked at")
    what = (error.strerror or str(error)).lower()
    return ItemUnreadable(f"{display(path)} cannot be read: {what}")
