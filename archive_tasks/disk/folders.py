"""Handles of folders below one folder, opened one below the other, never through a symlink.

A path is walked by handle, so that a folder swapped for a link in between leads nowhere, and so that neither
depth nor length of a path matters. The handles used last stay open: most entries go where the last one went.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import threading
from collections import OrderedDict
from collections.abc import Callable

from archive_tasks.disk.attributes import reason_of
from archive_tasks.disk.open_flags import FOLDER, FOLDER_THROUGH_LINKS
from archive_tasks.errors import ArchiveTasksError, DestinationUnusable, EntryError, EntryOccupied
from archive_tasks.names import display

_KEPT_OPEN = 64
_LONGEST_AT_ONCE = 2600  # bytes: 1,300 names at most, and as many `../` are still less than the 4,096 of PATH_MAX
TEMPORARY = ".restoring"
_TEMPORARY = re.compile(rf"\.[0-9a-f]{{16}}{re.escape(TEMPORARY)}")
_ABANDONED_AFTER_SECONDS = 86_400
_NO_FOLDER = frozenset({errno.ENOTDIR, errno.ELOOP})  # what O_DIRECTORY and O_NOFOLLOW answer
_STOP = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.ESTALE, errno.ENODEV, errno.ENOTCONN})


def temporary_name() -> str:
    """A name for what is not complete yet; one that a crash left behind is removed a day later."""
    return f".{os.urandom(8).hex()}{TEMPORARY}"


class OpenFolder:
    """An open folder: `path` below the root (empty for the root itself), its handle, its device and inode.

    `within` leads to it from `base`, and `up` back; base is the root, or one on the way where that would be longer
    than the system takes at once.

    It is closed when nobody holds it any longer, so that one that drops out of the cache stays open for a file
    that is still being written in it.
    """

    __slots__ = ("base", "device", "fd", "inode", "path", "up", "within")

    def __init__(self, path: str, fd: int, *, base: OpenFolder | None = None, within: str = "") -> None:
        self.fd = fd
        self.path = path
        self.base = base
        self.within = within
        facts = os.fstat(fd)
        self.device, self.inode = facts.st_dev, facts.st_ino
        self.up = "/".join([".."] * (within.count("/") + 1))

    def enter(self, name: str) -> OpenFolder:
        """Open a folder in this one, never through a symlink. Raises OSError."""
        fd = os.open(name, FOLDER, dir_fd=self.fd)
        base, within = (self.base, f"{self.within}/{name}") if self.base else (self, name)
        if len(os.fsencode(within)) > _LONGEST_AT_ONCE:
            base, within = self, name
        return OpenFolder(_joined(self.path, name), fd, base=base, within=within)

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """Close it. Safe to call twice."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def is_at(self, facts: os.stat_result) -> bool:
        """Do these facts describe this folder?"""
        return facts.st_ino == self.inode and facts.st_dev == self.device


