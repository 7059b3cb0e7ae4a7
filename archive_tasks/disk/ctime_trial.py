"""Does a filesystem move a file's ctime on every write? Tested in this run; nothing is remembered.

On FAT, exFAT and many FUSE or network mounts the ctime is the mtime, which any program can put back after it has
written (`exiftool -P` does, VeraCrypt does); ext4 with small inodes counts whole seconds. There a file that looks as it
did when it was archived may hold something else, and only contents decide.
"""

from __future__ import annotations

import errno
import mmap
import os
import secrets
import stat
import time
from typing import NamedTuple

from archive_tasks.disk.leases import can_tell, is_granted
from archive_tasks.disk.open_flags import NEW_FILE

LONGEST_SECONDS = 0.03
"""Of each of its two halves: a few ticks of the kernel's coarse clock, 1 to 10 ms each. (CONFIG_HZ)"""
_STEP_SECONDS = 0.002
MARGIN_NS = 2 * 10**9
"""How much older than a look a ctime must be to count: the coarsest clock of a filesystem, FAT's, ticks in 2 s."""
_LONG_AGO_NS = 10**18
_NEVER = 1 << 80
_NO_NAMELESS = frozenset({errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT, errno.ENOSYS})


class CtimeTrial(NamedTuple):
    """The result.

    Attributes:
        counts: a write moved the ctime, also through a new mapping, and putting the mtime back did not undo that;
            and leases show who else might have mapped a file.
        now_ns: what the filesystem said the time was.
        began_ns: what a monotonic clock said then.
        inodes_stay: two looks at one file showed the same inode.
    """

    counts: bool
    now_ns: int = 0
    began_ns: int = 0
    inodes_stay: bool = True

    def time_ns(self) -> int:
        """The current time by the filesystem's clock."""
        return self.now_ns + time.monotonic_ns() - self.began_ns

    def shows_writes(self, ctime_ns: int, *, since_ns: int) -> bool:
        """Would whatever was written since then show in a file that has this ctime?

        A write in the same tick of the clock as the last one before it leaves the ctime as it is.
        """
        return self.counts and ctime_ns < since_ns - MARGIN_NS


def counting_ctime(facts: os.stat_result) -> int:
    """A file's ctime, for `shows_writes`; later than every look where it means nothing.

    What is written through a mapping that has written before leaves no sign. So a ctime counts only for a file
    that nobody has open for writing, as a lease shows.
    """
    return facts.st_ctime_ns if not stat.S_ISREG(facts.st_mode) or can_tell(facts) else _NEVER


NOT_TRIED = CtimeTrial(counts=False)
"""Where it was not tested, the ctime counts for nothing."""


def try_ctime(folder: int) -> CtimeTrial:
    """Write to a file of our own in an open folder; it has no name, or loses it at once.

    Where nothing can be written there, the ctime counts for nothing.
    """
    try:
        handle = _nameless(folder)
    except OSError:
        return NOT_TRIED
    try:
        trial = _tried(handle)
        reader = os.open(f"/proc/self/fd/{handle}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return NOT_TRIED
    finally:
        os.close(handle)
    try:
        return trial._replace(counts=trial.counts and is_granted(reader))
    finally:
        os.close(reader)


def _tried(handle: int) -> CtimeTrial:
    os.pwrite(handle, b"1", 0)
    os.utime(handle, ns=(_LONG_AGO_NS, _LONG_AGO_NS))
    before = written = os.fstat(handle)
    until = time.monotonic() + LONGEST_SECONDS
    while written.st_ctime_ns == before.st_ctime_ns and time.monotonic() < until:
        time.sleep(_STEP_SECONDS)
        os.pwrite(handle, b"2", 0)
        written = os.fstat(handle)
    os.utime(handle, ns=(_LONG_AGO_NS, _LONG_AGO_NS))
    after = os.fstat(handle)
    return CtimeTrial(
        counts=before.st_ctime_ns < written.st_ctime_ns <= after.st_ctime_ns and _shows_mapped_writes(handle),
        now_ns=after.st_ctime_ns,
        began_ns=time.monotonic_ns(),
        inodes_stay=before.st_ino == written.st_ino == after.st_ino,
    )


def _shows_mapped_writes(handle: int) -> bool:
    """Does the first write through a mapping move the ctime? On tmpfs it does not, where the page was read first."""
    before = os.fstat(handle).st_ctime_ns
    until = time.monotonic() + LONGEST_SECONDS
    while time.monotonic() < until:
        try:
            with mmap.mmap(handle, 1) as mapped:
                mapped[0] ^= 1
        except (OSError, ValueError):
            return True  # nobody can map files there
        if os.fstat(handle).st_ctime_ns > before:
            return True
        time.sleep(_STEP_SECONDS)
    return False


def _nameless(folder: int) -> int:
    path = f"/proc/self/fd/{folder}"
    flag = getattr(os, "O_TMPFILE", 0)
    if flag:
        try:
            return os.open(path, os.O_RDWR | os.O_CLOEXEC | flag, 0o600)
        except OSError as error:
            if error.errno not in _NO_NAMELESS:
                raise
    name = f".archive-tasks-{secrets.token_hex(8)}"
    handle = os.open(name, NEW_FILE, 0o600, dir_fd=folder)
    try:
        os.unlink(name, dir_fd=folder)
    except BaseException:
        os.close(handle)
        raise
    return handle
