"""Is this root the folder that it seems to be? The wrong one is refused before anything is looked at."""

from __future__ import annotations

import os

from archive_tasks.catalogue.database import Catalogue
from archive_tasks.errors import UsageError
from archive_tasks.formats.layout import short_hash
from archive_tasks.names import display

_SYSTEM = (
    "Applications Library System Users Volumes bin boot dev etc home lib lib32 lib64 media mnt opt private proc root "
    "run sbin snap srv sys tmp usr var"
)
"""Folders of the system, or that hold everybody's, directly under `/`. What is in them may be somebody's own."""
_SYSTEM_ALL = "System bin boot dev etc lib lib32 lib64 proc sbin sys usr"
"""What is in these never is."""


def check_root(root: str, *, home: str) -> None:
    """Refuse to clean anything but a folder of the user's own things.

    Args:
        root: without links.
        home: the user's home, without links.

    Raises:
        UsageError: it is `/`, a home, a folder of the system, or what holds the home.
    """
    top, _, below = root.removeprefix("/").partition("/")
    if not top or top in (_SYSTEM_ALL if below else _SYSTEM).split():
        raise UsageError(f"{display(root)} belongs to the system, and is not cleaned: give a folder of your own")
    if root == home or home.startswith(f"{root}/"):
        raise UsageError(f"{display(root)} is (or holds) your home, and is not cleaned as a whole: give a folder in it")


def place_of_root(root: str) -> str:
    """What distinguishes the folder from another at the same path: its filesystem's id and its inode.

    The id is the filesystem's own where it has one (ext4, btrfs, APFS); without one it may change at a mount,
    and then the inode has to.
    """
    inode = os.stat(root).st_ino
    if os.stat(root).st_ino != inode:  # a filesystem whose inodes change at each look
        inode = 0
    return f"{os.statvfs(root).f_fsid:x} {inode}"


def remember_place(catalogue: Catalogue, root: str) -> None:
    """Note which folder was archived from this path."""
    catalogue.set_fact(_fact(root), place_of_root(root))


def check_place(catalogue: Catalogue, root: str) -> None:
    """Raises UsageError when another folder is at this path than when it was archived last."""
    known = catalogue.fact(_fact(root))
    if known is None or place_of_root(root) == known:
        return
    raise UsageError(
        f"another disk or folder is at {display(root)} than when it was archived: is the right disk mounted? "
        "If it is, run archive again, which compares everything again"
    )


def _fact(root: str) -> str:
    return f"place of root {short_hash(os.fsencode(root))}"
