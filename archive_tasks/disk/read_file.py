"""Reading one of the user's files once, whole and unchanged, and leaving no trace of it.

One descriptor, opened without following links and without blocking; what it is, is compared with what was
listed before the first byte and after the last. (RELIABILITY: a client that reopens the path for each part
splices two files into one object, without an error, when the file is replaced in between.)
"""

from __future__ import annotations

import errno
import os
import stat
from typing import NamedTuple

from archive_tasks.disk.leases import give_back, is_open_for_writing
from archive_tasks.disk.open_flags import FILE_TO_READ
from archive_tasks.disk.walk import open_quietly, unreadable
from archive_tasks.errors import ItemChanged, ItemUnreadable
from archive_tasks.names import display

_NO_ATTRIBUTES = frozenset({errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENODATA})


class Identity(NamedTuple):
    """What makes a file the one that was listed. The ctime is not in it: reading can move it, see `check`.

    Attributes:
        inode: 0 where it means nothing.
    """

    device: int
    inode: int
    mode: int
    size: int
    mtime_ns: int


def identity_of(facts: os.stat_result, *, with_inode: bool = True) -> Identity:
    inode = facts.st_ino if with_inode else 0
    return Identity(facts.st_dev, inode, facts.st_mode, facts.st_size, facts.st_mtime_ns)


class SourceFile:
    """An open file of an item.

    Args:
        path: relative to the root, for messages.
        name: in the folder whose handle `dir_fd` is.
        expected: what was listed.

    Raises:
        ItemChanged: it is not the file that was listed, or is open for writing.
        ItemUnreadable: it cannot be opened.
    """

    def __init__(self, path: str, name: str, dir_fd: int, expected: Identity) -> None:
        self.path = path
        self.size = expected.size
        self._expected = expected
        try:
            self.fd = open_quietly(name, FILE_TO_READ, dir_fd=dir_fd)
        except OSError as error:
            raise unreadable(path, error) from error
        self._opened = os.fstat(self.fd)
        if self._identity(self._opened) != expected or not stat.S_ISREG(expected.mode):
            os.close(self.fd)
            raise self._changed()
        try:
            self._check_not_in_use()
        except ItemChanged:
            os.close(self.fd)
            raise

    def __enter__(self) -> SourceFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close it. Safe to call twice."""
        if self.fd >= 0:
            self._put_access_time_back()
            os.close(self.fd)
            self.fd = -1

    def piece(self, offset: int, size: int) -> bytes:
        """Exactly `size` bytes from `offset` on. Raises ItemChanged (it is shorter now) or ItemUnreadable."""
        parts: list[bytes] = []
        while size:
            try:
                part = os.pread(self.fd, size, offset)
            except OSError as error:
                raise unreadable(self.path, error) from error
            if not part:
                raise self._changed()
            parts.append(part)
            offset += len(part)
            size -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def check(self) -> None:
        """After the last byte.

        Raises:
            ItemChanged: the file is no longer what it was when it was opened, or is open for writing.
            ItemUnreadable: it holds more than its size says, as files of /proc and of some online disks do.
        """
        if self._holds_more():
            raise ItemUnreadable(f"{display(self.path)} claims {self.size:,} bytes and holds more")
        now, then = os.fstat(self.fd), self._opened
        if self._identity(now) != self._identity(then) or now.st_ctime_ns != then.st_ctime_ns:
            raise self._changed()
        self._check_not_in_use()

    def extended_attributes(self) -> dict[str, bytes]:
        """Its extended attributes; empty where the system or the filesystem does not support them."""
        return extended_attributes(self.fd, self.path)

    def _identity(self, facts: os.stat_result) -> Identity:
        return identity_of(facts, with_inode=self._expected.inode != 0)

    def _holds_more(self) -> bool:
        try:
            return bool(os.pread(self.fd, 1, self.size))
        except OSError as error:
            raise unreadable(self.path, error) from error

    def _check_not_in_use(self) -> None:
        """What is mapped for writing can change without a new ctime. The lease is released at once, so that nobody
        who opens the file has to wait for as long as it is read.
        """
        if is_open_for_writing(self.fd):
            raise ItemChanged(f"{display(self.path)} is open for writing")
        give_back(self.fd)

    def _changed(self) -> ItemChanged:
        return ItemChanged(f"{display(self.path)} changed while it was read")

    def _put_access_time_back(self) -> None:
        if hasattr(os, "O_NOATIME") or os.fstat(self.fd).st_atime_ns == self._opened.st_atime_ns:
            return
        try:
            os.utime(self.fd, ns=(self._opened.st_atime_ns, self._opened.st_mtime_ns))
        except OSError:
            return  # somebody else's file: its owner alone may set times


def extended_attributes(target: int | str, path: str) -> dict[str, bytes]:
    """Extended attributes of a handle, by name. Raises ItemUnreadable for those that are there but unreadable."""
    if not hasattr(os, "listxattr"):
        return {}
    try:
        return {name: os.getxattr(target, name) for name in os.listxattr(target)}
    except OSError as error:
        if error.errno in _NO_ATTRIBUTES:
            return {}
        raise unreadable(path, error) from error
