"""Is this root the folder that it seems to be? The wrong one is refused before anything is looked at."""

from __future__ import annotations

import os

from archive_tasks.catalogue.database import Catalogue
from archive_tasks.errors import UsageError
from archive_tasks.formats.layout import short_hash
from archive_tasks.names import display


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
        f"{display(root)} is not the disk or folder that was archived from there: is the right disk mounted? "
        "If it is, run archive again, which compares everything again"
    )


def _fact(root: str) -> str:
    return f"place of root {short_hash(os.fsencode(root))}"
