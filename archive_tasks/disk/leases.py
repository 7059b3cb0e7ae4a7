"""Does anybody have a file open for writing? A kernel lease shows it, without looking at other processes.

A read lease is granted only while nobody has the file open for writing, and a shared writable mapping counts as open.
(fcntl(2), "Leases".) Seen on ext4 and tmpfs, on one's own files. Where the kernel, the filesystem or the owner says no,
nothing is known.
"""

from __future__ import annotations

import fcntl
import functools
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_SET_LEASE = getattr(fcntl, "F_SETLEASE", None)
_CAP_LEASE = 28


def is_open_for_writing(fd: int) -> bool | None:
    """Is the file open for writing anywhere? None when the system does not say, or nobody called
    `leases_break_quietly`.

    Args:
        fd: of the file, open for reading only. The lease ends when it is closed.
    """
    if _SET_LEASE is None or signal.getsignal(signal.SIGIO) is not signal.SIG_IGN:
        return None
    try:
        fcntl.fcntl(fd, _SET_LEASE, fcntl.F_RDLCK)
    except BlockingIOError:
        return True
    except OSError:
        return None
    return False


def give_back(fd: int) -> None:
    """End the lease before the file is closed."""
    if _SET_LEASE is not None:
        with suppress(OSError):
            fcntl.fcntl(fd, _SET_LEASE, fcntl.F_UNLCK)


def can_tell(facts: os.stat_result) -> bool:
    """Would a lease show whether anybody has this file open for writing? On others' files, only with CAP_LEASE."""
    return _SET_LEASE is not None and (facts.st_uid == os.geteuid() or _may_lease_any(os.geteuid()))


@functools.cache
def _may_lease_any(_user: int) -> bool:
    """CAP_LEASE, which root has, but often not in a container. (capabilities(7))"""
    with suppress(OSError, ValueError), open("/proc/self/status", encoding="ascii", errors="replace") as status:
        for line in status:
            if line.startswith("CapEff:"):
                return bool(int(line.split()[1], 16) >> _CAP_LEASE & 1)
    return False


def is_granted(fd: int) -> bool:
    """Is a lease granted on a file that nobody else has open? Where it is not, the filesystem's leases show nothing."""
    if _SET_LEASE is None:
        return False
    try:
        fcntl.fcntl(fd, _SET_LEASE, fcntl.F_RDLCK)
        fcntl.fcntl(fd, _SET_LEASE, fcntl.F_UNLCK)
    except OSError:
        return False
    return True


@contextmanager
def leases_break_quietly() -> Iterator[None]:
    """Somebody who opens a leased file for writing has us sent a SIGIO, which would end the process.

    Handlers can be set in the main thread only; elsewhere the caller has seen to it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGIO, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGIO, before)
