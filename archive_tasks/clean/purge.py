"""THE ONLY CODE THAT REMOVES THE USER'S DATA: one proven item, entry by entry, each looked at once more before.

The gate alone calls it, once for each of its proofs, when the slot's state and the journal say that it begins. What
was left out of the archive, and given up by the user, goes by whole folders. (A move to another disk removes its own
unfinished copy besides, and a slot removes its own files.)
"""

from __future__ import annotations

import os

from archive_tasks.clean.proof import Comparer, LastLook, Proof, not_in_use
from archive_tasks.disk.walk import FolderHandles, FolderWalk, is_folder
from archive_tasks.items.survey import Listed


def purge_entries(proof: Proof, compare: Comparer, folder: int) -> None:
    """Remove what was proven, files first. `folder` is the handle of the folder that the item is in.

    Raises:
        ItemChanged: an entry is not as it was proven, or one is missing; it and what comes after it stay.
        ItemUnreadable: it cannot be looked at, or another filesystem is mounted in it.
        OSError: the system refused, or a folder is not empty: something new is in it.
    """
    folders: list[str] = []
    last_look = compare.last_look(proof)
    for listed in compare.listing(proof.slot, proof.evidence, folder):
        if listed.entry.kind != "folder":
            _remove_leaf(listed, last_look)
            continue
        last_look.check(listed, listed.entry.stat)
        _remove_left_out(listed.name, listed.dir_fd) if listed.why else folders.append(listed.entry.path)
    last_look.end()
    _remove_folders(folders, folder)


def _remove_leaf(listed: Listed, last_look: LastLook) -> None:
    """Remove a file or a link. The last look is taken under the lease, right before."""
    with not_in_use(listed):
        facts = os.stat(listed.name, dir_fd=listed.dir_fd, follow_symlinks=False)
        last_look.check(listed, facts)
        os.unlink(listed.name, dir_fd=listed.dir_fd)


def _remove_folders(paths: list[str], folder: int) -> None:
    """Those within others first. Raises OSError for one that is not empty: something new is in it."""
    with FolderHandles(folder) as handles:
        for path in reversed(paths):
            parent, _, name = path.rpartition("/")
            os.rmdir(name, dir_fd=handles.handle(parent))


def _remove_left_out(name: str, dir_fd: int) -> None:
    """Remove a folder that the user gave up, with all that is in it, however deep.

    Raises:
        ItemUnreadable: it cannot be read, or another filesystem is mounted in it.
        OSError: the system refused.
    """
    folders: list[str] = []
    with FolderWalk(dir_fd, name) as walk:
        for folder in walk:
            folders.append(folder.path)
            for entry in list(folder.scan()):
                if is_folder(entry, f"{folder.path}/"):
                    folder.descend(entry.name)
                else:
                    os.unlink(entry.name, dir_fd=folder.fd)
    _remove_folders(folders, dir_fd)
