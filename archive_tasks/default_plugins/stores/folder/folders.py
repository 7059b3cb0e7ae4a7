"""Folders of a folder target: reached through no link, and open to whoever the target's top folder is open to.

Whoever may use the top folder may use all below it, so that users can share a target: its mode and its group are
given to every folder, and to every file without the bits that make it a program. A top folder that is private
keeps all below it private.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from archive_tasks.disk.rename import rename_to_free_name
from archive_tasks.errors import StoreUnusable
from archive_tasks.names import display

INCOMING = ".archive-incoming"
"""The folder in which objects are written before they appear."""
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_IS_THERE = frozenset({errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR})
_EVERYBODY_WRITES = 0o022


class Rights(NamedTuple):
    """What the top folder gives to all that is below it.

    Attributes:
        folder: mode of a folder.
        file: mode of a file.
    """

    folder: int
    file: int
    group: int


def rights_below(top: os.stat_result) -> Rights:
    """Of the top folder's mode and group. Its owner can always read and write.

    In a sticky folder nobody removes another's files, so nobody may write into them either.
    """
    mode = stat.S_IMODE(top.st_mode) & ~stat.S_ISUID
    file = mode & 0o666
    if mode & stat.S_ISVTX:
        file &= ~_EVERYBODY_WRITES
    return Rights(folder=mode | 0o700, file=file | 0o600, group=top.st_gid)


def give_rights(handle: int, mode: int, group: int) -> None:
    """Give a new file or folder its group and mode, whatever the umask is, as far as that can be done.

    A group that we may not set gets nothing: the file's own group then may do no more than others.
    """
    if os.fstat(handle).st_gid != group:
        with contextlib.suppress(OSError):
            os.fchown(handle, -1, group)
    facts = os.fstat(handle)
    if facts.st_gid != group:
        as_everybody = (mode & 0o007) << 3
        mode = (mode & 0o1707) | (mode & as_everybody)
    if stat.S_IMODE(facts.st_mode) != mode:
        with contextlib.suppress(OSError):
            os.fchmod(handle, mode)


# -- folders of keys ---------------------------------------------------------------------------------


@contextlib.contextmanager
def opened(top: int, segments: Sequence[str], *, path: str) -> Iterator[int]:
    """A handle of the folder below `top`, whose path is `path`, which is closed afterwards, as `top` is.

    Raises:
        FileNotFoundError, NotADirectoryError: there is no such folder.
        StoreUnusable: a link is on the way.
    """
    handle = top
    try:
        for name in segments:
            path = os.path.join(path, name)
            handle = _entered(handle, name, path)
        yield handle
    finally:
        os.close(handle)


@contextlib.contextmanager
def made(top: int, segments: Sequence[str], *, path: str, rights: Rights) -> Iterator[int]:
    """As `opened`; folders that are missing are made. `top` itself is never: a disk that went away stays away."""
    handle, incoming = top, os.path.join(path, INCOMING)
    try:
        for name in segments:
            path = os.path.join(path, name)
            try:
                handle = _entered(handle, name, path)
            except FileNotFoundError:
                make_folder(handle, name, rights, temporary=os.path.join(incoming, part_name()))
                sync_folder(handle)
                handle = _entered(handle, name, path)
        yield handle
    finally:
        os.close(handle)


def part_name() -> str:
    """A name for what is being written."""
    return f"{secrets.token_hex(12)}.part"


def _entered(folder: int, name: str, path: str) -> int:
    """The handle of a folder in `folder`, which is closed for it."""
    try:
        inner = os.open(name, FOLDER | os.O_NOFOLLOW, dir_fd=folder)
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENOTDIR}:
            check_no_link(path)
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path) from error
        raise
    os.close(folder)
    return inner


def make_folder(folder: int, name: str, rights: Rights, *, temporary: str) -> None:
    """Make a folder that has its rights from the moment that it can be seen, so that no other user is kept out."""
    os.mkdir(temporary, 0o700)
    try:
        handle = os.open(temporary, FOLDER | os.O_NOFOLLOW)
        try:
            give_rights(handle, rights.folder, rights.group)
        finally:
            os.close(handle)
        # A plain rename would replace an empty folder, which another run has just made and is about to write into.
        rename_to_free_name(temporary, name, from_fd=folder, to_fd=folder)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.rmdir(temporary)
        if error.errno not in _IS_THERE:
            raise


def check_no_link(path: str) -> None:
    """Raises StoreUnusable when there is a link at `path`."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        if stat.S_ISLNK(os.lstat(path).st_mode):
            raise link_in_the_way(path)


def link_in_the_way(path: str) -> StoreUnusable:
    """What is behind a link is in no listing, and must not be taken for missing."""
    return StoreUnusable(
        f"{display(path)} is a link, and a target's links are not followed: what is behind it would be taken for "
        "missing. Put there what it points to (move it, or mount it), or remove the link"
    )


def sync_folder(handle: int) -> None:
    """See that the names in a folder are on the disk."""
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOTSUP}:  # filesystems that cannot sync a folder
            raise
