"""Which folder a target's URL names, and what a system error there means for a run."""

from __future__ import annotations

import errno
import os
from urllib.parse import unquote_to_bytes, urlsplit

from archive_tasks.errors import ArchiveTasksError, ItemUnreadable, StoreBusy, StoreUnusable, UsageError
from archive_tasks.names import display

_BUSY = frozenset({errno.ESTALE, errno.EAGAIN, errno.ETIMEDOUT, errno.EINTR, errno.EBUSY})
_TOO_MUCH = frozenset({errno.EFBIG, errno.ENAMETOOLONG})
"""About one object, not about the disk: FAT32 takes no file of 4 GiB."""
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


def path_of(url: str) -> str:
    """The absolute path that a URL names. Raises UsageError for one that names no path on this machine."""
    parts = urlsplit(url)
    path = os.fsdecode(unquote_to_bytes(parts.path))
    if parts.netloc not in {"", "localhost"} or not path.startswith("/") or parts.query or parts.fragment:
        raise UsageError(f"the target {display(url)} names no folder here; write file:///absolute/path")
    if "\0" in path or os.path.normpath(path) == "/":
        raise UsageError(f"the target {display(url)} cannot be a target; write file:///absolute/path of a folder")
    return os.path.normpath(path)


def refused(error: OSError, doing: str, target: str, *, at: str | None = None) -> ArchiveTasksError:
    """Our error for a system error. `target` is the target's path, `at` one in it, where one is known."""
    where = display(target)
    if error.errno in _FULL:
        return StoreUnusable(f"the disk that holds {where} is full: free space there or name another target")
    if error.errno in _TOO_MUCH:
        return ItemUnreadable(f"{where} cannot take it: {error.strerror}")
    if error.errno in _BUSY:
        return StoreBusy(f"{doing} {where}: {error.strerror}")
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        if os.path.isdir(target):  # another run may remove what is empty or its own
            return StoreBusy(f"{doing} {display(at or target)}: something there vanished meanwhile")
        return StoreUnusable(f"the target {where} is gone: is its disk still mounted?")
    reason = (error.strerror or str(error)).lower()
    return StoreUnusable(f"{doing} {display(at or target)} failed: {reason}; check its disk and who may write there")