class OpenFolders:
    """The folders below `root` that were used last, by path. For several threads at once.

    Args:
        root: path of the folder that nothing leaves; links in it are followed, it is the user's own choice.
        clock: seconds since the epoch; used to find a leftover's age.
        sweep: remove the leftovers of runs that crashed, in each folder that is entered.

    Raises:
        OSError: the root cannot be opened.
    """

    def __init__(self, root: str, *, clock: Callable[[], float], sweep: bool) -> None:
        self._name = root
        self._clock = clock
        self._lock = threading.Lock()
        self._open: OrderedDict[str, OpenFolder] = OrderedDict()
        self._sweeps = sweep
        self._swept: set[str] = set()
        self.root = OpenFolder("", os.open(root, FOLDER_THROUGH_LINKS))
        self._sweep_once(self.root)

    def close(self) -> None:
        """Close all folders. Safe to call twice; using this afterwards fails.

        At once, and not when the last to hold them does: the frames of an error may for long, and a disk with an open
        folder cannot be unmounted.
        """
        with self._lock:
            for folder in (self.root, *self._open.values()):
                folder.close()
            self._open.clear()

    def open(self, path: str) -> OpenFolder:
        """The folder at `path`, which is checked already; the root when it is empty.

        Raises:
            EntryOccupied: something that is not a folder is on the way.
            OSError: it is missing, or cannot be opened.
        """
        folder = self._nearest(path)
        for name in _names_between(folder.path, path):
            folder = self._enter(folder, name)
        return folder

    def make(self, path: str) -> bool:
        """Make the folder at `path` and those above it; True when it was not there. Raises as `open` does."""
        made = False
        folder = self._nearest(path)
        for name in _names_between(folder.path, path):
            made = self._make(folder, name)
            folder = self._enter(folder, name)
        return made

    def failure(self, path: str, error: OSError) -> ArchiveTasksError:
        """What an OSError at the entry `path` means: an EntryError, or the end of the run."""
        why = reason_of(error)
        if self._has_vanished():
            why = "it was removed meanwhile"
        elif error.errno not in _STOP:
            return self._entry_failure(path, error, why)
        return DestinationUnusable(f"nothing more can be restored into {display(self._name)}: {why}")

    def _entry_failure(self, path: str, error: OSError, why: str) -> EntryError:
        if isinstance(error, FileExistsError):
            return EntryOccupied(f"{display(path)} was not restored: something else has its name")
        return EntryError(f"{display(path)} cannot be restored: {why}")

    def _has_vanished(self) -> bool:
        """A folder that was removed has no links left, however long it is held open."""
        return os.fstat(self.root.fd).st_nlink == 0

    def _nearest(self, path: str) -> OpenFolder:
        """The folder at `path`, or the closest above it, that is open and still in its place."""
        while path:
            with self._lock:
                folder = self._open.get(path)
                if folder is not None:
                    self._open.move_to_end(path)
            if folder is not None and self._is_in_place(folder):
                return folder
            path = path.rpartition("/")[0]
        return self.root

    def _is_in_place(self, folder: OpenFolder) -> bool:
        """Has nobody moved it? Its path must lead to it, and as many steps up as it has names to the root.

        The second look makes sure of the destination: `..` is where a folder really is, whatever links
        its path goes through by now. Two calls, three microseconds.
        """
        while folder.base is not None:
            try:
                seen = os.stat(folder.within, dir_fd=folder.base.fd, follow_symlinks=False)
                top = os.stat(folder.up, dir_fd=folder.fd, follow_symlinks=False)
            except OSError:
                return False
            if not (folder.is_at(seen) and folder.base.is_at(top)):
                return False
            folder = folder.base
        return True

    def _make(self, parent: OpenFolder, name: str) -> bool:
        try:
            os.mkdir(name, 0o700, dir_fd=parent.fd)
        except FileExistsError:
            return False
        self._swept.add(_joined(parent.path, name))
        return True

    def _enter(self, parent: OpenFolder, name: str) -> OpenFolder:
        try:
            folder = parent.enter(name)
        except OSError as error:
            if error.errno in _NO_FOLDER:
                path = _joined(parent.path, name)
                raise EntryOccupied(f"{display(path)} is not a folder, and one is needed there") from error
            raise
        self._remember(folder)
        self._sweep_once(folder)
        return folder

    def _remember(self, folder: OpenFolder) -> None:
        with self._lock:
            self._open[folder.path] = folder
            self._open.move_to_end(folder.path)
            while len(self._open) > _KEPT_OPEN:
                self._open.popitem(last=False)

    def _sweep_once(self, folder: OpenFolder) -> None:
        """Remove what runs that crashed have left in a folder that was there before."""
        if not self._sweeps or folder.path in self._swept:
            return
        self._swept.add(folder.path)
        for name in os.listdir(folder.fd):
            if _TEMPORARY.fullmatch(name) and self._is_abandoned(folder, name):
                remove_quietly(folder, name)

    def _is_abandoned(self, folder: OpenFolder, name: str) -> bool:
        """By its ctime: its mtime may be the one it is restored with. Never a folder: none of ours has such a name."""
        try:
            facts = os.stat(name, dir_fd=folder.fd, follow_symlinks=False)
        except OSError:
            return False
        return not stat.S_ISDIR(facts.st_mode) and facts.st_ctime < self._clock() - _ABANDONED_AFTER_SECONDS


def remove_quietly(folder: OpenFolder, name: str) -> None:
    """Remove a temporary name; one that cannot be removed is swept up by a later run."""
    try:
        os.unlink(name, dir_fd=folder.fd)
    except OSError:
        return


def _joined(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _names_between(above: str, path: str) -> list[str]:
    rest = path[len(above) :].lstrip("/")
    return rest.split("/") if rest else []
