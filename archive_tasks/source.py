"""Reading a file of the user's once, whole and unchanged, and leaving no trace of it.

One descriptor, opened without following links and without blocking; what it is, is compared with what was
listed before the first byte and after the last. (RELIABILITY: a client that reopens the path for each part
splices two files into one object, without an error, when the file is replaced in between.)
"""

from __future__ import annotations

import errno
import os
import stat
from types import TracebackType

from archive_tasks.entries import Listed
from archive_tasks.errors import ItemChanged
from archive_tasks.names import display
from archive_tasks.walk import open_quietly, unreadable

_OPEN_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NO_ATTRIBUTES = frozenset({errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENODATA})
_IDENTITY = ("st_dev", "st_ino", "st_mode", "st_size", "st_mtime_ns")


class SourceFile:
    """An open file of an item. `path` is relative to the root, `size` in bytes.

    Raises:
        ItemChanged: it is not the file that was listed.
        ItemUnreadable: it cannot be opened.
    """

    def __init__(self, listed: Listed) -> None:
        self.path = listed.entry.path
        self.size = listed.entry.stat.st_size
        self._listed = listed.entry.stat
        try:
            self.fd = open_quietly(listed.name, _OPEN_FILE, dir_fd=listed.dir_fd)
        except OSError as error:
            raise unreadable(self.path, error) from error
        self._opened = os.fstat(self.fd)
        if not _same(self._opened, self._listed):
            os.close(self.fd)
            raise self._changed()

    def __enter__(self) -> SourceFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close it; once is enough."""
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
        """Raises ItemChanged when the file is no longer what it was when it was opened."""
        now = os.fstat(self.fd)
        if not _same(now, self._opened) or now.st_ctime_ns != self._opened.st_ctime_ns:
            raise self._changed()

    def extended_attributes(self) -> dict[str, bytes]:
        """Its extended attributes, none where the system or the filesystem has none."""
        return extended_attributes(self.fd, self.path)

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


def _same(one: os.stat_result, other: os.stat_result) -> bool:
    return stat.S_ISREG(one.st_mode) and all(getattr(one, name) == getattr(other, name) for name in _IDENTITY)
