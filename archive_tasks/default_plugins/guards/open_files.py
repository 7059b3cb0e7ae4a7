"""Keeps items with a file that a program has open, as far as the system shows it.

Linux: handles and mapped files of all processes in /proc that may be looked at: one's own, and for root everybody's.
A file counts by its path, and by its inode where it was opened by another name (a hard link, a bind mount). Elsewhere
`lsof` is asked, where it is installed. What cannot be seen, other users' processes and other machines, is not claimed.
Handles of this process and of those that it started do not count, nor do open folders.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from archive_tasks import hookimpl
from archive_tasks.default_plugins.guards.system_look import PROC, Recent, other_processes, program
from archive_tasks.model import Guard, Listing
from archive_tasks.names import display
from archive_tasks.settings import Settings

_NO_FILES = ("/dev/null", "/dev/pts/", "/dev/tty", "/proc/", "/sys/", "/memfd:")
_LSOF_SECONDS = 60
_ESCAPED_LINE_BREAK = re.compile(rb"\\012")


class Handle(NamedTuple):
    """A handle of a process by which it has a file open whose path is not in the root."""

    process: int
    link: str


@dataclass(frozen=True, slots=True)
class Opened:
    """What is open.

    Attributes:
        below: folder relative to the root -> name -> who has it open.
        elsewhere: inode number, of whichever filesystem -> handles.
    """

    below: dict[str, dict[str, str]] = field(default_factory=dict)
    elsewhere: dict[int, list[Handle]] = field(default_factory=dict)

    def add(self, path: str, root: str, who: str) -> bool:
        """Note an absolute path; False where it is not in the root."""
        if not path.startswith(root + "/"):
            return False
        folder, _, name = path[len(root) + 1 :].rpartition("/")
        self.below.setdefault(folder, {}).setdefault(name, who)
        return True


def look_in_proc(root: str) -> Opened:
    """What Linux shows of other processes. A process that ends meanwhile, or is not ours to see, shows nothing."""
    opened = Opened()
    for number in other_processes():
        try:
            for link in os.listdir(f"{PROC}/{number}/fd"):
                _add_handle(opened, Handle(number, link), root)
            _add_mapped(opened, number, root)
        except (PermissionError, FileNotFoundError, ProcessLookupError):
            continue
    return opened


def _add_handle(opened: Opened, handle: Handle, root: str) -> None:
    """The inode is read from fdinfo, since a stat would wait for a network filesystem that does not answer."""
    try:
        path = _target(handle)
        if not path.startswith("/") or path.startswith(_NO_FILES):
            return
        if not opened.add(path, root, program(handle.process)) and (inode := _inode(handle)):
            opened.elsewhere.setdefault(inode, []).append(handle)
    except FileNotFoundError:  # closed meanwhile
        return


def _target(handle: Handle) -> str:
    """The path of what is open; for one longer than the system reports (4,096 bytes), only that it is a path."""
    try:
        return os.readlink(f"{PROC}/{handle.process}/fd/{handle.link}")
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return "/"
        raise


def _inode(handle: Handle) -> int | None:
    """As Linux reports it since 5.14. (proc_pid_fdinfo(5))"""
    with open(f"{PROC}/{handle.process}/fdinfo/{handle.link}", "rb") as lines:
        return next((int(line.split()[1]) for line in lines if line.startswith(b"ino:")), None)


def _add_mapped(opened: Opened, number: int, root: str) -> None:
    inside = b" " + os.fsencode(root) + b"/"
    with open(f"{PROC}/{number}/maps", "rb") as file:
        maps = file.read()
    if inside not in maps:
        return
    for line in maps.splitlines():
        if inside in line:
            path = _ESCAPED_LINE_BREAK.sub(b"\n", line.split(None, 5)[-1])
            opened.add(os.fsdecode(path), root, program(number))


def look_with_lsof(root: str, lsof: str) -> Opened:
    """What `lsof` shows of other processes. Raises subprocess.TimeoutExpired."""
    asked = subprocess.run(  # noqa: S603 - the user's own lsof, without an argument of anybody's
        [lsof, "-nPw", "-F0pRctn"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=_LSOF_SECONDS,
        check=False,
    )
    opened = Opened()
    who = ""
    for line in asked.stdout.split(b"\n"):
        fields = {part[:1]: part[1:] for part in line.split(b"\0") if part}
        if b"p" in fields:
            own = str(os.getpid()).encode() in (fields[b"p"], fields.get(b"R"))
            who = "" if own else f"{os.fsdecode(fields.get(b'c', b'a program'))} (process {fields[b'p'].decode()})"
        elif who and fields.get(b"t") == b"REG" and b"n" in fields:
            opened.add(os.fsdecode(fields[b"n"]), root, who)
    return opened


def look(root: str) -> Opened:
    """What is open, by whichever way this system has."""
    if os.path.isdir(f"{PROC}/self/fd"):
        return look_in_proc(root)
    lsof = shutil.which("lsof")
    return look_with_lsof(root, lsof) if lsof else Opened()


def open_in(listing: Listing, opened: Opened) -> Iterator[tuple[str, str]]:
    """Names of the listing's files that are open, and who has them open."""
    here = opened.below.get(listing.path, {})
    yield from ((name, who) for name, who in here.items() if name in listing.inodes and name not in listing.folders)
    if opened.elsewhere.keys().isdisjoint(listing.inodes.values()):
        return
    for name, inode in listing.inodes.items():
        if name not in here and (who := _holder(listing, name, opened.elsewhere.get(inode, ()))):
            yield name, who


def _holder(listing: Listing, name: str, handles: Iterable[Handle]) -> str | None:
    """The first whose handle leads to this very file: inode numbers repeat across filesystems."""
    for process, link in handles:
        facts = listing.stat(name)
        try:
            found = os.stat(f"{PROC}/{process}/fd/{link}")
        except OSError:
            continue  # closed meanwhile
        if stat.S_ISREG(found.st_mode) and (found.st_dev, found.st_ino) == (facts.st_dev, facts.st_ino):
            return program(process)
    return None


@hookimpl
def make_guard(root: str, settings: Settings) -> Guard:
    opened = Recent(lambda: look(root))

    def looks(listing: Listing) -> Iterator[str]:
        for name, who in open_in(listing, opened()):
            yield f"{display(listing.path_of(name))} is open in {display(who)}: close it there"

    return Guard(looks=looks)
