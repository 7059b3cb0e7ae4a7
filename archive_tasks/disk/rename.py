"""One rename that never replaces what is in its way, between two folders that are held open.

Linux and macOS do it in one step (renameat2 with RENAME_NOREPLACE, renameatx_np with RENAME_EXCL). Where the system or
the filesystem cannot, it looks first and then renames: what appears between the two could be replaced.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import sys
from collections.abc import Callable
from typing import Any

_RENAME_NOREPLACE = 1  # linux/fs.h
_RENAME_EXCL = 4  # sys/stdio.h of macOS
_CANNOT = frozenset({errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP})


def rename_to_free_name(old: str, new: str, *, from_fd: int, to_fd: int) -> None:
    """Rename `old` in one folder to `new` in another of the same filesystem.

    Raises:
        FileExistsError: something has the new name; nothing was changed.
        OSError: the system refused; EXDEV between two filesystems.
    """
    rename = _in_one_step()
    failed = rename(from_fd, os.fsencode(old), to_fd, os.fsencode(new)) if rename else errno.ENOSYS
    if failed in _CANNOT:
        _look_and_rename(old, new, from_fd=from_fd, to_fd=to_fd)
    elif failed:
        raise OSError(failed, os.strerror(failed), old)


def _look_and_rename(old: str, new: str, *, from_fd: int, to_fd: int) -> None:
    try:
        os.stat(new, dir_fd=to_fd, follow_symlinks=False)
    except FileNotFoundError:
        os.rename(old, new, src_dir_fd=from_fd, dst_dir_fd=to_fd)
        return
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), new)


@functools.cache
def _in_one_step() -> Callable[[int, bytes, int, bytes], int] | None:
    """The system's own call, which returns an errno or 0; None on systems without it."""
    name, flag = ("renameatx_np", _RENAME_EXCL) if sys.platform == "darwin" else ("renameat2", _RENAME_NOREPLACE)
    function: Any = getattr(ctypes.CDLL(None, use_errno=True), name, None)
    if function is None:
        return None

    def call(from_fd: int, old: bytes, to_fd: int, new: bytes) -> int:
        ctypes.set_errno(0)
        return ctypes.get_errno() if function(from_fd, old, to_fd, new, flag) else 0

    return call
