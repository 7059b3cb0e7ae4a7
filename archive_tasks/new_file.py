"""A file that gets its name when it is whole.

It is made without a name (O_TMPFILE) and linked under its own when it is finished: a half file never has one, and a
crash leaves nothing behind. Where the filesystem cannot do that, it is written beside its place under a temporary
name and renamed without replacing.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import secrets

TEMPORARY = ".restoring"
_NO_NAMELESS = frozenset({errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL, errno.ENOSYS})
_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.ENOENT, errno.EXDEV})
_RENAME_NOREPLACE = 1  # renameat2(2)
_HOLE = 4096
_SYNCED_FROM = 1024 * 1024
"""A sync takes milliseconds: a large file can afford its own, small ones share one at the end of the restore."""


class NewFile:
    """A file being written in the folder `folder_fd`, which must stay open. Raises OSError.

    Args:
        size: bytes that it will have.
        sparse: leave blocks of zeros as holes.
        nameless: False writes under a temporary name from the start.
    """

    def __init__(self, folder_fd: int, size: int, *, sparse: bool = False, nameless: bool = True) -> None:
        self._folder = folder_fd
        self._size = size
        self._sparse = sparse
        self._temporary = ""
        self.fd = self._make(nameless)
        if sparse:
            os.ftruncate(self.fd, size)

    def write(self, offset: int, data: bytes) -> None:
        """Put bytes in their place; from any thread."""
        if self._sparse:
            self._write_around_holes(offset, data)
        else:
            _write_all(self.fd, offset, data)

    def publish(self, name: str) -> None:
        """Give the file its name. Raises FileExistsError when the name is taken."""
        if self._size >= _SYNCED_FROM:
            os.fsync(self.fd)
        self._named(name)
        self.close()

    def replace(self, name: str) -> None:
        """Give the file its name, in the place of the file or link that has it."""
        if self._size >= _SYNCED_FROM:
            os.fsync(self.fd)
        if not self._temporary:
            temporary = _temporary_name()
            self._named(temporary)
            self._temporary = temporary
        os.rename(self._temporary, name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
        self._temporary = ""
        self.close()

    def close(self) -> None:
        """Done with it; without a name, the file is gone."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
        if self._temporary:
            with contextlib.suppress(OSError):
                os.unlink(self._temporary, dir_fd=self._folder)
            self._temporary = ""

    def _make(self, nameless: bool) -> int:
        if nameless and hasattr(os, "O_TMPFILE"):
            try:
                return os.open(".", os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600, dir_fd=self._folder)
            except OSError as error:
                if error.errno not in _NO_NAMELESS:
                    raise
        self._temporary = _temporary_name()
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.open(self._temporary, flags, 0o600, dir_fd=self._folder)

    def _named(self, name: str) -> None:
        if self._temporary:
            rename_without_replacing(self._temporary, name, self._folder)
            self._temporary = ""
        else:
            os.link(f"/proc/self/fd/{self.fd}", name, dst_dir_fd=self._folder, follow_symlinks=True)

    def _write_around_holes(self, offset: int, data: bytes) -> None:
        """Zeros that fill whole blocks of the file stay unwritten."""
        start = 0
        while start < len(data):
            end = min(len(data), start + _HOLE - (offset + start) % _HOLE)
            piece = data[start:end]
            if piece.count(0) != len(piece):
                _write_all(self.fd, offset + start, piece)
            start = end


def rename_without_replacing(old: str, new: str, folder_fd: int) -> None:
    """Raises FileExistsError when `new` is taken."""
    try:
        os.link(old, new, src_dir_fd=folder_fd, dst_dir_fd=folder_fd, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
    else:
        os.unlink(old, dir_fd=folder_fd)
        return
    answer = _renameat2(old, new, folder_fd)
    if answer in {errno.ENOSYS, errno.EINVAL}:  # neither links nor this call: all that is left is to look first
        with contextlib.suppress(FileNotFoundError):
            os.stat(new, dir_fd=folder_fd, follow_symlinks=False)
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        os.rename(old, new, src_dir_fd=folder_fd, dst_dir_fd=folder_fd)
    elif answer:
        raise OSError(answer, os.strerror(answer))


def _renameat2(old: str, new: str, folder_fd: int) -> int:
    """0, or the error's number."""
    function = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if function is None:
        return errno.ENOSYS
    failed = function(folder_fd, os.fsencode(old), folder_fd, os.fsencode(new), _RENAME_NOREPLACE)
    return ctypes.get_errno() if failed else 0


def _temporary_name() -> str:
    return f".{secrets.token_hex(8)}{TEMPORARY}"


def _write_all(fd: int, offset: int, data: bytes) -> None:
    written = os.pwrite(fd, data, offset)
    while written < len(data):
        written += os.pwrite(fd, memoryview(data)[written:], offset + written)
