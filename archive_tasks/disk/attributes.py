"""What an entry has besides its contents: permission bits, times, owner, extended attributes.

What cannot be brought back is not a failure: the entry is there, and what it is back without is reported.
"""

from __future__ import annotations

import functools
import grp
import os
import pwd
import stat
from collections.abc import Callable, Mapping

from archive_tasks.model import Attributes
from archive_tasks.names import display

FILE_BITS = 0o777
FOLDER_BITS = 0o3777  # setgid and sticky say how a folder is shared, and give nobody another user's rights
_SPECIAL_BITS = {stat.S_ISUID: "setuid", stat.S_ISGID: "setgid", stat.S_ISVTX: "sticky"}
_POWER = "security.capability"
_NOT_FOR_USERS = ("security.", "trusted.")


class Owners:
    """Finds the numbers of users and groups here, asking the system once for each name.

    Without root there is nothing to find: nobody else can give a file away.
    """

    def __init__(self, *, as_root: bool) -> None:
        self.as_root = as_root
        self._users: dict[str, int | None] = {}
        self._groups: dict[str, int | None] = {}

    def user(self, attributes: Attributes) -> int:
        """Number of the owner here; -1 to leave it."""
        known = _remembered(self._users, attributes.user, lambda name: pwd.getpwnam(name).pw_uid)
        return attributes.uid if known is None else known

    def group(self, attributes: Attributes) -> int:
        """Number of the group here; -1 to leave it."""
        known = _remembered(self._groups, attributes.group, lambda name: grp.getgrnam(name).gr_gid)
        return attributes.gid if known is None else known


@functools.lru_cache(maxsize=1024)
def user_name(uid: int) -> str:
    """The user's name, empty when unknown to the system."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return ""


@functools.lru_cache(maxsize=1024)
def group_name(gid: int) -> str:
    """The group's name, empty when unknown to the system."""
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return ""


def set_attributes(fd: int, attributes: Attributes, owners: Owners, *, bits: int) -> list[str]:
    """Give an open file or folder its attributes; only those of the mode that are in `bits`.

    The order matters: a change of owner clears capabilities and special bits, and a file that is not
    writable takes no `user.*` attribute from its own owner.

    Returns:
        What could not be set: `its owner: operation not permitted`.
    """
    lost: list[str] = []
    if owners.as_root:
        _try(lost, "its owner", lambda: _give(fd, attributes, owners))
    if attributes.xattrs:
        _set_extended(fd, attributes.xattrs, owners, lost)
    _try(lost, "its permissions", lambda: os.fchmod(fd, attributes.mode & bits))
    _try(lost, "its time", lambda: os.utime(fd, ns=(attributes.mtime_ns, attributes.mtime_ns)))
    if dropped := attributes.mode & 0o7000 & ~bits:
        lost += [f"its {name} bit" for bit, name in _SPECIAL_BITS.items() if dropped & bit]
    return lost


def set_link_attributes(name: str, dir_fd: int, attributes: Attributes, owners: Owners) -> list[str]:
    """Give a symlink its owner and its time, never what it points to.

    Returns:
        What could not be set; a symlink's own extended attributes never are.
    """
    lost: list[str] = []
    times = (attributes.mtime_ns, attributes.mtime_ns)
    if owners.as_root:
        user, group = owners.user(attributes), owners.group(attributes)
        _try(
            lost,
            "its owner",
            lambda: os.chown(name, user, group, dir_fd=dir_fd, follow_symlinks=False),
        )
    _try(lost, "its time", lambda: os.utime(name, ns=times, dir_fd=dir_fd, follow_symlinks=False))
    return lost + [_without(key, "not restored on symlinks") for key in attributes.xattrs or {}]


def _give(fd: int, attributes: Attributes, owners: Owners) -> None:
    os.fchown(fd, owners.user(attributes), owners.group(attributes))


def _set_extended(fd: int, extended: Mapping[str, bytes], owners: Owners, lost: list[str]) -> None:
    for name, value in extended.items():
        if name == _POWER:
            lost.append(_without(name, "it gives a program power, as setuid does"))
        elif not hasattr(os, "setxattr"):
            lost.append(_without(name, "this system does not support it"))
        elif name.startswith(_NOT_FOR_USERS) and not owners.as_root:
            lost.append(_without(name, "only root may set it"))
        else:
            _set_one(fd, name, value, lost)


def _set_one(fd: int, name: str, value: bytes, lost: list[str]) -> None:
    try:
        os.setxattr(fd, name, value)
    except (OSError, ValueError) as error:
        lost.append(_without(name, reason_of(error)))


def _without(name: str, why: str) -> str:
    return f"the extended attribute {display(name)}: {why}"


def _try(lost: list[str], what: str, act: Callable[[], None]) -> None:
    """A manifest may hold numbers that no system accepts: those raise ValueError or OverflowError, not OSError."""
    try:
        act()
    except (OSError, ValueError, OverflowError) as error:
        lost.append(f"{what}: {reason_of(error)}")


def reason_of(error: Exception) -> str:
    """Why, in the system's own words, in lower case."""
    why = error.strerror if isinstance(error, OSError) else None
    return (why or str(error)).lower()


def _remembered(known: dict[str, int | None], name: str, ask: Callable[[str], int]) -> int | None:
    if not name:
        return None
    if name not in known:
        try:
            known[name] = ask(name)
        except (KeyError, ValueError):
            known[name] = None
    return known[name]
