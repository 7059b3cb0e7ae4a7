"""Keeps items with files that a virtual machine, or another program, has locked: `*.lck`, and locks of the kernel.

VMware creates `name.vmx.lck` and `name.vmdk.lck` folders while a machine runs. QEMU locks bytes of its disks, which
Linux lists in /proc/locks, as it does every lock of any program's, other users' too; no file is opened to see them.
VirtualBox and Parallels leave no such trace; `open_files` sees their disks while they run.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple

from archive_tasks import hookimpl
from archive_tasks.default_plugins.guards.system_look import PROC, Recent, other_processes, program
from archive_tasks.model import Guard, Listing
from archive_tasks.names import display
from archive_tasks.settings import Settings

_LOCK = ".lck"
_NOBODY = -1
"""The lock of an open file description belongs to no process. (fcntl_locking(2))"""


class Holder(NamedTuple):
    """Who holds a lock on a device's file: a process, or -1 where the kernel does not say."""

    device: str
    process: int


def kernel_locks(table: str = f"{PROC}/locks") -> dict[int, list[Holder]]:
    """Holders of locks by inode number; empty without such a table. Those of our own processes do not count."""
    try:
        with open(table, encoding="ascii") as file:
            lines = file.read().splitlines()
    except OSError:
        return {}
    others = {_NOBODY, *other_processes()}
    found: dict[int, list[Holder]] = {}
    for line in lines:
        inode, holder = _parsed(line)
        if holder.process in others:
            found.setdefault(inode, []).append(holder)
    return found


def _parsed(line: str) -> tuple[int, Holder]:
    """`1: POSIX  ADVISORY  WRITE 3568 fd:00:2531452 0 EOF`; `->` marks one that waits. (proc_locks(5))"""
    fields = [field for field in line.split() if field != "->"]
    device, _, inode = fields[5].rpartition(":")
    return int(inode), Holder(device, int(fields[4]))


def device_name(number: int) -> str:
    """A device number as the table has it."""
    return f"{os.major(number):02x}:{os.minor(number):02x}"


def locked_in(listing: Listing, locks: dict[int, list[Holder]]) -> Iterator[tuple[str, str]]:
    """Names of the listing's files that are locked, and who holds the lock."""
    if locks.keys().isdisjoint(listing.inodes.values()):
        return
    for name, inode in listing.inodes.items():
        if holders := locks.get(inode):
            device = device_name(listing.stat(name).st_dev)
            process = next((holder.process for holder in holders if holder.device == device), None)
            if process is not None:
                yield name, "a program" if process == _NOBODY else program(process)


def _reasons(listing: Listing, locks: dict[int, list[Holder]]) -> Iterator[str]:
    for name in listing.inodes:
        if name.endswith(_LOCK):
            path = display(listing.path_of(name))
            yield f"{path} is a lock of a virtual machine or another program: stop that, or remove a stale lock"
    for name, who in locked_in(listing, locks):
        path = display(listing.path_of(name))
        yield f"{path} is locked by {display(who)}, like the disk of a running virtual machine: stop that first"


@hookimpl
def make_guard(root: str, settings: Settings) -> Guard:
    locks = Recent(kernel_locks)
    return Guard(looks=lambda listing: _reasons(listing, locks()), beside=lambda name: [name + _LOCK])
