"""One run a root: the folder of what is set aside is locked for it, and says which run has it."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from datetime import UTC, datetime

from archive_tasks.clean.small_files import leave_word, read_text
from archive_tasks.disk.attributes import user_name
from archive_tasks.disk.open_flags import FOLDER
from archive_tasks.errors import RootLocked, UsageError
from archive_tasks.items.own_files import SET_ASIDE
from archive_tasks.names import display

HOLDER = "holder"
"""The file that says which run has the lock."""


def lock_root(root: str, root_fd: int) -> int:
    """Handle of the folder of what is set aside, made where it is missing, and locked until the handle is closed.

    Args:
        root_fd: handle of the root.

    Raises:
        UsageError: it is not a folder, or somebody else's.
        RootLocked: another run works on this root.
        OSError: it cannot be made.
    """
    fd = _locked(root, root_fd)
    leave_word(fd, HOLDER, f"process {os.getpid()} on {os.uname().nodename}")
    return fd


def forget_holder(folder: int) -> None:
    """To be called before the lock is released."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(HOLDER, dir_fd=folder)


def _locked(root: str, root_fd: int) -> int:
    """The kernel releases the lock when a process dies, however it dies."""
    while True:
        with contextlib.suppress(FileExistsError):
            os.mkdir(SET_ASIDE, 0o700, dir_fd=root_fd)
        fd = _open_own(root, root_fd)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _holder(fd)
            os.close(fd)
            raise RootLocked(f"another run is cleaning {display(root)} ({holder}); wait for it to end") from None
        except OSError as error:
            if error.errno not in {errno.EBADF, errno.ENOLCK, errno.ENOTSUP}:
                os.close(fd)
                raise
        if os.fstat(fd).st_nlink:  # else the run before us has just removed it
            return fd
        os.close(fd)


def _open_own(root: str, root_fd: int) -> int:
    path = os.path.join(root, SET_ASIDE)
    try:
        fd = os.open(SET_ASIDE, FOLDER, dir_fd=root_fd)
    except OSError as error:
        if error.errno in {errno.ENOTDIR, errno.ELOOP}:
            raise UsageError(
                f"{display(path)} is not a folder: move it away, it is where items are set aside"
            ) from None
        if error.errno == errno.EACCES:
            raise _of_another(path, root_fd) from None
        raise
    if os.fstat(fd).st_uid != os.geteuid():
        os.close(fd)
        raise _of_another(path, root_fd)
    return fd


def _of_another(path: str, root_fd: int) -> UsageError:
    owner = os.stat(SET_ASIDE, dir_fd=root_fd, follow_symlinks=False).st_uid
    return UsageError(
        f"{display(path)} belongs to another user ({display(user_name(owner)) or owner}), who set something "
        "aside there: clean and undo are theirs in this root, until it is purged or put back"
    )


def _holder(folder: int) -> str:
    """Who holds the lock, and since when: the holder writes that right after taking it."""
    for _ in range(10):
        with contextlib.suppress(OSError):
            began = os.stat(HOLDER, dir_fd=folder, follow_symlinks=False).st_mtime
            break
        time.sleep(0.05)
    else:
        return "process unknown"
    return f"{display(read_text(folder, HOLDER))} since {datetime.fromtimestamp(began, UTC):%Y-%m-%d %H:%M} UTC"
